"""Loads the SDXL inpainting pipeline that DIAG paints with (thesis 4.2.1).

PyTorch and diffusers are imported only when a pipeline is loaded.
"""

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from patchcore_dual.errors import SettingsError, WeightsError
from patchcore_dual.utils.dependencies import require

Offload = Literal["none", "model", "sequential"]

PIPELINE_CLASS = "StableDiffusionXLInpaintPipeline"
# The public weights: SDXL 1.0 fine-tuned for inpainting, with a U-Net of 9 input channels.
PUBLIC_MODEL = "diffusers/stable-diffusion-xl-1.0-inpainting-0.1"
HOW_TO_DOWNLOAD = (
    "On a machine with a network, download one with: "
    f"hf download {PUBLIC_MODEL} --include '*.json' --include '*.txt' "
    "--include '*.fp16.safetensors' --local-dir FOLDER (about 7 GB), then use that folder."
)
PACKAGES = ("diffusers", "transformers", "accelerate")
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def load_pipeline(
    source: str | Path,
    device: str = "auto",
    half: bool | None = None,
    offload: Offload = "none",
) -> Any:
    """Load an SDXL inpainting pipeline.

    Args:
        source: a local folder, which is read without network access; or a name on the Hugging
            Face hub (owner/name, as str), which is downloaded once and cached.
        device: "auto", "cpu" or "cuda".
        half: whether to use half precision; None uses it on a GPU.
        offload: "model" keeps one network at a time on the GPU, "sequential" one layer (slow).

    Returns:
        diffusers' StableDiffusionXLInpaintPipeline.

    Raises:
        WeightsError: where there is no such pipeline, or it is damaged.
        SettingsError: where packages are missing, or options and machine do not fit together.
    """
    from patchcore_dual.features.engines.device import choose_device

    if offload not in get_args(Offload):
        raise SettingsError(f"offload {offload!r}: use {', '.join(get_args(Offload))}.")
    target = choose_device(device)
    on_gpu = target == "cuda"
    if offload != "none" and not on_gpu:
        raise SettingsError(f"offload {offload} moves weights to a GPU and back: it needs a GPU.")
    if half and not on_gpu:
        raise SettingsError("half precision needs a GPU. Leave it out on the CPU.")
    half = on_gpu if half is None else half
    pipeline_class = import_pipeline_class()
    folder, name = _find(source, half, pipeline_class)
    _check_folder(folder)
    with explained_memory():
        pipeline = _read(pipeline_class, folder, half)
        _check_vocabularies(pipeline, folder)
        if offload == "model":
            pipeline.enable_model_cpu_offload(device=target)
        elif offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=target)
        else:
            pipeline.to(target)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.register_to_config(_name_or_path=name)
    return pipeline


def import_pipeline_class() -> Any:
    """Import diffusers' StableDiffusionXLInpaintPipeline.

    Raises:
        MissingDependencyError: where a package is not installed.
        SettingsError: where it cannot be imported.
    """
    require("diag", *PACKAGES)
    try:
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        # They report missing packages (torchvision) and draw progress bars of their own.
        for logging in (diffusers_logging, transformers_logging):
            logging.set_verbosity_error()
            logging.disable_progress_bar()
        # diffusers calls this method of its own in half precision.
        warnings.filterwarnings("ignore", "`upcast_vae` is deprecated", FutureWarning)
        from diffusers import StableDiffusionXLInpaintPipeline
    except (ImportError, RuntimeError) as error:
        raise SettingsError(
            f"diffusers cannot be imported ({_first_line(error)}). A torchvision that was built "
            "for another torch is the usual cause: uninstall it, DIAG does not need it."
        ) from None
    return StableDiffusionXLInpaintPipeline


@contextmanager
def explained_memory() -> Iterator[None]:
    """Turn "out of memory" into a SettingsError that names the options that help."""
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        exhausted = (MemoryError, torch.OutOfMemoryError)
        if isinstance(error, exhausted) or "can't allocate memory" in text:
            raise SettingsError(
                "the diffusion model does not fit into memory. On a GPU, offload model (then "
                "sequential) keeps only a part of it there at a time, and half precision halves "
                "it; on a CPU, the weights of full-size SDXL alone take 14 GB."
            ) from None
        raise


def _find(source: str | Path, half: bool, pipeline_class: Any) -> tuple[Path, str]:
    """The folder of a pipeline, and its name for the provenance."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path, path.resolve().name
    name = str(source)
    # models/sdxl beside a folder models/ is a mistyped path, so the network is not tried.
    is_path = isinstance(source, Path) or path.parent.is_dir()
    if is_path or not HUB_NAME.fullmatch(name):
        raise WeightsError(f"there is no folder {source} with a pipeline. {HOW_TO_DOWNLOAD}")
    try:
        variant = "fp16" if half else None
        snapshot = Path(pipeline_class.download(name, variant=variant, use_safetensors=True))
    except Exception as error:  # the hub's client raises those of every layer beneath it
        reason = _first_line(error.__cause__ or error)
        raise WeightsError(
            f"{name} is no folder here, and could not be fetched from the Hugging Face hub "
            f"({reason}). Check the name and the network. {HOW_TO_DOWNLOAD}"
        ) from None
    return snapshot, f"{name}@{snapshot.name[:12]}"


def _check_folder(folder: Path) -> None:
    index = folder / "model_index.json"
    if not index.is_file():
        raise WeightsError(
            f"{folder} is not a diffusers pipeline: it has no model_index.json. {HOW_TO_DOWNLOAD}"
        )
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError):
        raise WeightsError(f"{index} is damaged. Download the pipeline again.") from None
    if found != PIPELINE_CLASS:
        raise WeightsError(
            f"{folder} holds a {found}; DIAG needs a {PIPELINE_CLASS}. {HOW_TO_DOWNLOAD}"
        )


def _read(pipeline_class: Any, folder: Path, half: bool) -> Any:
    import torch

    in_half = any((folder / "unet").glob("*.fp16*.safetensors"))
    in_full = any(f for f in (folder / "unet").glob("*.safetensors") if ".fp16" not in f.name)
    try:
        return pipeline_class.from_pretrained(
            str(folder),
            dtype=torch.float16 if half else torch.float32,
            variant="fp16" if in_half and (half or not in_full) else None,
            use_safetensors=True,
            local_files_only=True,
            add_watermarker=False,
        )
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # a damaged folder fails in any of several readers
        if "can't allocate memory" in str(error):
            raise
        raise WeightsError(
            f"{folder} cannot be read as an SDXL inpainting pipeline ({_first_line(error)}). "
            "A file may be missing or cut short: download it again."
        ) from None


def _check_vocabularies(pipeline: Any, folder: Path) -> None:
    """Raise for a tokenizer without its files: it loads empty, and makes all prompts the same."""
    for part in ("", "_2"):
        tokenizer = getattr(pipeline, f"tokenizer{part}")
        encoder = getattr(pipeline, f"text_encoder{part}")
        if tokenizer is None or encoder is None or len(tokenizer) < encoder.config.vocab_size:
            raise WeightsError(
                f"{folder / f'tokenizer{part}'} or its text encoder is incomplete: prompts would "
                "not be understood. A file may be missing: download it again."
            )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
