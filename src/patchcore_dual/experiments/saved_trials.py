"""`SavedTrials`: the evaluations of finished trials on disk, from which a run resumes."""

import hashlib
import json
import math
from dataclasses import astuple, fields
from functools import cache
from pathlib import Path
from typing import Any

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError
from patchcore_dual.evaluation.image_result import ImageResult
from patchcore_dual.evaluation.results import Evaluation, KindResult
from patchcore_dual.experiments.pixel_pairs import PixelPairs, TrialEvaluation
from patchcore_dual.experiments.trials import Trial
from patchcore_dual.scoring import OperatingPoint, Threshold
from patchcore_dual.utils.checkpoint import Checkpoint, plan_digest
from patchcore_dual.utils.files import write_atomically

TRIALS_FOLDER = "trials"


class SavedTrials:
    """The finished trials of one protocol on one data set with one detector.

    They lie in REPORT/trials/TARGET-SPLITS-DIGEST, a `Checkpoint` whose plan, and so whose name,
    holds everything that all figures depend on: data, settings, weights and code. Its journal has
    one entry for each finished trial, with a hash of everything that this trial's figures depend
    on besides, and the name and hash of the JSON file of its evaluations. More seeds or draws thus
    continue with the trials of fewer.

    Args:
        report: the folder of the protocol's page.
        name: of the protocol and its splits.
        manifest: the data set, before it is split again.
        detector: gives settings, except for `scoring`, `patches` and `seed`, and the weights.

    Raises:
        DataError: where the folder is damaged or cannot be written.
    """

    def __init__(
        self, report: Path, name: str, manifest: Manifest, detector: PatchCoreDual
    ) -> None:
        plan = {
            "protocol": name,
            "code": code_sha256(),
            "images": manifest.sha256(),
            "size": manifest.size(),
            "settings": detector.settings.model_dump(exclude={"scoring", "patches", "seed"}),
            "weights": detector.embedder.spec.weights_sha256,
        }
        folder = report / TRIALS_FOLDER / f"{name}-{plan_digest(plan)[:12]}"
        self._checkpoint = Checkpoint(
            folder,
            plan,
            what="finished trials",
            remedy=f"Remove {folder}, and its trials are run again.",
        )
        whole = (e for e in self._checkpoint.entries if {"trial", "file", "sha256"} <= e.keys())
        self._entries = {entry["trial"]: entry for entry in whole}

    def read(self, trial: Trial, split: Manifest, seed: int) -> dict[str, TrialEvaluation] | None:
        """The evaluations of a finished trial by method; None where it is not finished.

        Raises:
            DataError: where its file is damaged.
        """
        entry = self._entries.get(_trial_digest(trial, split, seed))
        if entry is None or not (path := self._checkpoint.folder / entry["file"]).is_file():
            return None
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise DataError(f"{path} is damaged. Remove it, and its trial is run again.")
        return {method: _evaluation(values) for method, values in json.loads(data).items()}

    def write(
        self, trial: Trial, split: Manifest, seed: int, evaluations: dict[str, TrialEvaluation]
    ) -> None:
        """Write the evaluations of a trial by method, then record it as finished."""
        digest = _trial_digest(trial, split, seed)
        file = f"seed{seed}-{digest[:12]}.json"
        data = json.dumps({method: e.to_json() for method, e in evaluations.items()}).encode()
        write_atomically(self._checkpoint.folder / file, data)
        entry = {"trial": digest, "file": file, "sha256": hashlib.sha256(data).hexdigest()}
        self._checkpoint.record(entry)
        self._entries[digest] = entry


@cache
def code_sha256() -> str:
    """Hex sha256 of this package's sources, the command line aside, as they were when first asked.

    Other code may give other figures.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if root / "cli" not in path.parents:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _trial_digest(trial: Trial, split: Manifest, seed: int) -> str:
    """Of everything that a trial's figures depend on and that the plan does not hold."""
    return plan_digest(
        {
            "seed": seed,
            "condition": astuple(trial.condition),
            "methods": [astuple(method) for method in trial.methods],
            "pixels": trial.pixels,
            "images": trial.manifest.sha256(),
            "split": split.sha256(),
        }
    )


def _evaluation(values: dict[str, Any]) -> TrialEvaluation:
    """The evaluation of which `to_json` gave these values."""
    values = {f.name: values.get(f.name) for f in fields(TrialEvaluation)}
    nan = {
        f.name: math.nan
        for f in fields(Evaluation)
        if values[f.name] is None and f.default is not None
    }
    kinds = {
        name: KindResult(kind["n"], _number(kind["recall"]), _number(kind["auroc"]))
        for name, kind in values["kinds"].items()
    }
    images = tuple(ImageResult(**image) for image in values["images"])
    pairs = PixelPairs(**values["pairs"]) if values["pairs"] else None
    points = tuple(
        OperatingPoint(**{**point, "threshold": Threshold(**point["threshold"])})
        for point in values["operating_points"] or ()
    )
    read = {"kinds": kinds, "images": images, "pairs": pairs, "operating_points": points}
    return TrialEvaluation(**{**values, **nan, **read})


def _number(value: float | None) -> float:
    return math.nan if value is None else value
