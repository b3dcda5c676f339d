"""Bootstrap intervals by group: parts of one commutator or tile are not independent images.

Groups are drawn with replacement; a group that was drawn twice counts twice with all its images.
They are drawn within strata (each kind of defect, and groups without any), so that every draw has
good and defective images. A group that appears in the test sets of several split seeds is drawn
for all of them at once, and every method is read on the same draws, so that differences are paired.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.evaluation.evaluation import Evaluation
from patchcore_dual.experiments.pixel_pairs import TrialEvaluation

REPLICATES = 2000
LEVEL = 0.95

Floats = NDArray[np.float64]
Weighted = Callable[[Evaluation, Floats], Floats]
"""A figure of one evaluation with its images weighted, `[r, n]`; NaN where undefined, `[r]`."""


@dataclass(frozen=True)
class Figure:
    """A figure over split seeds, or the difference of two.

    Attributes:
        mean, deviation: over the seeds; the deviation is NaN for a single seed.
        low, high: the interval that holds 95 % of the bootstrap draws of the mean; NaN where the
            figure has no interval.
    """

    mean: float
    deviation: float
    low: float = float("nan")
    high: float = float("nan")

    @classmethod
    def of(cls, values: Sequence[float] | Floats, draws: Floats | None = None) -> "Figure":
        """Of the seeds' values, and bootstrap draws of their mean `[r]`."""
        array = np.array(values, dtype=np.float64)
        deviation = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
        if draws is None or not np.isfinite(draws).any():
            return cls(float(array.mean()), deviation)
        tail = 50 * (1 - LEVEL)
        low, high = np.nanpercentile(draws, [tail, 100 - tail])
        return cls(float(array.mean()), deviation, float(low), float(high))


class Resampling:
    """Draws of groups, the same for everything that is compared.

    Args:
        groups: the group of every image by name; other images are groups of their own.
        evaluations: all that will be looked at; they tell which groups there are to draw from.
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
        """How often each draw holds each image, `[r, n]`."""
        names = [self._groups.get(r.path, r.path) for r in evaluation.images]
        return self._counts[:, [self._column[name] for name in names]]

    def draws(self, figure: Weighted, evaluations: Sequence[Evaluation]) -> Floats:
        """The mean of a figure over evaluations in every draw, `[r]`."""
        values = np.stack([figure(e, self.weights(e)) for e in evaluations])
        defined = np.isfinite(values)
        total = np.where(defined, values, 0).sum(axis=0)
        with np.errstate(invalid="ignore"):
            return total / defined.sum(axis=0)


def _strata(evaluations: Sequence[Evaluation], groups: Mapping[str, str]) -> list[list[str]]:
    """The groups of each stratum: a group's rarest kind of defect, or none."""
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
    """Area under the ROC curve `[r]` of scores `[n]` with each of r rows of weights `[r, n]`."""
    tp, fp = _counts(scores, labels, weights)
    zero = np.zeros((len(tp), 1))
    tp, fp = np.hstack([zero, tp]), np.hstack([zero, fp])
    area = (np.diff(fp) * (tp[:, 1:] + tp[:, :-1]) / 2).sum(axis=1)
    return _divide(area, tp[:, -1] * fp[:, -1])


def weighted_average_precision(
    scores: Floats, labels: NDArray[np.bool_], weights: Floats
) -> Floats:
    """Average precision, likewise."""
    tp, fp = _counts(scores, labels, weights)
    steps = np.diff(tp, prepend=0.0, axis=1)
    both = np.where(tp[:, -1] * fp[:, -1] > 0, tp[:, -1], 0)
    return _divide((steps * tp / np.maximum(tp + fp, 1e-12)).sum(axis=1), both)


def weighted_recall_at_fpr(
    scores: Floats, labels: NDArray[np.bool_], weights: Floats, fpr: float
) -> Floats:
    """Recall at the loosest threshold whose false-alarm rate does not exceed `fpr`, likewise."""
    tp, fp = _counts(scores, labels, weights)
    allowed = fp <= fpr * fp[:, -1:] + 1e-9
    found = np.where(allowed, tp, 0).max(axis=1)
    return _divide(np.where(fp[:, -1] > 0, found, np.nan), tp[:, -1])


def weighted_share(marked: NDArray[np.bool_], of: NDArray[np.bool_], weights: Floats) -> Floats:
    """The share of the images `of` that are `marked`, both `[n]`, likewise."""
    return _divide(weights @ (marked & of).astype(float), weights @ of.astype(float))


def _counts(scores: Floats, labels: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Weights of rejected defective and good images `[r, k]`, for each distinct score."""
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
