"""Whether aligning parts pays, by cross-validation on training images."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.errors import DataError
from patchcore_dual.features import Embedder, as_set
from patchcore_dual.scoring.fusion.guard import mean_recall
from patchcore_dual.settings import Settings
from patchcore_dual.training.context import fit_context
from patchcore_dual.training.first_steps import FirstSteps
from patchcore_dual.training.size_choice import LEAST_DEFECTIVES, evenly_drawn, proposed_size
from patchcore_dual.utils.progress import Progress, silent

_log = logging.getLogger(__name__)

PrepareWith = Callable[[Literal["none", "rigid"], Path], object]
"""Prepares the data set into a folder, without or with alignment."""


@dataclass(frozen=True)
class AlignmentChoice:
    """Whether parts are to be aligned, and why.

    Attributes:
        mode: "none" or "rigid".
        reason: a sentence.
        recall: of held-out defective training images without and with alignment, averaged over
            false-alarm rates from 0 to 10 %; None where both were not compared.
    """

    mode: Literal["none", "rigid"]
    reason: str
    recall: tuple[float, float] | None = None


def choose_alignment(
    prepare_with: PrepareWith,
    embedder: Embedder,
    settings: Settings,
    progress: Progress = silent,
) -> AlignmentChoice:
    """Prepare a data set without and with alignment, and compare models of some training images.

    Parts are aligned where that certainly finds more held-out defects: the gain has to exceed its
    standard error. Both models are fitted on the same images; test images are not read.

    Args:
        prepare_with: prepares the data set.
        embedder, settings: of the models.
        progress: gets the stage and how far it is.

    Raises:
        DataError: where the data set cannot be prepared without alignment.
    """
    with TemporaryDirectory(prefix="patchcore-dual-") as work:
        prepare_with("none", Path(work, "none"))
        try:
            prepare_with("rigid", Path(work, "rigid"))
        except DataError as error:
            return AlignmentChoice("none", f"Not aligned: {error}")
        both = [Manifest.load(Path(work, name)).part("train").real() for name in ("none", "rigid")]
        alike = {s.source for s in both[0]} & {s.source for s in both[1]}
        both = [one.where(s for s in one if s.source in alike) for one in both]
        some = {s.source for s in evenly_drawn(both[0])}
        both = [one.where(s for s in one if s.source in some) for one in both]
        if len(both[0].part(label="positive")) < LEAST_DEFECTIVES:
            return AlignmentChoice(
                "none", "Not aligned: too few defective training images to see whether it pays."
            )
        size = None
        if both[0].keeps_photographs:
            size, _ = proposed_size(both[0], embedder.spec.stride)
        recalls = []
        for name, images in zip(("without", "with"), both, strict=True):
            _log.info("Fitting on %d training images %s alignment.", len(images), name)
            sized = images.at_size(*size) if size else images
            recalls.append(_recall(sized, embedder, settings, f"{name} alignment", progress))
        return _choice(*recalls)


def _recall(
    images: Manifest, embedder: Embedder, settings: Settings, name: str, progress: Progress
) -> np.ndarray:
    """The recall of each held-out defective image, float64 `[k]`."""

    def report(stage: str, done: int, total: int) -> None:
        progress(f"{name}: {stage}", done, total)

    with fit_context(images, as_set(embedder, settings), settings, progress=report) as context:
        normal, defective = FirstSteps.of(context, images, embedder).scores(images)
    return mean_recall(defective, normal)


def _choice(without: np.ndarray, with_: np.ndarray) -> AlignmentChoice:
    """Which of both to take.

    >>> _choice(np.array([0.0, 0.5, 0.5]), np.array([1.0, 1.0, 0.9])).mode
    'rigid'
    >>> _choice(np.array([1.0, 0.5, 0.5]), np.array([1.0, 0.6, 0.3])).reason.partition(".")[0]
    'Not aligned: it does not certainly find more'
    """
    gain = with_ - without
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    pays = gain.mean() > max(error, 1e-9)
    what = "Aligned: it finds more." if pays else "Not aligned: it does not certainly find more."
    return AlignmentChoice(
        "rigid" if pays else "none",
        f"{what} Recall of {len(gain)} held-out defective training images, averaged over "
        f"false-alarm rates from 0 to 10 %: {without.mean():.3f} without alignment, "
        f"{with_.mean():.3f} with it.",
        (float(without.mean()), float(with_.mean())),
    )
