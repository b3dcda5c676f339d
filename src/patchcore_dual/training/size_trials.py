"""The fits on some training images by which `choose_size` compares sizes."""

from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import SettingsError
from patchcore_dual.features import Embedder, as_set
from patchcore_dual.model import Model
from patchcore_dual.settings import Settings
from patchcore_dual.training.context import fit_context
from patchcore_dual.training.first_steps import FirstSteps
from patchcore_dual.training.single_fit import score_of
from patchcore_dual.training.size_choice import SizeChoice, TrialFit, choose_size
from patchcore_dual.utils.checkpoint import writing_explained
from patchcore_dual.utils.memory import Memory
from patchcore_dual.utils.progress import Progress

TIMED_IMAGES = 5  # on which the time of an inspection is measured


def size_is_open(training_set: Manifest) -> bool:
    """Whether the size is still to be chosen: neither `prepare` nor `fit` was given one."""
    return training_set.keeps_photographs and training_set.resized is None


def check_smallest_defect(
    width: float, size: tuple[int, int] | Literal["auto"] | None, training_set: Manifest
) -> None:
    """Raise SettingsError for a width that is not positive, or where it would not be used."""
    if not 0 < width < float("inf"):
        raise SettingsError(f"the smallest defect is {width:g} pixels wide; give more than 0.")
    if size != "auto" or not size_is_open(training_set):
        raise SettingsError(
            "the width of the smallest defect counts where fit chooses the size: prepare the "
            "images without --size, and fit with --size auto."
        )


def choose_size_by_trials(
    training_set: Manifest,
    embedder: Embedder,
    settings: Settings,
    checkpoint: Path | None,
    *,
    smallest_defect: float | None,
    keep_all: bool,
    memory: Memory,
    progress: Progress,
) -> SizeChoice:
    """Choose the size of the images by fits on some of them, which an interrupted run resumes."""

    def fit_at(subset: Manifest, settings: Settings) -> TrialFit:
        width, height = subset.size() or (0, 0)

        def report(stage: str, done: int, total: int) -> None:
            progress(f"trying {width}x{height}: {stage}", done, total)

        folder = None
        if checkpoint is not None:
            trials = trials_of(checkpoint)
            with writing_explained(trials.parent):
                trials.mkdir(exist_ok=True)
            folder = trials / f"{width}x{height}"
        with fit_context(
            subset,
            as_set(embedder, settings),
            settings,
            folder=folder,
            memory=memory,
            progress=report,
        ) as context:
            first = FirstSteps.of(context, subset, embedder)
            model = first.model(subset)
        assert model.calibration is not None
        normal, defective = first.scores(subset)
        wrong = () if keep_all else first.likely_mislabelled()
        return TrialFit(
            normal[[name not in wrong for name in model.calibration.normals]],
            defective,
            _milliseconds(model, as_set(embedder, settings), subset),
            sum(bank.vectors.nbytes for bank in (model.normal_bank, model.defect_bank) if bank),
        )

    return choose_size(
        training_set,
        settings,
        fit_at,
        cell=embedder.spec.stride,
        smallest_defect=smallest_defect,
    )


def _milliseconds(model: Model, embedder: Embedder, images: Manifest) -> float:
    """The median time in which some images are embedded and scored."""
    times = []
    for sample in images.samples[:TIMED_IMAGES]:
        image = images.read_image(sample)
        start = perf_counter()
        score_of(model, embedder(image[None])[0])
        times.append(1000 * (perf_counter() - start))
    return float(np.median(times))


def trials_of(checkpoint: Path) -> Path:
    """The folder beside a checkpoint that holds those of the trials."""
    return checkpoint.with_name(f"{checkpoint.name}-sizes")
