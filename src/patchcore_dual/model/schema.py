"""What `model.json` holds, and how the `model.json` of an older version is brought up to date."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from patchcore_dual.errors import ModelError
from patchcore_dual.settings import Settings

SCHEMA_VERSION = 8
MODEL_FILE = "model.json"
SHEET_FILE = "pseudo_masks.jpg"  # pictures for the user, which loading ignores
DECIDING_FILE = "deciding_images.jpg"

Raw = dict[str, Any]


class EmbedderEntry(BaseModel):
    """The fields of an `EmbedderSpec`."""

    model_config = ConfigDict(extra="forbid")
    backbone: str
    levels: tuple[int, ...]
    level_channels: tuple[int, ...]
    stride: int
    count_padding: bool
    weights_sha256: str
    precision: str
    projection_seed: int | None
    pad_to_cells: bool
    resolutions: tuple[int, ...]

    @field_validator("levels")
    @classmethod
    def _are_increasing(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if list(levels) != sorted(set(levels)) or not set(levels) <= {1, 2, 3, 4}:
            raise ValueError("levels have to be increasing numbers of 1 to 4")
        return levels


class ModelFile(BaseModel):
    """What `model.json` holds.

    Attributes:
        rule, rule_constants: name of the fusion rule and what it learned, arrays aside.
        sources: the images of each bank, by the bank's role.
        calibration: the plain values of the calibration set; None without one.
        files: the names of the data files of each role. Those of a bank are its segments, in
            order.
        alignment: the settings of the model's `Aligner`, whose reference is a data file; left out
            where images are not aligned.
    """

    model_config = ConfigDict(extra="forbid")
    schema_version: int
    settings: Settings
    size: tuple[int, int] | None
    embedder: EmbedderEntry
    rule: str
    rule_constants: dict[str, Any]
    thresholds: dict[str, Any]
    adaptive_search: dict[str, float]
    trained_on: dict[str, Any]
    sources: dict[str, tuple[str, ...]]
    calibration: dict[str, Any] | None
    files: dict[str, tuple[str, ...]]
    alignment: dict[str, Any] | None = None


def read_model_file(text: bytes, path: Path) -> ModelFile:
    """A `model.json` brought up to date.

    Args:
        text: its content.
        path: the file, for messages.

    Raises:
        ModelError: where it is damaged, or of a newer version of the program.
    """
    try:
        raw = json.loads(text)
        version = raw["schema_version"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise ModelError(f"{path} is damaged: it is not JSON of a model. Fit again.") from None
    oldest = min(MIGRATIONS)
    if version not in range(oldest, SCHEMA_VERSION + 1):
        advice = "Update PatchCoreDual, or fit again."
        if isinstance(version, int) and version < oldest:
            advice = "Fit again, or use the version of PatchCoreDual that made it."
        raise ModelError(
            f"{path} is of schema version {version}; this program reads versions {oldest} to "
            f"{SCHEMA_VERSION}. {advice}"
        )
    try:
        for step in range(version, SCHEMA_VERSION):
            raw = {**MIGRATIONS[step](raw), "schema_version": step + 1}
        return ModelFile.model_validate(raw)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ModelError(f"{path} is damaged at {where}. Fit again.") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}). Fit again.") from None


# Channels of levels 1 to 4 of the networks that schema 2 knew.
_CHANNELS_OF_2 = {
    "efficientnet_lite0": (24, 40, 112, 320),
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
    "wide_resnet50_2": (256, 512, 1024, 2048),
}


def _from_2(raw: Raw) -> Raw:
    """Schema 2 named a backbone in place of an embedder, and kept no calibration set."""
    raw = dict(raw)
    backbone, old = raw.pop("backbone"), raw.pop("decision")
    levels = sorted({*backbone["levels"], *backbone["defect_levels"]})
    search = raw.pop("closer_look", {})
    files, sources = dict(raw["files"]), dict(raw["sources"])
    files["network"] = files.pop("backbone")
    files.pop("held_out", None)
    sources.pop("held_out", None)
    return {
        **raw,
        "embedder": {
            "backbone": backbone["name"],
            "levels": levels,
            "level_channels": [_CHANNELS_OF_2[backbone["name"]][k - 1] for k in levels],
            "stride": 2 ** (backbone["levels"][0] + 1),
            "count_padding": Settings(scoring=raw["settings"]["scoring"]).counts_padding,
            "weights_sha256": backbone["weights_sha256"],
            "precision": "float32",
            "projection_seed": None,
        },
        "thresholds": {**{k: v for k, v in old.items() if k != "floor"}, "map_floor": old["floor"]},
        "adaptive_search": {
            "exact_share": search.get("share", 1.0),
            "score_error": search.get("score_error", 0.0),
            "images": search.get("images", 0),
        },
        "calibration": None,
        "files": files,
        "sources": sources,
    }


def _from_3(raw: Raw) -> Raw:
    """Schema 3 did not pad images, so that its models keep their features and scores."""
    return {**raw, "embedder": {**raw["embedder"], "pad_to_cells": False}}


def _from_4(raw: Raw) -> Raw:
    """Schema 4 knew no groups: each image is its own, and what it promised it expected.

    Its review band followed from each image's uncertainty; it gets none, so that it passes or
    rejects, until a threshold is set anew.
    """
    image, calibration = dict(raw["thresholds"]["image"]), raw["calibration"]
    promised, asked = image.pop("false_alarm_rate"), raw["settings"]["false_alarm_rate"]
    image |= {"asked": asked, "promised": promised, "expected": promised, "groups": image["images"]}
    if calibration is not None:
        calibration = {**calibration, "groups": calibration["normals"]}
    return {
        **raw,
        "thresholds": {**raw["thresholds"], "image": image, "review": image},
        "calibration": calibration,
    }


def _from_5(raw: Raw) -> Raw:
    """Schema 5 embedded images at one resolution."""
    return {
        **raw,
        "settings": {**raw["settings"], "resolutions": [1]},
        "embedder": {**raw["embedder"], "resolutions": [1]},
    }


def _from_6(raw: Raw) -> Raw:
    """Schema 6 kept the network's tensors alone, of which PyTorch makes the graph."""
    return {**raw, "settings": {**raw["settings"], "precision": "float32"}}


def _from_7(raw: Raw) -> Raw:
    """Schema 7 had one file for each role."""
    return {**raw, "files": {role: [name] for role, name in raw["files"].items()}}


# Each converts a `model.json` of its version to the next one.
MIGRATIONS: dict[int, Callable[[Raw], Raw]] = {
    2: _from_2,
    3: _from_3,
    4: _from_4,
    5: _from_5,
    6: _from_6,
    7: _from_7,
}
