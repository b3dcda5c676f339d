"""Choices and texts that several commands share."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from patchcore_dual.errors import SettingsError

if TYPE_CHECKING:
    from patchcore_dual.scoring.operating_points import Costs

Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
By = Annotated[
    str | None,
    typer.Option(help="Who makes the change.", show_default="the user of the system"),
]
Why = Annotated[str, typer.Option(help="The reason, for the model's history.")]
MissCost = Annotated[
    float | None,
    typer.Option(help="What a defective part that passes costs.", rich_help_panel="Costs"),
]
FalseAlarmCost = Annotated[
    float | None,
    typer.Option(help="What a normal part that is rejected costs.", rich_help_panel="Costs"),
]
DefectShare = Annotated[
    float | None,
    typer.Option(help="Share of all parts that are defective.", rich_help_panel="Costs"),
]
Roi = Annotated[
    Path | None,
    typer.Option(
        "--roi",
        metavar="MASK|JSON",
        help="The region of interest: an image that is white where parts are inspected, or a JSON "
        "file of polygons. Nothing outside counts.",
    ),
]
Ignore = Annotated[
    Path | None,
    typer.Option(
        "--ignore",
        metavar="MASK|JSON",
        help="What is not inspected, as a fixture or a label: white in an image, or inside of "
        "polygons in a JSON file.",
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(
        help="What `inspect --jsonl` printed: show which of the images inspected lately would be "
        "judged otherwise."
    ),
]
Last = Annotated[int, typer.Option(help="How many images of the --log, the latest.")]
Prepared = Annotated[
    Path | None,
    typer.Option(help="The prepared folder that the model was fitted on, if it is elsewhere now."),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="auto|HOST:PORT",
        help="Use a cluster of Ray: the one at an address; or that of this machine, which is "
        "started where none runs.",
        rich_help_panel="Many images",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Number of processes.",
        show_default="one for each core",
        rich_help_panel="Many images",
    ),
]
BackboneName = Literal[
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "resnet18",
    "resnet34",
    "resnet50",
    "wide_resnet50_2",
    "dinov2_small",
    "dinov2_base",
    "dinov2_small_reg",
    "dinov2_base_reg",
    "dinov3_small",
    "dinov3_base",
]
RuleName = Literal["calibrated", "ratio", "contrast", "thesis", "patchcore", "patchcore-weighted"]


def parse_numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """`2,3` as (2, 3); None for an option that was not given."""
    if text is None:
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise SettingsError(f"{option} {text!r}: give numbers, as 2,3.") from None


def parse_size(size: str, others: str) -> tuple[int, int] | None:
    """`224x632` as (224, 632), `native` as None; SettingsError, with the `others`, for the rest."""
    if size == "native":
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,9})x([1-9][0-9]{0,9})", size)
    if match is None:
        raise SettingsError(
            f"--size is {size!r}; use WIDTHxHEIGHT in pixels, as 224x632, or {others}."
        )
    return int(match[1]), int(match[2])


def parse_tile(tile: str | None) -> tuple[int, int] | None:
    """`1024x512` as (1024, 512); SettingsError for anything else."""
    if tile is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", tile)
    if match is None:
        raise SettingsError(f"--tile is {tile!r}; use WIDTHxHEIGHT in pixels, as 1024x1024.")
    return int(match[1]), int(match[2])


def parse_costs(
    miss: float | None, false_alarm: float | None, defect_share: float | None
) -> "Costs | None":
    """The costs; None where none of the three is given, SettingsError where only some are."""
    from patchcore_dual.scoring.operating_points import Costs

    if miss is None and false_alarm is None and defect_share is None:
        return None
    if miss is None or false_alarm is None or defect_share is None:
        raise SettingsError(
            "a cost takes all of --miss-cost, --false-alarm-cost and --defect-share."
        )
    for name, value, senseless in (
        ("--miss-cost", miss, "pass"),
        ("--false-alarm-cost", false_alarm, "reject"),
    ):
        if not (value > 0 and math.isfinite(value)):
            why = f", since otherwise it costs least to {senseless} every part" if not value else ""
            raise SettingsError(f"{name} is {value:g}; give a number above 0{why}.")
    check_share("--defect-share", defect_share)
    return Costs(miss, false_alarm, defect_share)


def check_share(name: str, value: float | None) -> None:
    """SettingsError for what is no share of parts."""
    if value is not None and not 0 < value < 1:
        raise SettingsError(f"{name} is {value:g}; give a number between 0 and 1, as 0.02.")
