"""A tiny SDXL inpainting pipeline on disk, in diffusers' own layout, with random weights.

It paints noise. Everything else is real: the classes, the scheduler, the tokenizer's algorithm,
the U-Net's 9 input channels, the VAE's factor of 8, two text encoders, the micro-conditioning.
"""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

TEXT_WIDTH = 32
TIME_WIDTH = 8
WORDS = (
    "copper metal scratches white marks on the wall smooth plain black dark shadow bright thin "
    "small large faint clear line spot patch surface grey several shaped scratch of broad"
)


def make_tiny_sdxl(folder: Path, seed: int = 0) -> Path:
    """Write the pipeline (about 5 MB) into `folder`; a user would give it as --pipeline."""
    # Its random weights are this module's own business, not the tests' that come after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = StableDiffusionXLInpaintPipeline(
            vae=_vae(),
            text_encoder=CLIPTextModel(_text_config()),
            text_encoder_2=CLIPTextModelWithProjection(_text_config()),
            tokenizer=_tokenizer(),
            tokenizer_2=_tokenizer(),
            unet=_unet(),
            scheduler=EulerDiscreteScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                steps_offset=1,
                timestep_spacing="leading",
            ),
            add_watermarker=False,
        )
    pipeline.save_pretrained(folder)
    return folder


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=9,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=2 * TEXT_WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_WIDTH,
        projection_class_embeddings_input_dim=TEXT_WIDTH + 6 * TIME_WIDTH,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=128,
        scaling_factor=0.13025,
        force_upcast=True,
    )


def _text_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(_vocabulary()[0]),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        hidden_act="gelu",
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def _tokenizer() -> CLIPTokenizer:
    vocabulary, merges = _vocabulary()
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Printable ASCII, alone and ending a word, and the merges that spell WORDS."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS.split():
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        for piece in pieces[1:]:
            merges[pieces[0], piece] = None
            pieces[0] += piece
    tokens += dict.fromkeys("".join(pair) for pair in merges)
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}, list(merges)
