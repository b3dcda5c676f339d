"""Choices and texts that several commands share."""

import re
from typing import Annotated, Literal

import typer

from patchcore_dual.errors import SettingsError

Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
BackboneName = Literal["efficientnet_lite0", "resnet18", "resnet34", "resnet50", "wide_resnet50_2"]
RuleName = Literal["calibrated", "ratio", "contrast", "thesis", "patchcore", "patchcore-weighted"]


def parse_numbers(option: str, text: str) -> tuple[int, ...]:
    """`2,3` as (2, 3)."""
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
