"""Bootstrap intervals by group, since images of one commutator or tile are not independent.

Groups are drawn with replacement; a group that was drawn twice counts twice with all its images.
They are drawn within strata (each kind of defect, and groups without any), so that every draw has
normal and defective images. A group in the test sets of several split seeds is drawn for all of
them at once, and every method is measured on the same draws, so that differences are paired.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.evaluation.results import Evaluation
from patchcore_dual.experiments.pixel_pairs import TrialEvaluation

REPLICATES = 2000
LEVEL = 0.95

Floats = NDArray[np.float64]
Weighted = Callable[[Evaluation, Floats], Floats]
"""From an evaluation and r rows of weights on its images `[r, n]` to r figures; NaN: undefined."""


@dataclass(frozen=True)
class Figure:
    """A figure over split seeds, or the paired difference of two methods.

    Attributes:
        mean: over the seeds.
        deviation: sample standard deviation over the seeds; NaN for a single seed.
        low, high: ends of the 95 % percentile bootstrap interval of the mean: 2.5 % of the draws
            are below it and 2.5 % above it. NaN where the figure has no interval.
    """

    mean: float
    deviation: float
    low: float = float("nan")
    high: float = float("nan")

    @classmethod
    def of(cls, values: Sequence[float] | Floats, draws: Floats | None = None) -> "Figure":
        """The figure of the seeds' values.

        >>> figure = Figure.of([0.25, 0.5, 0.75], draws=np.linspace(0, 1, 1001))
        >>> figure.mean, figure.deviation, round(figure.low, 3), round(figure.high, 3)
        (0.5, 0.25, 0.025, 0.975)

        Args:
            values: one for each seed, `[seeds]`.
            draws: bootstrap draws of their mean, `[r]`; NaN where it is undefined.
        """
        array = np.array(values, dtype=np.float64)
        deviation = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
        if draws is None or not np.isfinite(draws).any():
            return cls(float(array.mean()), deviation)
        tail = 50 * (1 - LEVEL)
        low, high = np.nanpercentile(draws, [tail, 100 - tail])
        return cls(float(array.mean()), deviation, float(low), float(high))


class Resampling:
    """Bootstrap draws of groups, the same for all evaluations that are compared.

    >>> from patchcore_dual.evaluation.image_result import ImageResult
    >>> from patchcore_dual.evaluation.results import summarise
    >>> results = [
    ...     ImageResult(f"{i}.png", "positive" if i % 2 else "negative", "", score, "pass")
    ...     for i, score in enumerate([0.1, 0.9, 0.6, 0.4])
    ... ]
    >>> about = {"dataset": "metal", "split": "test", "scoring": "ratio", "backbone": "resnet18"}
    >>> about |= {"weights_sha256": "", "size": "64x64", "seed": 0}
    >>> evaluation = summarise(results, 1.0, None, **about)
    >>> resampling = Resampling([evaluation], groups={}, replicates=100)
    >>> resampling.weights(evaluation).shape
    (100, 4)
    >>> draws = resampling.draws(RESAMPLED["image_auroc"], [evaluation])
    >>> Figure.of([evaluation.image_auroc], draws).low
    0.0

    Args:
        evaluations: all that are compared; their groups are drawn from.
        groups: the group of every image by name; an image without one is its own group.
        replicates: number of draws.
        seed: of the draws.
    """

    def __init__(
        self,
        evaluations: Sequence[Evaluation],
        groups: Mapping[str, str],
        replicates: int = REPLICATES,
        seed: int = 0,
    ) -> None:
        self._groups = groups
        generator = np.random.default_rng(seed)
        strata = _strata(evaluations, groups)
        self._column = {name: i for i, name in enumerate(n for names in strata for n in names)}
        counts = [
            generator.multinomial(len(names), np.full(len(names), 1 / len(names)), replicates)
            for names in strata
        ]
        self._counts = np.concatenate(counts, axis=1).astype(np.float64)

    def weights(self, evaluation: Evaluation) -> Floats:
        """How many times each draw contains each image of an evaluation, `[r, n]`."""
        names = [self._groups.get(r.path, r.path) for r in evaluation.images]
        return self._counts[:, [self._column[name] for name in names]]

    def draws(self, figure: Weighted, evaluations: Sequence[Evaluation]) -> Floats:
        """The mean of a figure over evaluations in every draw, `[r]`; NaN where none defines it."""
        values = np.stack([figure(e, self.weights(e)) for e in evaluations])
        defined = np.isfinite(values)
        total = np.where(defined, values, 0).sum(axis=0)
        with np.errstate(invalid="ignore"):
            return total / defined.sum(axis=0)


def _strata(evaluations: Sequence[Evaluation], groups: Mapping[str, str]) -> list[list[str]]:
    """The groups of each stratum, which is a group's rarest kind of defect, or no defect."""
    kind_of = {r.path: r.kind for e in evaluations for r in e.images if r.is_defective}
    frequency = Counter(kind_of.values())
    stratum: dict[str, tuple[int, str]] = {}
    for path in sorted({r.path for e in evaluations for r in e.images}):
        own = (len(kind_of) + 1, "")
        if path in kind_of:
            own = (frequency[kind_of[path]], kind_of[path])
        group = groups.get(path, path)
        stratum[group] = min(own, stratum.get(group, own))
    members: dict[tuple[int, str], list[str]] = {}
    for group in sorted(stratum):
        members.setdefault(stratum[group], []).append(group)
    return [members[key] for key in sorted(members)]


def weighted_auroc(scores: Floats, labels: NDArray[np.bool_], weights: Floats) -> Floats:
    """Area under the ROC curve `[r]` of scores `[n]` with each of r rows of weights `[r, n]`.

    >>> scores, labels = np.array([0.1, 0.9, 0.6, 0.4]), np.array([False, True, False, True])
    >>> weighted_auroc(scores, labels, np.array([[1, 1, 1, 1], [1, 1, 0, 1.0]]))
    array([0.75, 1.  ])
    """
    tp, fp = _counts(scores, labels, weights)
    zero = np.zeros((len(tp), 1))
    tp, fp = np.hstack([zero, tp]), np.hstack([zero, fp])
    area = (np.diff(fp) * (tp[:, 1:] + tp[:, :-1]) / 2).sum(axis=1)
    return _divide(area, tp[:, -1] * fp[:, -1])


def weighted_average_precision(
    scores: Floats, labels: NDArray[np.bool_], weights: Floats
) -> Floats:
    """Average precision `[r]` of scores `[n]` with each of r rows of weights `[r, n]`."""
    tp, fp = _counts(scores, labels, weights)
    steps = np.diff(tp, prepend=0.0, axis=1)
    both = np.where(tp[:, -1] * fp[:, -1] > 0, tp[:, -1], 0)
    return _divide((steps * tp / np.maximum(tp + fp, 1e-12)).sum(axis=1), both)


def weighted_recall_at_fpr(
    scores: Floats, labels: NDArray[np.bool_], weights: Floats, fpr: float
) -> Floats:
    """Recall `[r]` at the loosest threshold with a false-alarm rate of at most `fpr`, weighted."""
    tp, fp = _counts(scores, labels, weights)
    allowed = fp <= fpr * fp[:, -1:] + 1e-9
    rejected = np.where(allowed, tp, 0).max(axis=1)
    return _divide(np.where(fp[:, -1] > 0, rejected, np.nan), tp[:, -1])


def weighted_share(marked: NDArray[np.bool_], of: NDArray[np.bool_], weights: Floats) -> Floats:
    """The share `[r]` of the images `of` that are `marked`, both `[n]`, weighted."""
    return _divide(weights @ (marked & of).astype(float), weights @ of.astype(float))


def _counts(scores: Floats, labels: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Weights of rejected defective and normal images `[r, k]`, for each distinct score."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_ties = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    tp = np.cumsum(weights[:, order] * labels[order], axis=1)[:, last_of_ties]
    fp = np.cumsum(weights[:, order] * ~labels[order], axis=1)[:, last_of_ties]
    return tp, fp


def _divide(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 0)


def _pixel_auroc(e: Evaluation, weights: Floats) -> Floats:
    return (
        e.pixel_auroc_with(weights)
        if isinstance(e, TrialEvaluation)
        else np.full(len(weights), np.nan)
    )


def _rejected(e: Evaluation) -> NDArray[np.bool_]:
    return np.array([r.is_rejected for r in e.images], dtype=bool)


# The figures that have intervals, by their name in `Evaluation`.
RESAMPLED: dict[str, Weighted] = {
    "pixel_auroc": _pixel_auroc,
    "image_auroc": lambda e, w: weighted_auroc(e.scores, e.labels, w),
    "image_ap": lambda e, w: weighted_average_precision(e.scores, e.labels, w),
    "recall_at_fpr_01": lambda e, w: weighted_recall_at_fpr(e.scores, e.labels, w, 0.01),
    "recall": lambda e, w: weighted_share(_rejected(e), e.labels, w),
    "false_alarm_rate": lambda e, w: weighted_share(_rejected(e), ~e.labels, w),
}
