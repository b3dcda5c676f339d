"""Running a protocol over split seeds: resumed where it was interrupted, and summed up.

With a folder to write to, the evaluations of each trial are kept there as one JSON file, named by
a hash of all that they depend on (images, settings, weights, code); a trial whose file is there is
not run again.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

import patchcore_dual
from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.evaluation.evaluation import Evaluation, ImageResult, KindResult
from patchcore_dual.experiments.pixel_pairs import PairTable, TrialEvaluation
from patchcore_dual.experiments.protocols import PROTOCOLS, resplit
from patchcore_dual.experiments.runner import RememberingBackbone, Trial, TrialRunner
from patchcore_dual.experiments.synthetic_source import DEFAULT, own_images
from patchcore_dual.utils.files import write_atomically
from patchcore_dual.utils.progress import Progress, silent

Splits = Literal["official", "group"]
Trials = dict[str, dict[str, TrialEvaluation]]
"""Evaluations of one seed, by trial and by method."""

FIGURES = ("figure1", "figure5")
TRIALS_FOLDER = "trials"


@dataclass(frozen=True)
class Plan:
    """A protocol, and on what it is run.

    Attributes:
        target: its name in `PROTOCOLS`, or a figure.
        splits: "official": the prepared split, fit seeds vary; "group": the whole manifest is
            split again by group for each seed.
        seeds: how many, from 0.
        draws: how often each number of defective images is drawn (few-shot).
        generator: whose synthetic defects are taught (table1, table2, figure5).
    """

    target: str
    splits: Splits = "official"
    seeds: int = 5
    draws: int = 5
    generator: str = DEFAULT

    def __post_init__(self) -> None:
        if self.splits not in ("official", "group"):
            raise SettingsError(f"--splits is {self.splits!r}; use official or group.")
        if self.seeds < 1:
            raise SettingsError(f"--seeds is {self.seeds}; give at least 1.")
        if self.draws < 1:
            raise SettingsError(f"--draws is {self.draws}; give at least 1.")

    def split(self, manifest: Manifest, seed: int) -> Manifest:
        """The data set as this seed splits it."""
        return resplit(manifest, seed) if self.splits == "group" else manifest

    def trials(self, split: Manifest, seed: int) -> list[Trial]:
        """What is to be tried on a seed's split; the figure takes the methods of Table 1."""
        protocol = PROTOCOLS["table1" if self.target == "figure5" else self.target]
        return list(protocol(split, seed, self.draws, self.generator))

    def check(self, manifest: Manifest) -> None:
        """Raise DataError where one of the splits cannot be judged, before any work is done."""
        if self.target == "figure1":
            return  # it shows training images, and judges nothing
        one_split = self.splits == "official" or self.target in FIGURES
        for seed in range(1 if one_split else self.seeds):
            split = self.split(manifest, seed)
            for is_defective, name in ((True, "defective"), (False, "good")):
                if not any(s.is_defective == is_defective for s in split.part("test")):
                    raise DataError(
                        f"{manifest.folder} has no {name} test images, so nothing can be measured. "
                        "Prepare it with some."
                    )
            for trial in self.trials(split, seed):
                for method in trial.methods:
                    if method.synthetic:
                        own_images(trial.manifest, method.generator, method.synthetic)


def run(
    plan: Plan,
    manifest: Manifest,
    detector: PatchCoreDual,
    folder: Path | None = None,
    progress: Progress = silent,
    on_seed: Callable[[int, bool], None] | None = None,
) -> list[Trials]:
    """The evaluations of every seed.

    Args:
        detector: gives backbone and settings.
        folder: where finished trials are kept and found again.
        on_seed: told each seed that is done, and whether all of it was found finished.
    """
    _code_sha256()  # as it was when this run began
    detector.backbone = RememberingBackbone(detector.backbone)
    results = []
    for seed in range(plan.seeds):
        split = plan.split(manifest, seed)
        seeded = detector.with_settings(seed=seed)
        bench = TrialRunner(split, seeded, progress)
        trials, was_found = {}, True
        planned = plan.trials(split, seed)
        for done, trial in enumerate(planned, start=1):
            path = _path(folder, plan, seed, trial, split, seeded) if folder else None
            found = _read(path) if path else None
            if found is None:
                found, was_found = bench.run(trial), False
                if path:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(path, _to_json(found))
            trials[trial.name] = found
            progress(f"seed {seed}", done, len(planned))
        results.append(trials)
        if on_seed:
            on_seed(seed, was_found)
    return results


def _path(
    folder: Path, plan: Plan, seed: int, trial: Trial, split: Manifest, detector: PatchCoreDual
) -> Path:
    """The file of one trial, named by everything that its figures depend on."""
    depends_on = {
        "code": _code_sha256(),
        "trial": trial.name,
        "methods": [astuple(method) for method in trial.methods],
        "pixels": trial.pixels,
        "images": trial.manifest.sha256(),
        "split": split.sha256(),
        "size": split.size(),
        "settings": detector.settings.model_dump(exclude={"scoring", "patches"}),
        "weights": detector.backbone.weights_sha256,
    }
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return folder / TRIALS_FOLDER / f"{plan.target}-{plan.splits}-{seed}-{digest[:12]}.json"


@cache
def _code_sha256() -> str:
    """Of this package's sources, the command line aside: other code may give other figures."""
    root = Path(patchcore_dual.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if root / "cli" not in path.parents:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _to_json(by_method: dict[str, TrialEvaluation]) -> bytes:
    return json.dumps({method: e.to_json() for method, e in by_method.items()}).encode()


def _read(path: Path) -> dict[str, TrialEvaluation] | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {method: _evaluation(e) for method, e in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"{path} is damaged. Remove it, and its trial is run again.") from None


def _evaluation(values: dict[str, Any]) -> TrialEvaluation:
    """What `Evaluation.to_json` gave, as it was."""
    nan = {f.name: math.nan for f in fields(Evaluation) if values.get(f.name) is None}
    kinds = {
        name: KindResult(kind["n"], _number(kind["recall"]), _number(kind["auroc"]))
        for name, kind in values["kinds"].items()
    }
    images = tuple(ImageResult(**image) for image in values["images"])
    pairs = PairTable(**values["pairs"]) if values["pairs"] else None
    return TrialEvaluation(**{**values, **nan, "kinds": kinds, "images": images, "pairs": pairs})


def _number(value: float | None) -> float:
    return math.nan if value is None else value
