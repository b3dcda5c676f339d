"""The options of `patchcore-dual augment`: one class for each group of generators.

The fields of a class are the options of a subcommand.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import typer

from patchcore_dual.cli.choices import AsJson

DEFAULT_COUNT = 100
IMAGES_PER_PROMPT = 50
GATES, DIFFUSION = "Quality gates", "Diffusion model"  # headings in the help

Prepared = Annotated[
    Path,
    typer.Argument(help="Folder that `prepare` wrote.", metavar="PREPARED", show_default=False),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness.")]
Defects = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Use only N real training defects, the same ones that `fit --defects N` uses with "
        "the same seed.",
        metavar="N",
    ),
]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class SetOptions:
    """The options of every generator."""

    only_with_gate: ClassVar[tuple[str, ...]] = ("backbone", "weights", "device")

    prepared: Prepared
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of images. A larger number later extends the same set.",
        ),
    ] = DEFAULT_COUNT
    seed: Seed = 0
    samples_per_triplet: Annotated[
        int, typer.Option(min=1, help="Images on the same normal image with the same mask.")
    ] = 1
    defects: Defects = None
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the set, which is written to PREPARED/synthetic/NAME.",
            show_default="generator and seed",
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a set of the same name.")
    ] = False
    as_json: AsJson = False
    gate: Annotated[
        bool,
        typer.Option(
            "--gate",
            help="Keep only images whose defect is visible, similar to real defects, without a "
            "seam, and not a near duplicate.",
            rich_help_panel=GATES,
        ),
    ] = False
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone of the gates.",
            show_default="efficientnet_lite0",
            rich_help_panel=GATES,
        ),
    ] = None
    weights: Annotated[
        Path | None, typer.Option(help="Weights of that backbone.", rich_help_panel=GATES)
    ] = None
    device: Annotated[
        Device | None,
        typer.Option(help="Device of the gates.", show_default="auto", rich_help_panel=GATES),
    ] = None

    def mask_options(self) -> dict[str, Any]:
        """Where masks come from, for `synthesise`."""
        return {}


@dataclass(frozen=True)
class MaskedSetOptions(SetOptions):
    """The options of a generator that works with any mask."""

    masks: Annotated[
        Literal["auto", "real", "drawn"],
        typer.Option(
            help="real: masks of training defects, moved; drawn: drawn shapes; auto: real where "
            "there are training defects with a mask."
        ),
    ] = "auto"
    allow_test_masks: Annotated[
        bool,
        typer.Option(
            "--allow-test-masks",
            help="Also borrow masks of test defects. This leaks test information into training, "
            "and every model and report made from the set says so.",
        ),
    ] = False

    def mask_options(self) -> dict[str, Any]:
        return {"masks": self.masks, "allow_test_masks": self.allow_test_masks}


@dataclass(frozen=True)
class DiffusionOptions(MaskedSetOptions):
    """The options of a generator that paints with a diffusion model."""

    only_with_gate: ClassVar[tuple[str, ...]] = ("backbone", "weights")

    count: Annotated[
        int | None,
        typer.Option(min=1, help="Number of images, instead of --images-per-prompt."),
    ] = None
    device: Annotated[
        Device | None,
        typer.Option(help="Device of the diffusion model and the gates.", show_default="auto"),
    ] = None
    pipeline: Annotated[
        str | None,
        typer.Option(
            help="SDXL inpainting pipeline of diffusers: a folder, or owner/name on the Hugging "
            "Face hub, which is downloaded.",
            rich_help_panel=DIFFUSION,
        ),
    ] = None
    preset: Annotated[
        Literal["ksdd2"] | None,
        typer.Option(help="Prompts that come with the program.", rich_help_panel=DIFFUSION),
    ] = None
    prompts: Annotated[
        Path | None,
        typer.Option(help="YAML file with your own prompts.", rich_help_panel=DIFFUSION),
    ] = None
    images_per_prompt: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of images for each prompt.",
            show_default=str(IMAGES_PER_PROMPT),
            rich_help_panel=DIFFUSION,
        ),
    ] = None
    geometry: Annotated[
        Literal["crop", "thesis"],
        typer.Option(
            help="crop: show the model a crop around the mask; thesis: the whole image, squeezed "
            "into a square.",
            rich_help_panel=DIFFUSION,
        ),
    ] = "crop"
    no_paste: Annotated[
        bool,
        typer.Option(
            "--no-paste",
            help="Keep the model's whole output, which differs outside the mask too.",
            rich_help_panel=DIFFUSION,
        ),
    ] = False
    size: Annotated[
        int,
        typer.Option(
            min=32,
            help="Side in pixels that the model works on, a multiple of 32.",
            rich_help_panel=DIFFUSION,
        ),
    ] = 1024
    steps: Annotated[
        int, typer.Option(min=1, help="Denoising steps.", rich_help_panel=DIFFUSION)
    ] = 30
    guidance: Annotated[
        float,
        typer.Option(
            min=0,
            help="Guidance scale: how strictly prompts are followed.",
            rich_help_panel=DIFFUSION,
        ),
    ] = 20.0
    strength: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Denoising strength; 1 ignores the original pixels under the mask, lower values "
            "preserve more of them.",
            rich_help_panel=DIFFUSION,
        ),
    ] = 0.99
    offload: Annotated[
        Literal["none", "model", "sequential"],
        typer.Option(
            help="Keep one network (model) or one layer (sequential) on the GPU at a time, to "
            "save GPU memory.",
            rich_help_panel=DIFFUSION,
        ),
    ] = "none"
