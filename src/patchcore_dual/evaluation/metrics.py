"""Image-level metrics: how well scores separate defective images from normal ones.

A point of a curve at threshold t is for rejecting all scores of at least t, so equal scores are
rejected together. A metric that is undefined, because one of the classes is missing, is NaN.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from scipy.special import betaincinv

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve.

    It is the probability that a defective image scores higher than a normal one; ties count half.

    >>> auroc([0.1, 0.6, 0.4, 0.9], [False, False, True, True])
    0.75

    Args:
        scores: float `[n]`, higher for more anomalous.
        labels: bool `[n]`, True for a defective image.

    Raises:
        ValueError: for scores that are not finite, and for shapes that do not fit.
    """
    true_positives, false_positives, _ = _counts(*_checked(scores, labels))
    return auroc_of_counts(true_positives, false_positives)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision: the sum over falling thresholds of (gain in recall) × precision.

    There is no interpolation, as in scikit-learn.

    >>> round(average_precision([0.1, 0.6, 0.4, 0.9], [False, False, True, True]), 4)
    0.8333

    Args:
        scores: float `[n]`, higher for more anomalous.
        labels: bool `[n]`, True for a defective image.

    Raises:
        ValueError: for scores that are not finite, and for shapes that do not fit.
    """
    true_positives, false_positives, _ = _counts(*_checked(scores, labels))
    return average_precision_of_counts(true_positives, false_positives)


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """The ROC curve, strictest threshold first.

    >>> rates, recalls, thresholds = roc_curve([0.1, 0.6, 0.9], [False, False, True])
    >>> rates.tolist(), recalls.tolist(), thresholds.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 1.0, 1.0, 1.0], [inf, 0.9, 0.6, 0.1])

    Args:
        scores: float `[n]`, higher for more anomalous.
        labels: bool `[n]`, True for a defective image.

    Returns:
        False-alarm rates, recalls and thresholds, each float64 `[k + 1]` for k distinct scores.
        The first point is (0, 0) at threshold infinity; a rate of a missing class is NaN.

    Raises:
        ValueError: for scores that are not finite, and for shapes that do not fit.
    """
    true_positives, false_positives, thresholds = _counts(*_checked(scores, labels))
    return (
        _shares(np.append(0, false_positives)),
        _shares(np.append(0, true_positives)),
        np.append(np.inf, thresholds),
    )


def precision_recall_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """The precision-recall curve, strictest threshold first.

    Args:
        scores: float `[n]`, higher for more anomalous.
        labels: bool `[n]`, True for a defective image.

    Returns:
        Precisions, recalls and thresholds, each float64 `[k]` for k distinct scores. Recalls are
        NaN where there is no defective image.

    Raises:
        ValueError: for scores that are not finite, and for shapes that do not fit.
    """
    true_positives, false_positives, thresholds = _counts(*_checked(scores, labels))
    precisions = true_positives / (true_positives + false_positives)
    return precisions, _shares(true_positives), thresholds


def best_f1(scores: ArrayLike, labels: ArrayLike) -> float:
    """The highest F1 score over all thresholds: a bound, since a model cannot know that threshold.

    >>> round(best_f1([0.1, 0.6, 0.4, 0.9], [False, False, True, True]), 2)
    0.8

    Args:
        scores: float `[n]`, higher for more anomalous.
        labels: bool `[n]`, True for a defective image.

    Raises:
        ValueError: for scores that are not finite, and for shapes that do not fit.
    """
    true_positives, false_positives, _ = _counts(*_checked(scores, labels))
    if _one_class(true_positives, false_positives):
        return float("nan")
    f1 = 2 * true_positives / (true_positives + false_positives + true_positives[-1])
    return float(f1.max())


def recall_at_fpr(scores: ArrayLike, labels: ArrayLike, fpr: float) -> float:
    """Recall at the loosest threshold whose false-alarm rate is at most `fpr`.

    A rate of exactly `fpr` is allowed. Nothing is interpolated: the threshold could be set as it
    is.

    >>> recall_at_fpr([0.1, 0.6, 0.4, 0.9], [False, False, True, True], fpr=0.5)
    1.0
    >>> recall_at_fpr([0.1, 0.6, 0.4, 0.9], [False, False, True, True], fpr=0.49)
    0.5

    Args:
        scores: float `[n]`, higher for more anomalous.
        labels: bool `[n]`, True for a defective image.
        fpr: the largest false-alarm rate, 0 to 1.

    Raises:
        ValueError: for a rate outside 0 to 1, scores that are not finite, and shapes that do not
            fit.
    """
    if not 0 <= fpr <= 1:
        raise ValueError(f"fpr is {fpr}; it has to lie between 0 and 1")
    false_alarm_rates, recalls, _ = roc_curve(scores, labels)
    if np.isnan(false_alarm_rates[-1]):
        return float("nan")
    return float(recalls[np.flatnonzero(false_alarm_rates <= fpr)[-1]])


def auroc_of_counts(true_positives: Counts, false_positives: Counts) -> float:
    """Area under the ROC curve of cumulative counts, int64 `[k]`, strictest threshold first."""
    if _one_class(true_positives, false_positives):
        return float("nan")
    recalls = _shares(np.append(0, true_positives))
    return float(trapezoid(recalls, _shares(np.append(0, false_positives))))


def average_precision_of_counts(true_positives: Counts, false_positives: Counts) -> float:
    """Average precision of cumulative counts, int64 `[k]`, strictest threshold first."""
    if _one_class(true_positives, false_positives):
        return float("nan")
    precisions = true_positives / (true_positives + false_positives)
    return float(np.sum(np.diff(_shares(true_positives), prepend=0.0) * precisions))


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    scores = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(
            f"scores {scores.shape} and labels {labels.shape} have to be one list of equal length"
        )
    if not np.isfinite(scores).all():
        raise ValueError("scores have to be finite numbers")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels have to be True for defective images and False for normal ones")
    return scores, labels.astype(bool)


def _counts(scores: Floats, labels: NDArray[np.bool_]) -> tuple[Counts, Counts, Floats]:
    """Rejected defective images, rejected normal images and threshold, by distinct score."""
    order = np.argsort(-scores, kind="stable")
    scores, labels = scores[order], labels[order]
    last_of_ties = np.flatnonzero(np.append(scores[1:] != scores[:-1], scores.size > 0))
    true_positives = np.cumsum(labels, dtype=np.int64)[last_of_ties]
    return true_positives, last_of_ties + 1 - true_positives, scores[last_of_ties]


def _shares(counts: Counts) -> Floats:
    """Cumulative counts as shares of the last one; NaN where that is zero."""
    if counts.size == 0 or counts[-1] == 0:
        return np.full(counts.shape, np.nan)
    return counts / counts[-1]


def _one_class(true_positives: Counts, false_positives: Counts) -> bool:
    return true_positives.size == 0 or true_positives[-1] == 0 or false_positives[-1] == 0


def proportion_interval(hits: float, n: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Clopper and Pearson 1934): exact for any `n`.

    It holds for independent parts; several photographs of one part count as one.

    >>> low, high = proportion_interval(7, 10)
    >>> f"{low:.2f} to {high:.2f}"
    '0.35 to 0.93'

    Args:
        hits: number of parts that count; a part can count in part, as 1/3 of its three trials.
        n: number of all parts.

    Returns:
        Lower and upper end, in 0 to 1; NaN for `n` of 0.
    """
    if n == 0:
        return math.nan, math.nan
    low = float(betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0
    return low, high
