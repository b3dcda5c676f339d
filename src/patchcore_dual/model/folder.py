"""The model on disk: `model.json` and safetensors files named by their content.

Data files are written and flushed first, then `model.json` is replaced in one step, then what
nothing names any more is removed: a process killed at any moment leaves the old model or the new
one. The backbone's weights lie in the folder too, so that it works on any PC.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from patchcore_dual.banks import MemoryBank
from patchcore_dual.errors import ModelError, SettingsError, WeightsError
from patchcore_dual.features import Backbone, check_backbone, choose_device
from patchcore_dual.features.weights import file_sha256, find_weights
from patchcore_dual.model.model import CalibrationSet, Model
from patchcore_dual.scoring import RULES, AdaptiveSearch, Probe, Threshold, Thresholds
from patchcore_dual.settings import Settings
from patchcore_dual.utils.files import write_atomically

SCHEMA_VERSION = 2
MODEL_FILE = "model.json"


class _BackboneEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    levels: tuple[int, ...]
    defect_levels: tuple[int, ...]
    weights_sha256: str


class _ModelFile(BaseModel):
    """What `model.json` holds. `files` gives each data file's name by its role."""

    model_config = ConfigDict(extra="forbid")
    schema_version: int
    settings: Settings
    size: tuple[int, int] | None
    backbone: _BackboneEntry
    rule: str
    rule_constants: dict[str, Any]
    thresholds: dict[str, Any]
    trained_on: dict[str, Any]
    adaptive_search: dict[str, float] = {}
    sources: dict[str, tuple[str, ...]]
    files: dict[str, str]


class _Serialised(NamedTuple):
    text: bytes
    data: dict[str, bytes]


def save_model(model: Model, folder: Path) -> None:
    """Write the model; see the module for what a kill leaves. Raises ModelError."""
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text, data = _serialise(model)
    for name, content in data.items():
        if not _holds(folder / name, content):
            write_atomically(folder / name, content)
    write_atomically(folder / MODEL_FILE, text)
    for leftover in folder.iterdir():
        stale = leftover.suffix == ".safetensors" and leftover.name not in data
        if stale or _is_unfinished(leftover):
            leftover.unlink()


def check_writable(folder: Path) -> None:
    """Raise ModelError where a model could not be saved, before hours of fitting."""
    if folder.exists() and not (folder / MODEL_FILE).is_file() and _is_foreign(folder):
        raise ModelError(f"{folder} exists and is not a model folder. Give another --model.")
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ModelError(f"cannot make the model folder {folder}: {existing} is not writable.")


def fingerprint(model: Model) -> str:
    """16 hex digits of the sha256 of the model's `model.json`."""
    return hashlib.sha256(_serialise(model).text).hexdigest()[:16]


def read_fingerprint(folder: Path) -> str:
    """The same of a model on disk."""
    return file_sha256(folder / MODEL_FILE)[:16]


def load_model(folder: Path, weights: Path | None, device: str) -> Model:
    """Read a model folder; every data file is checked against the hash in its name.

    Raises ModelError that says what is wrong: missing, damaged, from another version, or made
    with other weights than `weights`.
    """
    entry = _read_model_file(folder)
    tensors = {role: _read_arrays(folder / name) for role, name in entry.files.items()}
    thresholds = entry.thresholds
    try:
        backbone = _load_backbone(entry.backbone, tensors["backbone"], folder, weights, device)
        held_out = tensors["held_out"]
        return Model(
            entry.settings,
            backbone,
            entry.size,
            _bank(tensors["normal"], entry.sources["normal"], backbone.levels, backbone),
            _bank(tensors["defect"], entry.sources["defect"], backbone.defect_levels, backbone)
            if "defect" in tensors
            else None,
            _probe(tensors["probe"]) if "probe" in tensors else None,
            RULES[entry.rule].from_state(entry.rule_constants, tensors.get("rule", {})),
            Thresholds(Threshold(**thresholds["image"]), thresholds["pixel"], thresholds["floor"]),
            CalibrationSet(entry.sources["held_out"], **held_out),
            entry.trained_on,
            AdaptiveSearch(**entry.adaptive_search),  # type: ignore[arg-type]
        )
    except (KeyError, TypeError) as error:
        raise ModelError(f"{folder / MODEL_FILE} is damaged ({error}). Fit again.") from None


def _serialise(model: Model) -> _Serialised:
    """The same model gives the same bytes."""
    arrays: dict[str, dict[str, np.ndarray]] = {
        "backbone": {k: np.ascontiguousarray(v.numpy()) for k, v in model.backbone.state.items()},
        "normal": _bank_arrays(model.normal_bank),
        "held_out": {
            "scores": model.held_out.scores,
            "defect_scores": model.held_out.defect_scores,
            "owner": model.held_out.owner,
            "patches": model.held_out.patches,
            "distances": model.held_out.distances,
        },
    }
    sources = {"normal": model.normal_bank.sources, "held_out": model.held_out.names}
    if model.defect_bank is not None:
        arrays["defect"] = _bank_arrays(model.defect_bank)
        sources["defect"] = model.defect_bank.sources
    if model.probe is not None:
        offset = np.array([model.probe.offset])
        arrays["probe"] = {"weights": model.probe.weights, "offset": offset}
    constants, rule_arrays = model.rule.state()
    if rule_arrays:
        arrays["rule"] = rule_arrays
    data, files = {}, {}
    for role, tensors in arrays.items():
        content = save_arrays({k: np.ascontiguousarray(v) for k, v in tensors.items()})
        files[role] = f"{role}-{hashlib.sha256(content).hexdigest()}.safetensors"
        data[files[role]] = content
    entry = _ModelFile(
        schema_version=SCHEMA_VERSION,
        settings=model.settings,
        size=model.size,
        backbone=_BackboneEntry(
            name=model.backbone.name,
            levels=model.backbone.levels,
            defect_levels=model.backbone.defect_levels,
            weights_sha256=model.backbone.weights_sha256,
        ),
        rule=model.about()["scoring"],
        rule_constants=constants,
        thresholds={
            "image": asdict(model.thresholds.image),
            "pixel": model.thresholds.pixel,
            "floor": model.thresholds.map_floor,
        },
        trained_on=model.trained_on,
        adaptive_search=asdict(model.adaptive_search),
        sources=sources,
        files=files,
    )
    return _Serialised((entry.model_dump_json(indent=1) + "\n").encode(), data)


def _bank_arrays(bank: MemoryBank) -> dict[str, np.ndarray]:
    return {"vectors": bank.vectors, "image": bank.image, "cell": bank.cell}


def _bank(
    arrays: dict[str, np.ndarray],
    sources: tuple[str, ...],
    levels: tuple[int, ...],
    backbone: Backbone,
) -> MemoryBank:
    channels = backbone.channels_of(levels)
    return MemoryBank(arrays["vectors"], arrays["image"], arrays["cell"], sources, channels)


def _probe(arrays: dict[str, np.ndarray]) -> Probe:
    return Probe(arrays["weights"], float(arrays["offset"][0]))


def _read_model_file(folder: Path) -> _ModelFile:
    path = folder / MODEL_FILE
    if not path.is_file():
        raise ModelError(
            f"{folder} is not a model folder: it has no {MODEL_FILE}. "
            "Make one with: patchcore-dual fit PREPARED --model MODEL"
        )
    try:
        raw = json.loads(path.read_bytes())
        version = raw.get("schema_version")
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        raise ModelError(f"{path} is damaged: it is not JSON of a model. Fit again.") from None
    if version != SCHEMA_VERSION:
        raise ModelError(
            f"{path} is of schema version {version}; this program reads {SCHEMA_VERSION}. "
            "Fit again, or use the version of PatchCoreDual that made it."
        )
    try:
        return _ModelFile.model_validate(raw)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ModelError(f"{path} is damaged at {where}. Fit again.") from None


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        content = path.read_bytes()
    except OSError:
        raise ModelError(f"{path} is missing: the model folder is incomplete.") from None
    if hashlib.sha256(content).hexdigest() not in path.name:
        raise ModelError(f"{path} is damaged: its content does not match its name. Fit again.")
    try:
        return load_arrays(content)
    except SafetensorError as error:
        raise ModelError(f"{path} is damaged ({error}). Fit again.") from None


def _load_backbone(
    entry: _BackboneEntry,
    tensors: dict[str, np.ndarray],
    folder: Path,
    weights: Path | None,
    device: str,
) -> Backbone:
    if weights is not None and file_sha256(find_weights(entry.name, weights)) != (
        entry.weights_sha256
    ):
        raise ModelError(
            f"{folder} was made with other weights than {weights}: its scores would mean nothing. "
            "Leave --weights away (the model carries its own), or fit again."
        )
    target = choose_device(device)
    state = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
    try:
        check_backbone(entry.name, entry.levels)
        check_backbone(entry.name, entry.defect_levels)
        levels = entry.levels, entry.defect_levels
        return Backbone(entry.name, *levels, state, entry.weights_sha256, target)
    except (SettingsError, WeightsError) as error:
        raise ModelError(f"{folder / MODEL_FILE} is damaged: {error} Fit again.") from None


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file is there and undamaged, so that it need not be written again."""
    return path.is_file() and path.read_bytes() == content


def _is_unfinished(path: Path) -> bool:
    """Whether a killed `write_atomically` left this file."""
    return path.name.startswith(f".{MODEL_FILE}.") or (
        path.name.startswith(".") and ".safetensors." in path.name
    )


def _is_foreign(folder: Path) -> bool:
    """Whether a folder without `model.json` holds anything that a killed save does not leave."""
    if not folder.is_dir():
        return True
    return any(
        p.suffix != ".safetensors" and not p.name.startswith(f".{MODEL_FILE}")
        for p in folder.iterdir()
        if not (p.name.startswith(".") and ".safetensors." in p.name)
    )
