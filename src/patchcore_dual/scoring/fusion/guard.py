"""The guard of `calibrated`: knowing some defects must not reduce the recall on other kinds.

Fitting leaves out one kind of defect at a time (or one cluster, where kinds are not named) and
measures whether the known-defect channel, with the defect bank and the probe built from the rest,
reduces the recall on it. If so, a discount is subtracted from the channel, large enough to prevent
that; an infinite discount switches the channel off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.scoring.thresholds import HeldOutScores

# In units of the channels' common scale, where one unit more is about e times rarer.
DISCOUNTS = (0.0, 0.5, 1.0, 2.0, 4.0, float("inf"))
TOLERANCE = 0.02  # loss of mean recall on left-out kinds that is accepted as noise
MAX_FALSE_ALARM_RATE = 0.1  # recall is averaged over false-alarm rates up to this


@dataclass(frozen=True)
class ChannelMaxima:
    """The maxima of both channels in each of n images, on their common scale.

    Attributes:
        unfamiliar: `[n]`, of the *unfamiliar* channel.
        known: `[n]`, of the *known defect* channel before the discount.
    """

    unfamiliar: np.ndarray
    known: np.ndarray

    def scores(self, discount: float) -> np.ndarray:
        """Return the image scores `[n]` with a discount on the known-defect channel."""
        return np.maximum(self.unfamiliar, self.known - discount)


@dataclass(frozen=True)
class LeftOutCluster:
    """Channel maxima computed without one cluster of defects.

    Attributes:
        normals: of held-out normal images.
        defectives: of the defective images of that cluster.
    """

    normals: ChannelMaxima
    defectives: ChannelMaxima


@dataclass(frozen=True)
class GuardReport:
    """What the guard measured by cross-fitting on the training images.

    "Unseen" defects belong to a cluster that was left out of bank and probe; "seen" defects are
    scored out of fold, with the defects of the other folds in the bank. A recall is the mean over
    false-alarm rates from 0 to 10 %, which is stable with few images, unless its name ends in
    `_at_rate`. The names of the attributes are also the keys in `model.json`.

    Attributes:
        discount: the discount chosen for the known-defect channel.
        unseen: recall on unseen defects with this discount.
        unseen_without: recall on unseen defects without the known-defect channel.
        unseen_undiscounted: recall on unseen defects with discount 0.
        seen: recall on seen defects with this discount.
        seen_without: recall on seen defects without the known-defect channel.
        false_alarm_rate: the false-alarm rate that was requested.
        unseen_at_rate: recall on unseen defects with this discount at that rate.
        unseen_without_at_rate: recall on unseen defects without the known-defect channel at that
            rate.
    """

    discount: float
    unseen: float
    unseen_without: float
    unseen_undiscounted: float
    seen: float
    seen_without: float
    false_alarm_rate: float
    unseen_at_rate: float
    unseen_without_at_rate: float

    def __str__(self) -> str:
        if self.discount == 0:
            decision = "The defect bank is used in full."
        elif np.isinf(self.discount):
            decision = (
                "The defect bank is switched off: it would miss too many defects of new kinds."
            )
        else:
            decision = (
                f"The defect bank is discounted by {self.discount:g}: in full it would miss "
                "defects of new kinds."
            )
        return (
            f"Guard: {decision} Recall on kinds of defect that were left out (mean over "
            f"false-alarm rates up to 10 %): {self.unseen_without:.2f} without the defect bank, "
            f"{self.unseen_undiscounted:.2f} with the full bank, {self.unseen:.2f} as fitted. "
            f"At {self.false_alarm_rate:.1%} false alarms: {self.unseen_without_at_rate:.2f} "
            f"without the bank, {self.unseen_at_rate:.2f} as fitted. Recall on known kinds (mean): "
            f"{self.seen_without:.2f} without the bank, {self.seen:.2f} as fitted."
        )


def mean_recall(defectives: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return the recall of each defective image, averaged over false-alarm rates from 0 to 10 %.

    For one image that is the share of those rates at which it is detected, max(0, 1 − p / 0.1),
    with p the share of normal scores that are not below its score.

    Args:
        defectives: `[m]`, scores of defective images.
        normals: `[n]`, scores of normal images.

    Returns:
        float64 `[m]` in 0 to 1.

    >>> mean_recall(np.array([94.5, 99.5]), np.arange(100)).round(2).tolist()
    [0.5, 1.0]
    """
    p = 1 - np.searchsorted(np.sort(normals), defectives, side="left") / len(normals)
    return np.clip(1 - p / MAX_FALSE_ALARM_RATE, 0, 1)


def choose_discount(
    normals: ChannelMaxima,
    defectives: ChannelMaxima,
    left_out: Sequence[LeftOutCluster],
    false_alarm_rate: float = 0.01,
) -> GuardReport | None:
    """Choose the discount with the highest recall among those that are safe for new kinds.

    A discount is safe if the recall that it costs on left-out clusters, compared with no
    known-defect channel, is at most `TOLERANCE` or one standard error. Of the safe ones, the one
    with the highest recall on left-out and known kinds together is chosen; infinity always is safe.

    Args:
        normals, defectives: held-out images, with every cluster of defects known.
        left_out: one entry for each cluster.
        false_alarm_rate: the rate at which recall on left-out clusters is reported besides.

    Returns:
        The report with the discount; None if `left_out` is empty.

    >>> rng = np.random.default_rng(0)
    >>> normals = ChannelMaxima(rng.exponential(size=100), rng.exponential(size=100))
    >>> obvious = ChannelMaxima(np.zeros(20), np.full(20, 9.0))  # only the known channel sees them
    >>> report = choose_discount(normals, obvious, [LeftOutCluster(normals, obvious)])
    >>> report.discount, report.unseen_without, report.unseen
    (0.0, 0.0, 1.0)
    """
    if not left_out:
        return None

    def recalls(discount: float) -> list[np.ndarray]:
        return [
            mean_recall(one.defectives.scores(discount), one.normals.scores(discount))
            for one in left_out
        ]

    def seen(discount: float) -> float:
        if not len(defectives.known):
            return 0.0
        return float(mean_recall(defectives.scores(discount), normals.scores(discount)).mean())

    def mean(values: list[np.ndarray]) -> float:
        return float(np.mean([v.mean() for v in values]))  # each cluster has the same weight

    without = recalls(float("inf"))
    by_discount = {discount: recalls(discount) for discount in DISCOUNTS}
    safe = []
    for discount, values in by_discount.items():
        loss = np.concatenate([a - b for a, b in zip(without, values, strict=True)])
        standard_error = float(loss.std() / np.sqrt(len(loss)))
        if mean(without) - mean(values) <= max(TOLERANCE, standard_error):
            safe.append(discount)
    best = max(safe, key=lambda d: (mean(by_discount[d]) + seen(d), -d))
    return GuardReport(
        discount=best,
        unseen=mean(by_discount[best]),
        unseen_without=mean(without),
        unseen_undiscounted=mean(by_discount[0.0]),
        seen=seen(best),
        seen_without=seen(float("inf")),
        false_alarm_rate=false_alarm_rate,
        unseen_at_rate=_recall_at(left_out, best, false_alarm_rate),
        unseen_without_at_rate=_recall_at(left_out, float("inf"), false_alarm_rate),
    )


def _recall_at(
    left_out: Sequence[LeftOutCluster], discount: float, false_alarm_rate: float
) -> float:
    """Mean recall on left-out clusters at the threshold of the normal images for a rate."""
    recalls = []
    for one in left_out:
        scores = one.normals.scores(discount)
        threshold = HeldOutScores(scores).threshold(false_alarm_rate).value
        recalls.append((one.defectives.scores(discount) > threshold).mean())
    return float(np.mean(recalls))
