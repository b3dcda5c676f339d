"""Drift in a log that `inspect --jsonl` wrote."""

from pathlib import Path
from typing import NamedTuple

from patchcore_dual.data.inspection_log import read_log
from patchcore_dual.data.listing import printable
from patchcore_dual.errors import DataError, ModelError
from patchcore_dual.live.drift_report import NOT_GOOD, NOT_KEPT
from patchcore_dual.live.sentinel import LEVEL, Sentinel
from patchcore_dual.model.folder import load_with_fingerprint
from patchcore_dual.scoring.appearance import Appearance


class DriftInLog(NamedTuple):
    """What a log shows.

    Attributes:
        sentinel: that has seen it.
        paths: of the images, in order, as they are logged.
        rejected: how many of them were rejected, or not inspected.
        unreadable: how many lines are of images that could not be read.
    """

    sentinel: Sentinel
    paths: list[str]
    rejected: int
    unreadable: int


def drift_in_log(model: Path, log: Path, level: float = LEVEL) -> DriftInLog:
    """Look for drift in the inspections of a log, in its order.

    Args:
        model: the folder of the model that inspected; `MODEL@3` for its version 3.
        log: a file of the lines that `inspect --jsonl` prints, or a folder of results.
        level: probability of a false alarm.

    Raises:
        ModelError: for a model that cannot be read, or keeps no reference.
        DataError: for a log that cannot be read, is empty, damaged, of another model, or was
            written without the figures that drift is judged by.
        SettingsError: for a level that is no probability.
    """
    fitted, fingerprint, _ = load_with_fingerprint(model)
    if fitted.drift is None:
        raise ModelError(f"no drift can be found with {model}: {NOT_KEPT}")
    sentinel = Sentinel(fitted.drift, level)
    paths: list[str] = []
    rejected = unreadable = 0
    for number, line in read_log(log):
        where = f"{printable(log)}, line {number}"
        if "error" in line:
            unreadable += 1
            continue
        if line.get("model") != fingerprint:
            raise DataError(
                f"{where} was inspected by the model {line.get('model', '?')}, but {model} is "
                f"{fingerprint}. Name the version that inspected, as {model}@3 (see "
                f"`patchcore-dual history {model}`), or inspect the images again."
            )
        if line.get("appearance") is None:
            raise DataError(
                f"{where} says nothing of how the image looks: it was written by an older version. "
                "Inspect the images again with `patchcore-dual inspect MODEL IMAGES --jsonl`."
            )
        try:
            sentinel.add(Appearance.from_json(line["appearance"]))
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{where} is damaged at appearance. Leave the line out.") from None
        paths.append(str(line.get("path", "")))
        rejected += line["verdict"] in NOT_GOOD
    if not paths:
        raise DataError(
            f"{log} holds no inspection. Write one with `patchcore-dual inspect {model} IMAGES "
            f"--jsonl > {log}`."
        )
    return DriftInLog(sentinel, paths, rejected, unreadable)
