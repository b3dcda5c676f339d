"""Thresholds with a promised false-alarm rate (split conformal prediction, Vovk et al. 2005)."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Threshold:
    """An image is rejected where its score is above `value`.

    Attributes:
        value: in units of the image score.
        false_alarm_rate: what is promised: the chance that a new good image, exchangeable with the
            `images` held out, is rejected is at most this.
        images: how many held-out normal images it was made from.
    """

    value: float
    false_alarm_rate: float
    images: int


def conformal_threshold(scores: np.ndarray, false_alarm_rate: float) -> Threshold:
    """The ⌈(n + 1)(1 − α)⌉-th smallest of n held-out normal scores.

    Where n is too small for the rate asked for (n < 1/α − 1), it is the largest of them, and the
    rate that can be promised is 1/(n + 1).
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    n = len(ordered)
    # The subtraction guards against (n + 1)(1 − α) landing a rounding error above a whole number.
    rank = math.ceil((n + 1) * (1 - false_alarm_rate) - 1e-9)
    if rank > n:
        return Threshold(float(ordered[-1]), 1 / (n + 1), n)
    return Threshold(float(ordered[rank - 1]), false_alarm_rate, n)
