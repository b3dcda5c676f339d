"""The guard: a defect that was taught must not make the detector blind to others.

Fitting leaves out one kind of defect at a time (or one cluster, where kinds have no names), and
looks whether the known-defect channel, learned from the rest, costs recall on it. Where it does,
the channel is discounted until it no longer does, if need be to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.scoring.thresholds import conformal_threshold

# By how many e-folds of rarity a known-defect score is taken down; infinity switches it off.
DISCOUNTS = (0.0, 0.5, 1.0, 2.0, 4.0, float("inf"))
TOLERANCE = 0.02  # loss of mean recall on unseen kinds that is let pass as noise
MAX_FALSE_ALARMS = 0.1  # recall is averaged over false-alarm rates up to this


@dataclass(frozen=True)
class Maxima:
    """Image maxima of both channels, on their common scale; `[n]` each."""

    unfamiliar: np.ndarray
    known: np.ndarray

    def scores(self, discount: float) -> np.ndarray:
        """Image scores with the known-defect channel discounted."""
        return np.maximum(self.unfamiliar, self.known - discount)


@dataclass(frozen=True)
class Unseen:
    """Good images, and the defective ones of a cluster, by evidence that lacks the cluster."""

    normals: Maxima
    defectives: Maxima


@dataclass(frozen=True)
class GuardReport:
    """What the guard found, by cross-fitting on training images.

    `unseen` speaks of defects of a cluster that was left out, `seen` of defects of which others of
    the kind were there; `_without` is as if there were no defect bank, `_undiscounted` before the
    discount. These recalls are means over false-alarm rates from 0 to 10 %, which a few images can
    tell apart; those `_at_rate` are at the rate that was asked for.
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
            verdict = "counts in full"
        elif np.isinf(self.discount):
            verdict = "would cost too much of them, and is switched off"
        else:
            verdict = f"would cost some of them, and is discounted by {self.discount:g}"
        return (
            "Guard, by leaving out kinds of defect: the defect bank "
            f"{verdict}. Mean recall at up to 10 % false alarms on a kind that was left out: "
            f"{self.unseen_without:.2f} without the defect bank, {self.unseen_undiscounted:.2f} "
            f"with it, {self.unseen:.2f} as fitted (at {self.false_alarm_rate:.1%} false alarms "
            f"{self.unseen_without_at_rate:.2f} and {self.unseen_at_rate:.2f}). On known kinds: "
            f"{self.seen_without:.2f} without, {self.seen:.2f} as fitted."
        )


def mean_recall(defectives: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """For each defective score, the share of false-alarm rates in 0 to 10 % at which it is found.

    That is max(0, 1 − p / 0.1) with p the share of normal scores that reach it.
    """
    p = 1 - np.searchsorted(np.sort(normals), defectives, side="left") / len(normals)
    return np.clip(1 - p / MAX_FALSE_ALARMS, 0, 1)


def choose_discount(
    normals: Maxima,
    defectives: Maxima,
    unseen: Sequence[Unseen],
    false_alarm_rate: float = 0.01,
) -> GuardReport | None:
    """The discount that keeps recall on unseen kinds and, among those, detects most.

    A discount is safe where the recall it costs on unseen kinds is within the tolerance or its
    standard error. None where nothing could be left out.

    Args:
        normals, defectives: held-out images with every cluster seen.
        unseen: the same with each cluster left out in turn.
        false_alarm_rate: at which recall on unseen kinds is reported.
    """
    if not unseen:
        return None

    def recalls(discount: float) -> list[np.ndarray]:
        return [
            mean_recall(u.defectives.scores(discount), u.normals.scores(discount)) for u in unseen
        ]

    def seen(discount: float) -> float:
        if not len(defectives.known):
            return 0.0
        return float(mean_recall(defectives.scores(discount), normals.scores(discount)).mean())

    def mean(values: list[np.ndarray]) -> float:
        return float(np.mean([v.mean() for v in values]))  # every kind counts alike

    without = recalls(float("inf"))
    by_discount = {discount: recalls(discount) for discount in DISCOUNTS}
    safe = []
    for discount, values in by_discount.items():
        loss = np.concatenate([a - b for a, b in zip(without, values, strict=True)])
        error = float(loss.std() / np.sqrt(len(loss)))
        if mean(without) - mean(values) <= max(TOLERANCE, error):
            safe.append(discount)
    best = max(safe, key=lambda d: (mean(by_discount[d]) + seen(d), -d))
    return GuardReport(
        best,
        mean(by_discount[best]),
        mean(without),
        mean(by_discount[0.0]),
        seen(best),
        seen(float("inf")),
        false_alarm_rate,
        _recall_at(unseen, best, false_alarm_rate),
        _recall_at(unseen, float("inf"), false_alarm_rate),
    )


def _recall_at(unseen: Sequence[Unseen], discount: float, false_alarm_rate: float) -> float:
    """Recall on left-out clusters at the threshold that the good images give."""
    recalls = []
    for one in unseen:
        scores = one.normals.scores(discount)
        threshold = conformal_threshold(scores, false_alarm_rate).value
        recalls.append((one.defectives.scores(discount) > threshold).mean())
    return float(np.mean(recalls))
