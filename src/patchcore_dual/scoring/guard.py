"""The guard: a defect that was taught must not make the detector blind to others.

Fitting leaves out one kind of defect at a time (or one cluster, where kinds have no names), and
looks whether the known-defect channel, learned from the rest, costs recall on it. Where it does,
the channel is discounted until it no longer does, if need be to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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

    Recalls are means over false-alarm rates from 0 to 10 %: `unseen` for defects of a cluster that
    was left out, `seen` for defects of which others of the kind were there; `_without` as if
    there were no defect bank, `_undiscounted` before the discount.
    """

    discount: float
    unseen: float
    unseen_without: float
    unseen_undiscounted: float
    seen: float
    seen_without: float

    def __str__(self) -> str:
        if self.discount == 0:
            verdict = "the defect bank counts in full"
        elif np.isinf(self.discount):
            verdict = "the defect bank would cost too much of them and is switched off"
        else:
            verdict = f"the defect bank is discounted by {self.discount:g}"
        return (
            f"Guard: on kinds of defect left out of training, recall {self.unseen_without:.2f} "
            f"without the defect bank, {self.unseen_undiscounted:.2f} with it; {verdict} "
            f"({self.unseen:.2f}). On known kinds {self.seen_without:.2f} without, "
            f"{self.seen:.2f} with it."
        )


def mean_recall(defectives: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """For each defective score, the share of false-alarm rates in 0 to 10 % at which it is found.

    That is max(0, 1 − p / 0.1) with p the share of normal scores that reach it.
    """
    p = 1 - np.searchsorted(np.sort(normals), defectives, side="left") / len(normals)
    return np.clip(1 - p / MAX_FALSE_ALARMS, 0, 1)


def choose_discount(
    normals: Maxima, defectives: Maxima, unseen: Sequence[Unseen]
) -> GuardReport | None:
    """The discount that keeps recall on unseen kinds and, among those, detects most.

    A discount is safe where the recall it costs on unseen kinds is within the tolerance or its
    standard error. None where nothing could be left out.

    Args:
        normals, defectives: held-out images with every cluster seen.
        unseen: the same with each cluster left out in turn.
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
    )
