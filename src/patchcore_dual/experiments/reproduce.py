"""Running a protocol over split seeds; interrupted runs resume."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import psutil  # type: ignore[import-untyped]

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError, SettingsError, WorkerError
from patchcore_dual.experiments.pixel_pairs import TrialEvaluation
from patchcore_dual.experiments.protocols import PROTOCOLS, ProtocolName, resplit
from patchcore_dual.experiments.remaining import seconds_left
from patchcore_dual.experiments.runner import TrialRunner, with_cached_features
from patchcore_dual.experiments.saved_trials import TRIALS_FOLDER, SavedTrials, code_sha256
from patchcore_dual.experiments.synthetic_source import DEFAULT, own_images
from patchcore_dual.experiments.trials import Evaluations, Trial
from patchcore_dual.features import Embedder
from patchcore_dual.settings import Settings
from patchcore_dual.training.estimate import in_words
from patchcore_dual.utils.checkpoint import writing_explained
from patchcore_dual.utils.executor import Executor, InThisProcess, Lost
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
    executor: Executor | None = None,
) -> list[Evaluations]:
    """The evaluations of every seed.

    Args:
        plan: of a protocol, not of a figure.
        manifest: a prepared data set.
        detector: gives backbone and settings; it is not fitted, but its features are cached.
        report: a folder in which finished trials are kept, so that the next run resumes.
        progress: called with the stage, the steps done and their number.
        on_seed: called with each finished seed, and whether all its trials were finished before.
        executor: runs the trials, with the same results; in this process by default.

    Raises:
        DataError: where a trial cannot be run, the file of a finished one is damaged, or another
            process runs this protocol into the same report.
        WorkerError: where workers die of the same trials again and again.
    """
    code_sha256()  # as it is when this run begins
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
        return _run(plan, manifest, detector, executor or InThisProcess(), saved, progress, on_seed)


def _run(
    plan: Plan,
    manifest: Manifest,
    detector: PatchCoreDual,
    executor: Executor,
    saved: SavedTrials | None,
    progress: Progress,
    on_seed: Callable[[int, bool], None] | None,
) -> list[Evaluations]:
    splits = [plan.split(manifest, seed) for seed in range(plan.seeds)]
    trials = [plan.trials(split, seed) for seed, split in enumerate(splits)]
    found: list[dict[int, dict[str, TrialEvaluation]]] = [{} for _ in splits]  # by number
    for seed, split in enumerate(splits):
        for number, trial in enumerate(trials[seed]):
            finished = saved.read(trial, split, seed) if saved else None
            if finished is not None:
                found[seed][number] = finished
    left = [
        [number for number in range(len(trials[seed])) if number not in found[seed]]
        for seed in range(plan.seeds)
    ]
    if any(left):
        _log.info(
            "%d of %d trials are to be run, which fit %d detectors.",
            sum(map(len, left)),
            sum(map(len, trials)),
            sum(len(trials[seed][n].methods) for seed, some in enumerate(left) for n in some),
        )

    def report_seed(seed: int, was_finished: bool) -> None:
        progress(f"seed {seed}", len(found[seed]), len(trials[seed]))
        if on_seed and len(found[seed]) == len(trials[seed]):
            on_seed(seed, was_finished)

    for seed in range(plan.seeds):
        if not left[seed]:
            report_seed(seed, was_finished=True)
    is_here = isinstance(executor, InThisProcess)
    batches = batches_of(left, 0 if is_here else executor.workers)
    shown = progress if is_here else silent  # other processes show none
    network = detector.embedder, detector.settings
    make = partial(_run_batches, plan, manifest, *network, executor.workers, shown)
    methods = [
        [len(trials[seed][number].methods) for number in some] for seed, some in enumerate(left)
    ]
    times: list[tuple[int, float]] = []
    started, estimated = time.perf_counter(), not is_here
    for index, done in executor.map(make, batches):
        seed, numbers = batches[index]
        if isinstance(done, Lost):
            raise WorkerError(
                f"workers died of the same trials again and again: {done.reason}. Finished trials "
                "are kept with --report. Run the same command with fewer --workers."
            )
        for number, evaluations in zip(numbers, done, strict=True):
            if saved:
                saved.write(trials[seed][number], splits[seed], seed, evaluations)
            found[seed][number] = evaluations
        if not estimated:
            times.append((methods[seed].pop(0), time.perf_counter() - started))
            started = time.perf_counter()
            seconds = seconds_left(times, methods[seed:])
            if seconds is not None and any(methods[seed:]):
                _log.info("What is left takes about %s.", in_words(seconds))
            estimated = seconds is not None
        report_seed(seed, was_finished=False)
    return [
        {trial.condition: found[seed][number] for number, trial in enumerate(trials[seed])}
        for seed in range(plan.seeds)
    ]


class Batch(NamedTuple):
    """Trials of one split, which share its banks and the features of its images.

    Attributes:
        seed: of the split.
        numbers: of the trials.
    """

    seed: int
    numbers: tuple[int, ...]


def batches_of(left: Sequence[Sequence[int]], workers: int) -> list[Batch]:
    """The trials that are left, in as few batches as keep all workers busy to the end.

    >>> batches_of([[0, 1, 2, 3], [2]], workers=1)
    [Batch(seed=0, numbers=(0, 1, 2, 3)), Batch(seed=1, numbers=(2,))]
    >>> [batch.numbers for batch in batches_of([[0, 1, 2, 3], []], workers=2)]
    [(0,), (1,), (2,), (3,)]

    Args:
        left: the numbers of the trials of each seed.
        workers: how many run them; 0 for batches of a trial each.
    """
    seeds = sum(1 for numbers in left if numbers)
    batches = []
    for seed, numbers in enumerate(left):
        parts = -(-2 * workers // seeds) if workers > 1 else 1
        size = -(-len(numbers) // parts) if workers else 1
        starts = range(0, len(numbers), size or 1)
        batches += [Batch(seed, tuple(numbers[i : i + size])) for i in starts]
    return batches


def _run_batches(
    plan: Plan,
    manifest: Manifest,
    embedder: Embedder,
    settings: Settings,
    workers: int,
    progress: Progress,
) -> Callable[[Batch], list[dict[str, TrialEvaluation]]]:
    """What a worker does with a batch. Between batches of one seed it keeps what they share.

    Args:
        embedder, settings: of the detectors.
        workers: how many there are: those of this machine share a quarter of its memory.
    """
    memory = psutil.virtual_memory().total // 4 // min(workers, psutil.cpu_count() or 1)
    detector = PatchCoreDual(embedder=embedder, **settings.model_dump())
    detector = with_cached_features(detector, memory)
    last: dict[int, TrialRunner] = {}

    def run_batch(batch: Batch) -> list[dict[str, TrialEvaluation]]:
        split = plan.split(manifest, batch.seed)
        if batch.seed not in last:
            last.clear()  # before the next takes memory
            one = detector.with_settings(seed=batch.seed)
            last[batch.seed] = TrialRunner(split, one, progress)
        trials = plan.trials(split, batch.seed)
        return [last[batch.seed].run(trials[number]) for number in batch.numbers]

    return run_batch
