"""Thresholds for a false-alarm rate, as in conformal prediction (Vovk et al. 2005)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.scoring.evidence import HeldOutImage
from patchcore_dual.scoring.maps import anomaly_map


@dataclass(frozen=True)
class Threshold:
    """A threshold on the image score: an image is rejected if its score is above `value`.

    Attributes:
        value: in units of the image score.
        false_alarm_rate: the guaranteed rate: a new normal image that is exchangeable with the
            calibration images is rejected with at most this probability.
        images: number of held-out normal images it was calibrated on.

    >>> threshold = conformal_threshold(np.arange(1, 100), false_alarm_rate=0.1)
    >>> threshold
    Threshold(value=90.0, false_alarm_rate=0.1, images=99)
    >>> 90.5 > threshold.value
    True
    """

    value: float
    false_alarm_rate: float
    images: int


@dataclass(frozen=True)
class Thresholds:
    """All thresholds of a fitted model.

    Attributes:
        image: on the image score.
        pixel: on the anomaly map; pixels above it belong to a region.
        map_floor: median value of the anomaly map on normal images, which heat maps show as 0.
    """

    image: Threshold
    pixel: float
    map_floor: float


def conformal_threshold(scores: np.ndarray, false_alarm_rate: float) -> Threshold:
    """Return the threshold that guarantees a false-alarm rate: a conformal quantile of the scores.

    It is the ⌈(n + 1)(1 − α)⌉-th smallest of n held-out normal scores. Where n is too small for
    the rate α (n < 1/α − 1), it is the largest of them, which guarantees 1/(n + 1).

    Args:
        scores: `[n]`, image scores of held-out normal images, n ≥ 1.
        false_alarm_rate: α, between 0 and 1.

    >>> conformal_threshold(np.arange(1, 200), 0.01)
    Threshold(value=198.0, false_alarm_rate=0.01, images=199)
    >>> conformal_threshold(np.arange(1, 20), 0.01)  # 1 % takes 99 images
    Threshold(value=19.0, false_alarm_rate=0.05, images=19)
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    n = len(ordered)
    # The subtraction guards against (n + 1)(1 − α) landing a rounding error above a whole number.
    rank = math.ceil((n + 1) * (1 - false_alarm_rate) - 1e-9)
    if rank > n:
        return Threshold(float(ordered[-1]), 1 / (n + 1), n)
    return Threshold(float(ordered[rank - 1]), false_alarm_rate, n)


def calibrate_thresholds(
    outputs: Sequence[tuple[float, np.ndarray]],
    images: Sequence[HeldOutImage],
    sigma: float,
    false_alarm_rate: float,
) -> Thresholds:
    """Calibrate all thresholds on held-out normal images.

    The image threshold is the conformal threshold of the image scores, the pixel threshold that of
    the maxima of the anomaly maps, so that a new normal image shows any region with at most this
    probability.

    Args:
        outputs: the fusion rule's out-of-fold output for each image: image score, and patch grid
            float32 `[h, w]`.
        images: the held-out normal images, whose sizes the anomaly maps take.
        sigma: smoothing of the anomaly maps, in pixels of the prepared image.
        false_alarm_rate: the rate to guarantee, if there are enough images.

    >>> from patchcore_dual.scoring import Evidence, Nearest
    >>> evidence = Evidence(Nearest(np.zeros((2, 2), np.float32), np.zeros((2, 2), int)))
    >>> images = [HeldOutImage(evidence, fold, width=16, height=16) for fold in range(3)]
    >>> outputs = [(score, np.full((2, 2), score)) for score in (1.0, 2.0, 3.0)]
    >>> thresholds = calibrate_thresholds(outputs, images, sigma=2, false_alarm_rate=0.5)
    >>> thresholds.image
    Threshold(value=2.0, false_alarm_rate=0.5, images=3)
    >>> round(thresholds.pixel, 3), round(thresholds.map_floor, 3)
    (2.0, 2.0)
    """
    peaks, medians = [], []
    for (_, grid), image in zip(outputs, images, strict=True):
        heat = anomaly_map(grid, image.height, image.width, sigma)
        peaks.append(float(heat.max()))
        medians.append(float(np.median(heat)))
    return Thresholds(
        conformal_threshold(np.array([score for score, _ in outputs]), false_alarm_rate),
        conformal_threshold(np.array(peaks), false_alarm_rate).value,
        float(np.median(medians)),
    )
