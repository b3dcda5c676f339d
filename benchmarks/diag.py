"""What DIAG costs: seconds per image and peak GPU memory of full-size SDXL inpainting.

    python benchmarks/diag.py                          # needs a CUDA GPU
    python benchmarks/diag.py --network tiny --size 128   # the same path on a CPU

The networks are built from their published configurations with random weights, as the time does
not depend on them; what they paint is noise.
"""

import argparse
import contextlib
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from patchcore_dual.synthesis.diag.diag import Diag, DiagParameters
from patchcore_dual.synthesis.diag.pipeline import import_pipeline_class
from patchcore_dual.synthesis.diag.prompts import preset_prompts
from patchcore_dual.synthesis.generator import TargetMask, UnusableDefectError


@dataclass(frozen=True)
class Network:
    """Sizes in which an SDXL differs from a tiny one; lists run over the levels or encoders."""

    unet: tuple[int, ...]
    transformers: tuple[int, ...]
    heads: tuple[int, ...]
    vae: tuple[int, ...]
    text_widths: tuple[int, int]
    text_layers: tuple[int, int]
    time_width: int


NETWORKS = {
    "sdxl": Network(
        unet=(320, 640, 1280),
        transformers=(1, 2, 10),
        heads=(5, 10, 20),
        vae=(128, 256, 512, 512),
        text_widths=(768, 1280),
        text_layers=(12, 32),
        time_width=256,
    ),
    "tiny": Network((32, 64, 64), (1, 1, 1), (2, 4, 4), (32, 32, 32, 32), (64, 64), (1, 1), 8),
}


def build(network: Network, device: str, dtype: torch.dtype) -> Any:
    """A pipeline with random weights, created on the given device and in the given precision."""
    pipeline_class = import_pipeline_class()
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    attention = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D")
    torch.set_default_dtype(dtype)
    with torch.device(device):
        unet = UNet2DConditionModel(
            in_channels=9,
            block_out_channels=network.unet,
            down_block_types=("DownBlock2D", attention[0], attention[0]),
            up_block_types=(attention[1], attention[1], "UpBlock2D"),
            transformer_layers_per_block=network.transformers,
            attention_head_dim=network.heads,
            cross_attention_dim=sum(network.text_widths),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=network.time_width,
            projection_class_embeddings_input_dim=network.text_widths[1] + 6 * network.time_width,
        )
        vae = AutoencoderKL(
            block_out_channels=network.vae,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            scaling_factor=0.13025,
        )
        encoder = CLIPTextModel(text_config(network, 0))
        encoder_2 = CLIPTextModelWithProjection(text_config(network, 1))
    torch.set_default_dtype(torch.float32)
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    tokenizer = CLIPTokenizer(
        vocab={token: n for n, token in enumerate(tokens)}, merges=[], model_max_length=77
    )
    return pipeline_class(
        vae=vae,
        text_encoder=encoder,
        text_encoder_2=encoder_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="leading"),
        add_watermarker=False,
    )


def text_config(network: Network, encoder: int) -> Any:
    from transformers import CLIPTextConfig

    width = network.text_widths[encoder]
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=network.text_layers[encoder],
        num_attention_heads=width // 64,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="sdxl")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--offload", choices=("none", "model", "sequential"), default="none")
    args = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    if not on_gpu and (args.network == "sdxl" or args.offload != "none"):
        sys.exit(
            "PyTorch sees no CUDA GPU here, and full-size SDXL is not for a CPU. "
            "Try the path with: --network tiny --size 128"
        )
    pipeline = build(
        NETWORKS[args.network],
        "cuda" if on_gpu and args.offload == "none" else "cpu",
        torch.float16 if on_gpu else torch.float32,
    )
    pipeline.set_progress_bar_config(disable=True)
    if args.offload != "none":
        getattr(pipeline, f"enable_{args.offload}_cpu_offload")()
    count = sum(p.numel() for p in pipeline.unet.parameters())
    where = torch.cuda.get_device_name() if on_gpu else "CPU"
    print(f"{args.network}, U-Net of {count / 1e6:.1f} M parameters, {pipeline.dtype}, {where}")

    diag = Diag(pipeline, preset_prompts("ksdd2")[0], DiagParameters(size=args.size))
    normal = np.random.default_rng(0).integers(90, 160, (632, 224, 3), np.uint8)
    mask = np.zeros((632, 224), np.bool_)
    mask[300:340, 100:130] = True
    seconds = []
    for seed in range(-1, args.images):  # the first one warms up
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        # Noise may be no usable defect, but costs the same.
        with contextlib.suppress(UnusableDefectError):
            diag.generate(normal, TargetMask(mask), abs(seed))
        seconds.append(time.perf_counter() - started)
    print(f"{statistics.median(seconds[1:]):.2f} s per image at {args.size} x {args.size}")
    if on_gpu:
        print(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB peak, offload {args.offload}")


if __name__ == "__main__":
    main()
