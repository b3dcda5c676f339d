"""Running a protocol over split seeds; interrupted runs resume."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, SettingsError
from patchcore_dual.experiments.protocols import PROTOCOLS, ProtocolName, resplit
from patchcore_dual.experiments.remaining import seconds_left
from patchcore_dual.experiments.runner import TrialRunner, with_cached_features
from patchcore_dual.experiments.saved_trials import TRIALS_FOLDER, SavedTrials, code_sha256
from patchcore_dual.experiments.synthetic_source import DEFAULT, own_images
from patchcore_dual.experiments.trials import Evaluations, Trial
from patchcore_dual.training.estimate import in_words
from patchcore_dual.utils.checkpoint import writing_explained
from patchcore_dual.utils.locking import locked
from patchcore_dual.utils.progress import Progress, silent

Splits = Literal["official", "group"]
FigureName = Literal["figure1", "figure5"]

FIGURES = ("figure1", "figure5")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A protocol or figure, and the splits that it is run on.

    Attributes:
        target: its name in `PROTOCOLS` or `FIGURES`.
        splits: "official": the prepared split, and only the seed of fitting varies; "group": the
            whole data set is split again by group for each seed.
        seeds: number of seeds, from 0.
        draws: how often each number of defective images is drawn (few-shot).
        generator: name of the generator of the synthetic defects (table1, table2, figure5).

    Raises:
        SettingsError: for a number below 1.
    """

    target: ProtocolName | FigureName
    splits: Splits = "official"
    seeds: int = 5
    draws: int = 5
    generator: str = DEFAULT

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise SettingsError(f"--seeds is {self.seeds}; give at least 1.")
        if self.draws < 1:
            raise SettingsError(f"--draws is {self.draws}; give at least 1.")

    def split(self, manifest: Manifest, seed: int) -> Manifest:
        """The data set as this seed splits it."""
        return resplit(manifest, seed) if self.splits == "group" else manifest

    def trials(self, split: Manifest, seed: int) -> list[Trial]:
        """The trials of a seed's split; a figure takes the methods of Table 1."""
        protocol = PROTOCOLS["table1" if self.target in FIGURES else self.target]
        return list(protocol(split, seed, self.draws, self.generator))

    def check(self, manifest: Manifest) -> None:
        """Raise DataError where a split cannot be evaluated, before any work is done."""
        if self.target == "figure1":
            return  # it shows training images, and evaluates nothing
        one_split = self.splits == "official" or self.target in FIGURES
        for seed in range(1 if one_split else self.seeds):
            split = self.split(manifest, seed)
            for is_defective, name in ((True, "defective"), (False, "normal")):
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
    *,
    report: Path | None = None,
    progress: Progress = silent,
    on_seed: Callable[[int, bool], None] | None = None,
) -> list[Evaluations]:
    """The evaluations of every seed.

    Args:
        plan: of a protocol, not of a figure.
        manifest: a prepared data set.
        detector: gives backbone and settings; it is not fitted, but its features are cached.
        report: a folder in which finished trials are kept, so that the next run resumes.
        progress: called with the stage, the steps done and their number.
        on_seed: called with each finished seed, and whether all its trials were finished before.

    Raises:
        DataError: where a trial cannot be run, the file of a finished one is damaged, or another
            process runs this protocol into the same report.
    """
    code_sha256()  # as it is when this run begins
    detector = with_cached_features(detector)
    name = f"{plan.target}-{plan.splits}"
    with ExitStack() as stack:
        saved = None
        if report is not None:
            folder = report / TRIALS_FOLDER
            with writing_explained(folder):
                folder.mkdir(parents=True, exist_ok=True)
            remedy = "Or give another --report."
            stack.enter_context(locked(folder / name, f"reproduce {plan.target}", remedy))
            saved = SavedTrials(report, name, manifest, detector)
        return _run(plan, manifest, detector, saved, progress, on_seed)


def _run(
    plan: Plan,
    manifest: Manifest,
    detector: PatchCoreDual,
    saved: SavedTrials | None,
    progress: Progress,
    on_seed: Callable[[int, bool], None] | None,
) -> list[Evaluations]:
    splits = [plan.split(manifest, seed) for seed in range(plan.seeds)]
    trials = [plan.trials(split, seed) for seed, split in enumerate(splits)]
    left = [
        [
            len(trial.methods)
            for trial in of_seed
            if saved is None or saved.read(trial, splits[seed], seed) is None
        ]
        for seed, of_seed in enumerate(trials)
    ]
    if any(left):
        _log.info(
            "%d of %d trials are to be run, which fit %d detectors.",
            sum(map(len, left)),
            sum(map(len, trials)),
            sum(map(sum, left)),
        )
    estimated, results = False, []
    for seed, split in enumerate(splits):
        runner = TrialRunner(split, detector.with_settings(seed=seed), progress)
        evaluations: Evaluations = {}
        times: list[tuple[int, float]] = []
        for done, trial in enumerate(trials[seed], start=1):
            finished = saved.read(trial, split, seed) if saved else None
            if finished is None:
                started = time.perf_counter()
                finished = runner.run(trial)
                times.append((left[seed].pop(0), time.perf_counter() - started))
                if saved:
                    saved.write(trial, split, seed, finished)
                seconds = None if estimated else seconds_left(times, left[seed:])
                if seconds is not None and any(left[seed:]):
                    estimated = True
                    _log.info("What is left takes about %s.", in_words(seconds))
            evaluations[trial.condition] = finished
            progress(f"seed {seed}", done, len(trials[seed]))
        results.append(evaluations)
        if on_seed:
            on_seed(seed, not times)
    return results
