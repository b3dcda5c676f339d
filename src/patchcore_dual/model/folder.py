"""The model on disk: `model.json`, and data files named by their content.

Data files are written and flushed first, then `model.json` is replaced in one step, then files
that nothing names any more are removed: a process killed at any moment leaves the old model or the
new one. The network lies in the folder too, so that a model runs on any PC.
"""

import filecmp
import hashlib
import itertools
import os
import re
import shutil
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from patchcore_dual.banks import MemoryBank
from patchcore_dual.errors import ModelError
from patchcore_dual.features import BACKBONES, EmbedderSpec, Graph
from patchcore_dual.model.calibration import CalibrationSet, bank_arrays
from patchcore_dual.model.model import Model, bank_channels
from patchcore_dual.model.schema import (
    DECIDING_FILE,
    MODEL_FILE,
    SCHEMA_VERSION,
    SHEET_FILE,
    EmbedderEntry,
    ModelFile,
    read_model_file,
)
from patchcore_dual.scoring import RULES, Probe, Threshold, Thresholds
from patchcore_dual.scoring.adaptive_search import AdaptiveSearch
from patchcore_dual.utils.files import file_sha256, write_atomically
from patchcore_dual.utils.locking import locked

_SHEETS = (SHEET_FILE, DECIDING_FILE)  # pictures of what one model was fitted on
_SUFFIXES = {"graph": "xml", "graph_weights": "bin"}  # of data files by role; others: safetensors
_ALL_SUFFIXES = ("safetensors", *_SUFFIXES.values())
_DATA_FILE = re.compile(rf"[a-z_]+-[0-9a-f]{{64}}\.({'|'.join(_ALL_SUFFIXES)})")
_BYTES = ("network", *_SUFFIXES)  # roles of files that are read as they are


class _Serialised(NamedTuple):
    text: bytes
    data: dict[str, bytes]


def save_model(model: Model, folder: Path, *, overwrite: bool = False) -> Path | None:
    """Write the model so that a reader, or a crash, meets the old model or the new one.

    Args:
        overwrite: whether another model in the folder may be replaced. It is kept beside it.

    Returns:
        The folder in which the former model is kept; None where none was replaced.

    Raises:
        ModelError: where the folder holds something else, or another model that may not be
            replaced, or cannot be written.
    """
    text, data = _serialise(model)
    path = folder / MODEL_FILE
    is_other = path.is_file() and path.read_bytes() != text
    check_writable(folder, overwrite=overwrite or not is_other)
    former = _keep_former(folder) if is_other else None
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in data.items():
        if not _holds(folder / name, content):
            write_atomically(folder / name, content)
    write_atomically(path, text)
    for leftover in folder.iterdir():
        stale = _DATA_FILE.fullmatch(leftover.name) and leftover.name not in data
        if stale or _is_unfinished(leftover) or (is_other and leftover.name in _SHEETS):
            leftover.unlink()
    return former


def update_model(model: Model, folder: Path) -> None:
    """Write a changed model over its own folder, whole or not at all; what it used to name stays.

    Raises:
        DataError: where a fit is writing into the folder.
        ModelError: where it cannot be written.
    """
    text, data = _serialise(model)
    check_writable(folder, overwrite=True)
    with locked(folder.absolute(), "fit", "Try again when it has ended."):
        for name, content in data.items():
            if not _holds(folder / name, content):
                write_atomically(folder / name, content)
        write_atomically(folder / MODEL_FILE, text)


def check_writable(folder: Path, *, overwrite: bool = False) -> None:
    """Raise ModelError where a model could not be saved, before hours of fitting."""
    path = folder / MODEL_FILE
    if folder.exists() and not path.is_file() and _is_foreign(folder):
        raise ModelError(f"{folder} exists and is not a model folder. Give another --model.")
    if path.is_file() and not overwrite:
        written = datetime.fromtimestamp(path.stat().st_mtime)
        raise ModelError(
            f"{folder} already holds a model, of {written:%Y-%m-%d %H:%M}, and is left as it is. "
            "Give another --model, or replace it with --overwrite, which keeps the former model as "
            f"{_former_name(folder).name}."
        )
    # Beside the folder lie the unfinished fit, the lock and a former model.
    for place in (folder, folder.absolute().parent):
        existing = next(p for p in (place, *place.absolute().parents) if p.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise ModelError(f"cannot make the model folder {folder}: {existing} is not writable.")


def _keep_former(folder: Path) -> Path:
    """Copy a model folder beside itself, whole or not at all; it can be used meanwhile."""
    former = _former_name(folder)
    if former.exists():  # a copy that a killed save has made
        return former
    partial = former.with_name(f".{former.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(folder, partial)
        partial.rename(former)
    except OSError as error:  # of copytree, or of a single file
        shutil.rmtree(partial, ignore_errors=True)
        raise ModelError(
            f"cannot keep the former model as {former}: {error.strerror or error}. "
            f"{folder} is as it was. Make room, or give another --model."
        ) from None
    return former


def _former_name(folder: Path) -> Path:
    """The first of NAME.previous, NAME.previous-2 and so on that is free or holds this model."""
    absolute = folder.absolute()
    for number in itertools.count(1):
        suffix = f"-{number}" if number > 1 else ""
        former = absolute.with_name(f"{absolute.name}.previous{suffix}")
        if not os.path.lexists(former) or _is_copy(former, folder):
            return former
    raise AssertionError


def _is_copy(former: Path, folder: Path) -> bool:
    if not former.is_dir():
        return False
    compared = filecmp.dircmp(folder, former)
    return not (compared.left_only or compared.diff_files or compared.funny_files)


def fingerprint(model: Model) -> str:
    """16 hex digits of the sha256 of the model's `model.json`."""
    return hashlib.sha256(_serialise(model).text).hexdigest()[:16]


def read_fingerprint(folder: Path) -> str:
    """The fingerprint of a model on disk, as it was saved."""
    return file_sha256(folder / MODEL_FILE)[:16]


def load_model(folder: Path) -> Model:
    """Read a model folder; every data file is checked against the hash in its name.

    The calibration set alone is left on disk until it is used.

    Raises:
        ModelError: where the model is missing, damaged, or of a newer version.
    """
    entry = read_model_file(folder)
    try:
        tensors = {
            role: _read_arrays(folder / name)
            for role, name in entry.files.items()
            if role not in ("calibration", *_BYTES)
        }
        kept = {role: _read(folder / entry.files[role]) for role in _BYTES if role in entry.files}
        spec = EmbedderSpec(**entry.embedder.model_dump())
        if kept and not (spec.backbone in BACKBONES and spec.levels):
            raise KeyError(f"no backbone {spec.backbone!r}")
        normal_channels, defect_channels = bank_channels(spec, entry.settings)
        image, review = (Threshold(**entry.thresholds[name]) for name in ("image", "review"))
        return Model(
            settings=entry.settings,
            spec=spec,
            network=kept.get("network"),
            graph=Graph(kept["graph"], kept["graph_weights"]) if "graph" in kept else None,
            size=entry.size,
            normal_bank=_bank(tensors["normal"], entry.sources["normal"], normal_channels),
            defect_bank=_bank(tensors["defect"], entry.sources["defect"], defect_channels)
            if "defect" in tensors
            else None,
            probe=_probe(tensors["probe"]) if "probe" in tensors else None,
            rule=RULES[entry.rule].from_state(entry.rule_constants, tensors.get("rule", {})),
            thresholds=Thresholds(
                image, review, entry.thresholds["pixel"], entry.thresholds["map_floor"]
            ),
            adaptive_search=AdaptiveSearch(**entry.adaptive_search),  # type: ignore[arg-type]
            trained_on=entry.trained_on,
            read_calibration=partial(_read_calibration, folder.absolute(), entry),
        )
    except (KeyError, TypeError) as error:
        raise ModelError(f"{folder / MODEL_FILE} is damaged ({error}). Fit again.") from None


def _read_calibration(folder: Path, entry: ModelFile) -> CalibrationSet | None:
    if entry.calibration is None:
        return None
    try:
        arrays = _read_arrays(folder / entry.files["calibration"])
        return CalibrationSet.from_arrays(entry.calibration, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / MODEL_FILE} is damaged ({error}). Fit again.") from None


def _serialise(model: Model) -> _Serialised:
    """The same model gives the same bytes."""
    arrays = {"normal": bank_arrays(model.normal_bank)}
    sources = {"normal": model.normal_bank.sources}
    if model.defect_bank is not None:
        arrays["defect"] = bank_arrays(model.defect_bank)
        sources["defect"] = model.defect_bank.sources
    if model.probe is not None:
        offset = np.array([model.probe.offset])
        arrays["probe"] = {"weights": model.probe.weights, "offset": offset}
    constants, rule_arrays = model.rule.state()
    if rule_arrays:
        arrays["rule"] = rule_arrays
    calibration = None
    if model.calibration is not None:
        calibration, arrays["calibration"] = model.calibration.to_arrays()
    content = {
        role: save_arrays({k: np.ascontiguousarray(v) for k, v in tensors.items()})
        for role, tensors in arrays.items()
    }
    if model.network is not None:
        content["network"] = model.network
    if model.graph is not None:
        content["graph"], content["graph_weights"] = model.graph
    files = {
        role: f"{role}-{hashlib.sha256(data).hexdigest()}.{_SUFFIXES.get(role, 'safetensors')}"
        for role, data in content.items()
    }
    entry = ModelFile(
        schema_version=SCHEMA_VERSION,
        settings=model.settings,
        size=model.size,
        embedder=EmbedderEntry(**asdict(model.spec)),
        rule=model.rule.name,
        rule_constants=constants,
        thresholds=asdict(model.thresholds),
        adaptive_search=asdict(model.adaptive_search),
        trained_on=model.trained_on,
        sources=sources,
        calibration=calibration,
        files=files,
    )
    data = {files[role]: content[role] for role in content}
    return _Serialised((entry.model_dump_json(indent=1) + "\n").encode(), data)


def _bank(
    arrays: dict[str, np.ndarray], sources: tuple[str, ...], channels: np.ndarray | None
) -> MemoryBank:
    return MemoryBank(arrays["vectors"], arrays["image"], arrays["cell"], sources, channels)


def _probe(arrays: dict[str, np.ndarray]) -> Probe:
    return Probe(arrays["weights"], float(arrays["offset"][0]))


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError:
        raise ModelError(f"{path} is missing: the model folder is incomplete.") from None
    if hashlib.sha256(content).hexdigest() not in path.name:
        raise ModelError(f"{path} is damaged: its content does not match its name. Fit again.")
    return content


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        arrays: dict[str, np.ndarray] = load_arrays(_read(path))
        return arrays
    except SafetensorError as error:
        raise ModelError(f"{path} is damaged ({error}). Fit again.") from None


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file is there and undamaged, so that it need not be written again."""
    return path.is_file() and path.read_bytes() == content


def _is_unfinished(path: Path) -> bool:
    """Whether a killed `write_atomically` left this file."""
    name = path.name
    return name.startswith(f".{MODEL_FILE}.") or (
        name.startswith(".") and any(f".{suffix}." in name for suffix in _ALL_SUFFIXES)
    )


def _is_foreign(folder: Path) -> bool:
    """Whether a folder without `model.json` holds anything that a killed save does not leave."""
    if not folder.is_dir():
        return True
    return any(not _DATA_FILE.fullmatch(p.name) and not _is_unfinished(p) for p in folder.iterdir())
