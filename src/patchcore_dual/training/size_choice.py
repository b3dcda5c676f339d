"""The size at which images are fitted, chosen by cross-validation on the training images.

A defect that is much smaller than a cell of the feature grid is averaged away, and one that is much
larger takes up more cells than it needs, so that the best size differs from part to part. A few
sizes are tried on some of the training images; test images are never read.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from patchcore_dual.data.manifest import Manifest
from patchcore_dual.data.prepare.sizes import Original, defect_width, propose_size
from patchcore_dual.scoring import RULES
from patchcore_dual.scoring.fusion.guard import mean_recall
from patchcore_dual.settings import Settings

NORMALS, DEFECTIVES = 50, 25  # images that sizes are tried on, at most
LEAST_DEFECTIVES = 3
MOST_TRIED, LEAST_TRIED = 2**13, 2**8  # cells of a size; more take seconds an image
LARGER_FROM = 0.02  # gain in mean recall from which a larger size is worth its time

_log = logging.getLogger(__name__)

Size = tuple[int, int]


@dataclass(frozen=True)
class TrialFit:
    """What a fit on some training images gave.

    Attributes:
        normal, defective: `[n]` and `[k]`, the out-of-fold scores.
        milliseconds: that inspecting an image takes, the median of a few.
        memory: bytes of both banks.
    """

    normal: np.ndarray
    defective: np.ndarray
    milliseconds: float
    memory: int


@dataclass(frozen=True)
class Trial:
    """What one size gave on held-out training images.

    Attributes:
        size: width and height in pixels.
        recall: of held-out defective images, averaged over false-alarm rates from 0 to 10 %.
        auroc: of held-out defective against held-out normal images.
        milliseconds: that inspecting an image took, the median of a few.
        memory: bytes of both banks.
        seconds: that the trial took.
    """

    size: Size
    recall: float
    auroc: float
    milliseconds: float
    memory: int
    seconds: float


@dataclass(frozen=True)
class SizeChoice:
    """The size chosen, and why.

    Attributes:
        size: width and height in pixels.
        normal_rate: the coreset rate at which the normal bank has as many vectors as it would have
            at the size that `propose_size` gives.
        reason: a sentence.
        trials: of all sizes tried, smallest first; empty where none was.
    """

    size: Size
    normal_rate: float
    reason: str
    trials: tuple[Trial, ...] = ()

    def __str__(self) -> str:
        lines = [self.reason]
        if self.trials:
            lines.append("       size   recall   AUROC   an image   banks")
        lines += [
            f"{_text(t.size):>11}   {t.recall:6.3f}  {t.auroc:6.3f}  {t.milliseconds:6.0f} ms  "
            f"{t.memory / 2**20:4.1f} MiB"
            for t in self.trials
        ]
        return "\n".join(lines)


def proposed_size(
    training_set: Manifest, cell: int, smallest_defect: float | None = None
) -> tuple[Size, str]:
    """The size that proportions and defects suggest (`propose_size`), and why.

    Args:
        cell: pixels that a cell of the feature grid is wide.
        smallest_defect: width of the smallest defect to be found, in pixels of the training images;
            None goes by the masks.
    """
    size = training_set.size()
    assert size is not None, "images of many sizes have no common one to start from"
    originals = [Original("", *size, defect_width=smallest_defect or 0.0)]
    if smallest_defect is None:
        for sample in training_set.real().part(label="positive"):
            if sample.mask_is_known:
                width = defect_width(training_set.read_mask(sample))
                originals.append(Original(sample.image, *size, defect_width=width))
    proposal = propose_size(originals, cell)
    return (proposal.width, proposal.height), proposal.reason


def candidate_sizes(size: Size, cell: int) -> list[Size]:
    """Half of a size, itself and twice, each way, as far as that is sensible; smallest first.

    Args:
        cell: pixels that a cell of the feature grid is wide.

    >>> candidate_sizes((256, 320), cell=8)
    [(128, 160), (256, 320), (512, 640)]
    >>> candidate_sizes((2048, 1536), cell=16)
    [(1024, 768), (2048, 1536)]
    """
    width, height = size
    others = [(width // 2, height // 2), (2 * width, 2 * height)]
    least, most = LEAST_TRIED * cell**2, MOST_TRIED * cell**2
    fitting = [s for s in others if least <= s[0] * s[1] <= most and min(s) >= 4 * cell]
    return sorted([*fitting, size], key=lambda s: s[0] * s[1])


def auroc(normal: np.ndarray, defective: np.ndarray) -> float:
    """How often a defective image has a higher score than a normal one.

    >>> auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    above, equal = defective[:, None] > normal, defective[:, None] == normal
    return float(above.mean() + equal.mean() / 2)


def choose_size(
    training_set: Manifest,
    settings: Settings,
    fit_at: Callable[[Manifest, Settings], TrialFit],
    *,
    cell: int,
    smallest_defect: float | None = None,
) -> SizeChoice:
    """Try a few sizes on some training images, and choose one.

    All sizes are tried with banks of as many vectors as the model will have. The size that
    `proposed_size` gives is left for a larger one where that certainly finds more, and for a
    smaller one where that certainly finds nearly as much (see `_better`); larger sizes are not
    tried once the recall is within `LARGER_FROM` of 1. Where sizes cannot be compared, the proposal
    is taken.

    Args:
        training_set: the training images at the size that `prepare` kept.
        settings: those of the fit.
        fit_at: fits a model on a training set at the size that it is read at.
        cell: pixels that a cell of the feature grid is wide.
        smallest_defect: see `proposed_size`.
    """
    base, reason = proposed_size(training_set, cell, smallest_defect)
    subset = evenly_drawn(training_set)

    def proposal(why: str) -> SizeChoice:
        return SizeChoice(base, settings.normal_rate, f"{reason} {why}")

    if not RULES[settings.scoring].uses_probe:
        return proposal(f"Sizes are not compared: {settings.scoring} holds no defects out.")
    if len(subset.part(label="positive")) < LEAST_DEFECTIVES:
        return proposal("Too few defective images to compare sizes on.")
    share = len(subset.part(label="negative")) / len(training_set.part(label="negative"))

    def rate_at(size: Size, share: float = 1.0) -> float:
        return min(1.0, settings.normal_rate / share * base[0] * base[1] / (size[0] * size[1]))

    sizes, trials = candidate_sizes(base, cell), []
    found: dict[Size, np.ndarray] = {}  # the recall of each held-out defective image
    for number, size in enumerate(sizes, start=1):
        _log.info(
            "Trying size %s on %d training images (%d of at most %d sizes).",
            *(_text(size), len(subset), number, len(sizes)),
        )
        start = perf_counter()
        changed = settings.model_copy(update={"normal_rate": rate_at(size, share)})
        fitted = fit_at(subset.at_size(*size), changed)
        normal, defective = fitted.normal, fitted.defective
        if len(defective) < LEAST_DEFECTIVES or len(normal) < 2:
            return proposal("Too few groups of images to compare sizes on.")
        found[size] = mean_recall(defective, normal)
        recall = float(found[size].mean())
        took = perf_counter() - start
        trials.append(
            Trial(size, recall, auroc(normal, defective), fitted.milliseconds, fitted.memory, took)
        )
        if recall >= 1 - LARGER_FROM:
            break
    chosen, why = _better(found, base)
    return SizeChoice(
        chosen,
        rate_at(chosen),
        f"Size {_text(chosen)}: {why} on {len(defective)} held-out defective training images "
        "(recall averaged over false-alarm rates from 0 to 10 %).",
        tuple(trials),
    )


def _better(found: dict[Size, np.ndarray], base: Size) -> tuple[Size, str]:
    """The size to choose, and why.

    So few defective images tell sizes apart by chance: differences are paired, and have to exceed
    their standard error, or else the proposal stays.

    Args:
        found: by size, smallest first, float64 `[k]`, the recall of each defective image.
        base: the size that was proposed.

    >>> some, others, all_ = np.array([1.0, 0, 1, 0]), np.array([0, 1.0, 1, 0]), np.ones(4)
    >>> _better({(64, 64): some, (128, 128): others, (256, 256): all_}, (128, 128))
    ((256, 256), 'it finds more than 128x128')
    >>> _better({(64, 64): some, (128, 128): others, (256, 256): others}, (128, 128))
    ((128, 128), 'neither a smaller nor a larger size is clearly better')
    >>> _better({(64, 64): some, (128, 128): some}, (128, 128))
    ((64, 64), 'it finds nearly as much as 128x128, or more')
    """
    if base not in found:
        return list(found)[-1], "it leaves a larger one hardly anything to find"
    for size in [size for size in reversed(found) if size != base]:
        gain = found[size] - found[base]
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        if size[0] > base[0] and gain.mean() >= max(LARGER_FROM, error):
            return size, f"it finds more than {_text(base)}"
        if size[0] < base[0] and gain.mean() >= error - LARGER_FROM:
            return size, f"it finds nearly as much as {_text(base)}, or more"
    return base, "neither a smaller nor a larger size is clearly better"


def evenly_drawn(training_set: Manifest) -> Manifest:
    """Evenly drawn real images: at most so many of each label."""
    chosen: set[str] = set()
    for label, most in (("negative", NORMALS), ("positive", DEFECTIVES)):
        samples = [s for s in training_set.real() if s.label == label]
        steps = np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int)
        chosen |= {samples[i].image for i in steps.tolist()}
    return training_set.where(s for s in training_set if s.image in chosen)


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
