"""The thesis's Fig. 5: image, ground truth and the heat maps of each method, side by side."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import DataError
from patchcore_dual.evaluation.evaluation import known_mask
from patchcore_dual.evaluation.results import Evaluation
from patchcore_dual.experiments.pictures import (
    FONT,
    GAP,
    GREEN,
    INK,
    LINE,
    MUTED,
    RED,
    Picture,
    fit,
)
from patchcore_dual.experiments.protocols import table1
from patchcore_dual.experiments.remaining import seconds_left
from patchcore_dual.experiments.runner import TrialRunner, with_cached_features
from patchcore_dual.experiments.trials import Method
from patchcore_dual.scoring.drawing import heat_overlay
from patchcore_dual.settings import Settings
from patchcore_dual.training.estimate import in_words
from patchcore_dual.utils.pictures import drawable
from patchcore_dual.utils.progress import Progress, silent

ROWS = 6

_log = logging.getLogger(__name__)
_PANEL = (240, 320)  # largest size of a panel, width and height in pixels
_LEAST_WIDTH = 170  # of a column, so that its texts fit


def figure5(
    manifest: Manifest,
    detector: PatchCoreDual,
    generator: str,
    names: Sequence[str] = (),
    progress: Progress = silent,
) -> tuple[Picture, list[str]]:
    """The figure, and the names of the test images that are its rows.

    Args:
        manifest: a prepared data set with its split. The methods of Table 1 are fitted on its
            training images.
        detector: gives backbone and settings.
        generator: name of the generator of the synthetic defects that the last method uses.
        names: test images to show; `most_telling` chooses them where none is named.
        progress: called with the stage, the steps done and their number.

    Returns:
        The figure, uint8 `[h, w, 3]`, RGB, and the names.

    Raises:
        DataError: for a name that is not a test image.
    """
    test = {s.image: s for s in manifest.part("test")}
    if unknown := [name for name in names if name not in test]:
        raise DataError(
            f"{unknown[0]} is not a test image of {manifest.folder}. Name one as its "
            f"manifest.csv does, for example {next(iter(test), 'none')}."
        )
    runner = TrialRunner(manifest, with_cached_features(detector), progress)
    (trial,) = table1(manifest, 0, 1, generator)
    fitted, evaluations = _fit_all(runner, manifest, trial.methods, evaluate=not names)
    if not names:
        names = most_telling(evaluations)
    return _draw(manifest, [test[name] for name in names], fitted), list(names)


def _fit_all(
    runner: TrialRunner, manifest: Manifest, methods: Sequence[Method], evaluate: bool
) -> tuple[dict[str, PatchCoreDual], dict[str, Evaluation]]:
    """The detector of each method and, if they are asked for, the evaluations; says how long.

    Methods whose rules count padding share their normal banks, and so do the others: the first of
    each builds them, and the second of the first tells how long a method alone takes.
    """
    _log.info(
        "%d detectors are to be fitted%s.", len(methods), " and evaluated" if evaluate else ""
    )
    fitted: dict[str, PatchCoreDual] = {}
    evaluations: dict[str, Evaluation] = {}
    shared = [Settings(scoring=method.scoring).counts_padding for method in methods]
    times: list[tuple[int, float]] = []
    for done, method in enumerate(methods, start=1):
        started = time.perf_counter()
        fitted[method.name] = runner.fit(method, manifest)
        if evaluate:
            evaluations[method.name] = runner.evaluate(fitted[method.name], manifest, pixels=False)
        times.append((1, time.perf_counter() - started))
        left = [[1 for s in shared[done:] if s is counts] for counts in (shared[0], not shared[0])]
        seconds = seconds_left(times, left) if done <= 2 else None
        if seconds and any(left):
            _log.info("What is left takes about %s.", in_words(seconds))
    return fitted, evaluations


def most_telling(evaluations: Mapping[str, Evaluation], rows: int = ROWS) -> list[str]:
    """The names of the images on which the methods differ most, in the order to show them.

    First the defective images whose rank among the normal scores differs most between methods;
    last the normal image that most methods reject, ties broken by the highest mean rank.

    Args:
        evaluations: by name of the method, of the same images.
        rows: number of images.
    """
    first = next(iter(evaluations.values()))
    rank = np.stack([_share_below(e) for e in evaluations.values()])
    disagreement = rank.max(axis=0) - rank.min(axis=0)
    defects = [i for i in np.argsort(-disagreement, kind="stable") if first.labels[i]]
    rejected = np.sum([[r.is_rejected for r in e.images] for e in evaluations.values()], axis=0)
    alarms = list(np.flatnonzero(~first.labels & (rejected > 0)))
    alarms.sort(key=lambda i: (-rejected[i], -rank[:, i].mean()))
    chosen = defects[: rows - 1] if alarms else defects[:rows]
    return [first.images[i].path for i in (*chosen, *alarms[:1])]


def _share_below(evaluation: Evaluation) -> NDArray[np.float64]:
    """For each image the share of normal images with a lower score, `[n]`."""
    normal = np.sort(evaluation.scores[~evaluation.labels])
    return np.searchsorted(normal, evaluation.scores, side="left") / max(len(normal), 1)


def _draw(
    manifest: Manifest, samples: Sequence[Sample], fitted: Mapping[str, PatchCoreDual]
) -> Picture:
    """One row per image: the image, its mask, and each method's heat map, score and verdict."""
    titles = ("Image", "Ground truth", *fitted)
    rows = []
    for sample in samples:
        image = manifest.read_image(sample)
        mask = known_mask(manifest, sample, image.shape[:2])
        truth = np.full_like(image, 128) if mask is None else _white(mask)
        what = sample.kind or ("defect" if sample.is_defective else "normal")
        cells = [
            (image, Path(sample.image).stem, MUTED),
            (truth, what if mask is not None else f"{what}, no mask", MUTED),
        ]
        for detector in fitted.values():
            inspection = detector.inspect(image)
            is_right = (inspection.score > inspection.threshold) == sample.is_defective
            caption = f"{inspection.score:.3g} / {inspection.threshold:.3g}  {inspection.verdict}"
            cells.append(
                (heat_overlay(image, inspection.heat), caption, GREEN if is_right else RED)
            )
        rows.append(cells)
    return _grid(titles, rows)


def _grid(
    titles: Sequence[str], rows: Sequence[Sequence[tuple[Picture, str, tuple[int, int, int]]]]
) -> Picture:
    scaled = [[(fit(picture, _PANEL), text, ink) for picture, text, ink in row] for row in rows]
    width = max(_LEAST_WIDTH, *(panel.width for row in scaled for panel, _, _ in row))
    heights = [max(panel.height for panel, _, _ in row) for row in scaled]
    size = (
        len(titles) * (width + GAP) + GAP,
        GAP + LINE + sum(h + LINE + GAP for h in heights) + GAP,
    )
    canvas = Image.new("RGB", size, (255, 255, 255))
    pen = ImageDraw.Draw(canvas)
    lefts = [GAP + i * (width + GAP) for i in range(len(titles))]
    for left, title in zip(lefts, titles, strict=True):
        pen.text((left, GAP - 2), title, fill=INK, font=FONT)
    top = GAP + LINE
    for row, height in zip(scaled, heights, strict=True):
        for left, (panel, text, ink) in zip(lefts, row, strict=True):
            canvas.paste(panel, (left, top))
            pen.text((left, top + height + 1), drawable(text), fill=ink, font=FONT)
        top += height + LINE + GAP
    return np.asarray(canvas)


def _white(mask: NDArray[np.bool_]) -> Picture:
    return np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
