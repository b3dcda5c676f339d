"""The model on disk: `model.json`, and data files named by their content.

Data files are written and flushed first, then `model.json` is replaced in one step, then files
that nothing names any more are removed: a process killed at any moment leaves the old model or the
new one. The network lies in the folder too, so that a model runs on any PC.
"""

import hashlib
import os
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from patchcore_dual.banks import MemoryBank
from patchcore_dual.data.alignment import Aligner
from patchcore_dual.errors import DataError, ModelError, SettingsError
from patchcore_dual.features import BACKBONES, EmbedderSpec, Graph
from patchcore_dual.model.calibration import Arrays, CalibrationSet
from patchcore_dual.model.edits import (
    is_unfinished,
    locked_model,
    record,
    settle,
    sweep,
    write_data,
)
from patchcore_dual.model.ledger import Version
from patchcore_dual.model.model import Model, bank_channels
from patchcore_dual.model.schema import (
    DECIDING_FILE,
    MODEL_FILE,
    SHEET_FILE,
    ModelFile,
    read_model_file,
)
from patchcore_dual.model.serialised import DATA_FILE, SUFFIXES, fingerprint_of, serialise
from patchcore_dual.model.versions import (
    check_ledger,
    fit_edit,
    history,
    version_file,
    version_in_place,
    version_text,
)
from patchcore_dual.scoring import RULES, Probe, Threshold, Thresholds
from patchcore_dual.scoring.adaptive_search import AdaptiveSearch
from patchcore_dual.scoring.drift_reference import DriftReference
from patchcore_dual.utils.files import write_atomically

_SHEETS = (SHEET_FILE, DECIDING_FILE)  # pictures of what one model was fitted on
_BANKS = ("normal", "defect")
_BYTES = ("network", *SUFFIXES)  # roles of files that are read as they are


def save_model(
    model: Model, folder: Path, *, overwrite: bool = False, is_locked: bool = False
) -> Version | None:
    """Write the model so that a reader, or a crash, meets the old model or the new one.

    Args:
        overwrite: whether another model in the folder may be replaced. It stays as a version.
        is_locked: whether the caller holds the lock of the folder, as `fit` does.

    Returns:
        The version that the former model is; None where none was replaced.

    Raises:
        ModelError: where the folder holds something else, or another model that may not be
            replaced, or cannot be written.
        DataError: where another process keeps it.
    """
    text, data = serialise(model)
    path = folder / MODEL_FILE
    is_other = path.is_file() and path.read_bytes() != text
    check_writable(folder, overwrite=overwrite or not is_other)
    folder.mkdir(parents=True, exist_ok=True)
    former = None
    with nullcontext() if is_locked or not path.is_file() else locked_model(folder):
        is_other = path.is_file() and path.read_bytes() != text  # or has become one meanwhile
        check_writable(folder, overwrite=overwrite or not is_other)
        if is_other:
            settle(folder)
            former = version_in_place(folder)
        write_data(folder, data)
        if former is None:
            write_atomically(path, text)
        elif path.read_bytes() != text:  # a killed change may have been completed to it
            record(folder, text, fit_edit(text))
            for name in _SHEETS:
                (folder / name).unlink(missing_ok=True)
        sweep(folder)
    return former


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
            f"a version that `patchcore-dual undo {folder}` returns to."
        )
    if path.is_file():
        check_ledger(folder)
    # Beside the folder lie the unfinished fit and the lock.
    for place in (folder, folder.absolute().parent):
        existing = next(p for p in (place, *place.absolute().parents) if p.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise ModelError(f"cannot make the model folder {folder}: {existing} is not writable.")


def read_fingerprint(folder: Path) -> str:
    """The fingerprint of a model on disk, as it was saved; ModelError where none is there."""
    return fingerprint_of(_read_text(*_located(folder)))


def load_model(folder: Path) -> Model:
    """Read a model folder; every data file is checked against the hash in its name.

    The calibration set alone is left on disk until it is used.

    Args:
        folder: of the model. `MODEL@3` is its version 3, `MODEL@approved` the one with that tag.

    Raises:
        ModelError: where the model is missing, damaged, or of a newer version of the program.
    """
    return load_with_fingerprint(folder)[0]


def load_with_fingerprint(folder: Path) -> tuple[Model, str, Path]:
    """As `load_model`, with the fingerprint of what was read, and the folder without a version.

    Others may change the model meanwhile.
    """
    folder, path = _located(folder)
    while True:
        text = _read_text(folder, path)
        try:
            return _model(folder, path, text), fingerprint_of(text), folder
        except ModelError:  # where it was changed and pruned meanwhile, the new one is whole
            if path.is_file() and path.read_bytes() == text:
                raise


def _model(folder: Path, path: Path, text: bytes) -> Model:
    entry = read_model_file(text, path)
    try:
        data = {
            role: [_read_arrays(folder / name) for name in names]
            for role, names in entry.files.items()
            if role not in ("calibration", *_BYTES)
        }
        kept = {
            role: _read(folder / entry.files[role][0]) for role in _BYTES if role in entry.files
        }
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
            normal_bank=_bank(data["normal"], entry.sources["normal"], normal_channels),
            defect_bank=_bank(data["defect"], entry.sources["defect"], defect_channels)
            if "defect" in data
            else None,
            probe=_probe(data["probe"][0]) if "probe" in data else None,
            rule=RULES[entry.rule].from_state(entry.rule_constants, data.get("rule", [{}])[0]),
            thresholds=Thresholds(
                image, review, entry.thresholds["pixel"], entry.thresholds["map_floor"]
            ),
            adaptive_search=AdaptiveSearch(**entry.adaptive_search),  # type: ignore[arg-type]
            trained_on=entry.trained_on,
            read_calibration=partial(_read_calibration, folder.absolute(), entry, path),
            aligner=_aligner(data["reference"][0], entry) if entry.alignment else None,
            segments={
                role: tuple(len(one["vectors"]) for one in data[role])
                for role in _BANKS
                if role in data
            },
            roi=data["roi"][0]["inspected"] if "roi" in data else None,
            drift=DriftReference.from_arrays(entry.sources["drift"], data["drift"][0])
            if "drift" in data
            else None,
        )
    except (KeyError, TypeError, IndexError, SettingsError, DataError) as error:
        raise ModelError(f"{path} is damaged ({error}). Fit again.") from None


def _located(folder: Path) -> tuple[Path, Path]:
    """The folder and the `model.json` of a model, or of the version after an @."""
    name, at, which = folder.name.rpartition("@")
    if not at or not name or folder.exists():
        return folder, folder / MODEL_FILE
    folder = folder.with_name(name)
    version = history(folder).find(which, folder)
    version_text(folder, version)
    path = version_file(folder, version.fingerprint)
    return folder, path if path.is_file() else folder / MODEL_FILE  # that of an unchanged model


def _read_text(folder: Path, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ModelError(
            f"{folder} is not a model folder: it has no {path.name}. "
            "Make one with: patchcore-dual fit PREPARED --model MODEL"
        ) from None


def _read_calibration(folder: Path, entry: ModelFile, path: Path) -> CalibrationSet | None:
    if entry.calibration is None:
        return None
    try:
        arrays: Arrays = {}
        for name in entry.files["calibration"]:
            arrays |= _read_arrays(folder / name)
        return CalibrationSet.from_arrays(entry.calibration, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}). Fit again.") from None


def _bank(
    segments: list[Arrays], sources: tuple[str, ...], channels: np.ndarray | None
) -> MemoryBank:
    first, *others = segments
    whole = first
    if others:
        whole = {name: np.concatenate([one[name] for one in segments]) for name in first}
    return MemoryBank(whole["vectors"], whole["image"], whole["cell"], sources, channels)


def _probe(arrays: Arrays) -> Probe:
    return Probe(arrays["weights"], float(arrays["offset"][0]))


def _aligner(arrays: Arrays, entry: ModelFile) -> Aligner:
    return Aligner(arrays["pixels"], **(entry.alignment or {}))


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError:
        raise ModelError(f"{path} is missing: the model folder is incomplete.") from None
    if hashlib.sha256(content).hexdigest() not in path.name:
        raise ModelError(f"{path} is damaged: its content does not match its name. Fit again.")
    return content


def _read_arrays(path: Path) -> Arrays:
    try:
        arrays: Arrays = load_arrays(_read(path))
        return arrays
    except SafetensorError as error:
        raise ModelError(f"{path} is damaged ({error}). Fit again.") from None


def _is_foreign(folder: Path) -> bool:
    """Whether a folder without `model.json` holds anything that a killed save does not leave."""
    if not folder.is_dir():
        return True
    return any(not DATA_FILE.fullmatch(p.name) and not is_unfinished(p) for p in folder.iterdir())
