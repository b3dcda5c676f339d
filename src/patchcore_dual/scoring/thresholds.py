"""Thresholds for a false-alarm rate: what is promised, and what is expected.

The promise is that of conformal prediction (Vovk et al. 2005), between groups of images that belong
together (hierarchical conformal prediction, Dunn et al. 2022). The expectation is the best estimate
of the rate itself. The two are never mixed: few groups promise little, however good the estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from patchcore_dual.scoring.evidence import HeldOutImage
from patchcore_dual.scoring.maps import anomaly_map
from patchcore_dual.scoring.tail import Scale

Verdict = Literal["pass", "review", "reject", "not inspected"]

_ROUNDING = 1e-9  # by which sums of weights may miss a rate


@dataclass(frozen=True)
class Threshold:
    """A threshold on the image score: an image is rejected if its score is above `value`.

    Attributes:
        value: in units of the image score.
        asked: the false-alarm rate that it was chosen for.
        promised: at most this share of new normal images is rejected, on average, if their groups
            are exchangeable with those of the calibration images.
        expected: the best estimate of the share of new normal images that is rejected.
        images: number of held-out normal images it was calibrated on.
        groups: number of groups that these images are of.

    >>> threshold = HeldOutScores(np.arange(1, 100)).threshold(0.1)
    >>> threshold
    Threshold(value=90.0, asked=0.1, promised=0.1, expected=0.1, images=99, groups=99)
    >>> 90.5 > threshold.value
    True
    >>> print(threshold)
    Threshold 90: 10.0 % false alarms expected; at most 10.0 % promised, from 99 ...
    """

    value: float
    asked: float
    promised: float
    expected: float
    images: int
    groups: int

    @property
    def least_promise(self) -> float:
        """The smallest rate that so many groups can promise."""
        return 1 / (self.groups + 1)

    @property
    def shortfall(self) -> str:
        """Why the rate that was asked for is not promised, in a sentence; "" where it is."""
        if self.promised <= self.asked + _ROUNDING:
            return ""
        if self.least_promise > self.asked + _ROUNDING:
            groups = "1 group" if self.groups == 1 else f"{self.groups} groups"
            return (
                f"{percent(self.asked)} cannot be promised: {groups} of good parts "
                f"{'allows' if self.groups == 1 else 'allow'} no less than "
                f"{percent(self.least_promise)}."
            )
        estimated = f"{percent(self.asked)} is estimated, not promised"
        enough = groups_for(self.asked)
        if self.groups >= enough:  # a threshold that was set by its value
            return f"{estimated}."
        return f"{estimated}: that takes {enough} groups of good parts; there are {self.groups}."

    def __str__(self) -> str:
        """Expected and promised rate, and what they rest on, in sentences."""
        images = "image" if self.images == 1 else "images"
        groups = "group" if self.groups == 1 else "groups"
        text = (
            f"Threshold {self.value:.4g}: {percent(self.expected)} false alarms expected; at most "
            f"{percent(self.promised)} promised, from {self.images} held-out good {images} "
            f"in {self.groups} {groups}."
        )
        return " ".join(filter(None, [text, self.shortfall]))


def percent(rate: float) -> str:
    """A rate in per cent, to two digits; nobody can tell one in a million from one in a billion.

    >>> percent(0.01), percent(0.0165), percent(0.125), percent(0.0004), percent(1e-17)
    ('1.0 %', '1.7 %', '12.5 %', '0.04 %', '<0.01 %')
    """
    value = 100 * rate
    if 0 < value < 0.01:
        return "<0.01 %"
    if value and value < 0.1:
        return f"{value:.2g} %"
    return f"{value:.1f} %"


def review_rate_for(false_alarm_rate: float) -> float:
    """The share of normal images that may be rejected or sent to review, unless another is set.

    It is five times the false-alarm rate, but at most a half, and never below the rate itself.

    >>> review_rate_for(0.01), review_rate_for(0.2), review_rate_for(0.7)
    (0.05, 0.5, 0.7)
    """
    return max(false_alarm_rate, min(0.5, 5 * false_alarm_rate))


def groups_for(rate: float) -> int:
    """The number of groups, one image each, from which a false-alarm rate is promised.

    It leaves one score above the threshold, so that no single image decides.

    >>> groups_for(0.01)
    199
    """
    return int(np.ceil(2 / rate - 1 - _ROUNDING))


@dataclass(frozen=True)
class Thresholds:
    """All thresholds of a fitted model.

    Attributes:
        image: on the image score.
        review: on the image score, not above `image`: an image above it that is not rejected is for
            review. Equal to `image` where none is.
        pixel: on the anomaly map; pixels above it belong to a region.
        map_floor: median value of the anomaly map on normal images, which heat maps show as 0.
    """

    image: Threshold
    review: Threshold
    pixel: float
    map_floor: float

    @property
    def review_share(self) -> float:
        """The expected share of normal images that are for review."""
        return max(0.0, self.review.expected - self.image.expected)

    def verdict(self, score: float) -> Verdict:
        """The decision on an image that shows a part: "reject" above `image`, else "review" above
        `review`, else "pass"."""
        if score > self.image.value:
            return "reject"
        return "review" if score > self.review.value else "pass"

    def with_image(self, image: Threshold) -> "Thresholds":
        """These with another threshold on the image score; that for review does not exceed it."""
        return replace(self, image=image, review=min(self.review, image, key=lambda t: t.value))

    def review_text(self) -> str:
        """What is for review, in a sentence."""
        if self.review.value >= self.image.value:
            return "No image is for review."
        return (
            f"Review above {self.review.value:.4g}: {percent(self.review_share)} of good parts "
            "are expected to be neither passed nor rejected."
        )


@dataclass(frozen=True, eq=False)
class HeldOutScores:
    """Scores of held-out normal images, from which thresholds for any rate follow.

    Attributes:
        scores: `[n]`, n ≥ 1.
        groups: the group of each image; none where each is a group of its own.

    >>> normal = HeldOutScores(np.arange(1, 200))
    >>> normal.threshold(0.01).value
    198.0
    >>> lots = HeldOutScores(np.arange(1, 71), groups=np.repeat(list("abcdefg"), 10))
    >>> lots.threshold(0.01).shortfall
    '1.0 % cannot be promised: 7 groups of good parts allow no less than 12.5 %.'
    """

    scores: np.ndarray
    groups: Sequence[str] | np.ndarray = field(default=())

    def threshold(self, rate: float) -> Threshold:
        """The threshold for a false-alarm rate.

        From `groups_for(rate)` groups on, it is the conformal quantile: the smallest score above
        which lie at most `rate` of the weights, with 1/(G + 1) at infinity and as much for each of
        G groups, spread evenly over its images. With n images in n groups that is the
        ⌈(n + 1)(1 − α)⌉-th smallest. With fewer, that could be the largest score alone, so that one
        odd image decides. Then it is where the fitted tail falls to the rate, but no lower than
        the quantile of the smallest rate that the groups do promise: whoever allows fewer false
        alarms never gets a lower threshold.

        Args:
            rate: α, between 0 and 1.
        """
        least = 2 / (self._n_groups + 1)  # which `groups_for` inverts
        quantile = self._quantile(max(rate, least))
        counted = (self._above(quantile) + 1) / (len(self._values) + 1)
        if rate >= least - _ROUNDING:
            return self._threshold(quantile, rate, rate, counted)
        ordered = np.sort(self._values)
        value = self._tail.value_at(rate)
        if rate >= 1 / (self._n_groups + 1) - _ROUNDING:
            value = min(value, float(ordered[-1]))  # which promises the rate
        if rate < 2 / (len(ordered) + 1) and len(ordered) > 1:
            # Two images above it are more than so small a rate allows.
            value = max(value, float(ordered[-2]))
        value = max(value, quantile)
        promised = min(self.promise(value), least)
        expected = min(self._tail.rate_above(value), counted, promised)
        return self._threshold(value, rate, promised, expected)

    def _quantile(self, rate: float) -> float:
        """The smallest score above which lie at most `rate` of the weights, infinity's included."""
        order = np.argsort(self._values, kind="stable")
        later = np.append(np.cumsum(self._weights[order][:0:-1])[::-1], 0.0)
        enough = later + 1 / (self._n_groups + 1) <= rate + _ROUNDING
        return float(self._values[order][int(enough.argmax())])

    def _above(self, value: float) -> int:
        return int((self._values > value).sum())

    def at(self, value: float) -> Threshold:
        """The threshold at a given value, asked for the rate that is expected there."""
        above = self._above(value)
        expected = (above + 1) / (len(self._values) + 1)
        if not above:
            expected = min(expected, self._tail.rate_above(value))
        return self._threshold(value, expected, self.promise(value), expected)

    def promise(self, value: float) -> float:
        """The false-alarm rate that conformal prediction guarantees at a value.

        It is (1 + Σ share of each group's images at or above it) / (G + 1), at most 1. A score
        equal to the value counts as above it, so that this holds wherever between two scores a
        value is chosen.
        """
        at_or_above = float(self._weights[self._values >= value].sum())
        return min(1.0, 1 / (self._n_groups + 1) + at_or_above)

    def _threshold(self, value: float, asked: float, promised: float, expected: float) -> Threshold:
        return Threshold(value, asked, promised, expected, len(self._values), self._n_groups)

    @cached_property
    def _values(self) -> np.ndarray:
        return np.asarray(self.scores, dtype=np.float64)

    @cached_property
    def _sizes(self) -> np.ndarray:
        """The size of each image's group, int `[n]`."""
        if not len(self.groups):
            return np.ones(len(self._values), dtype=np.int64)
        _, group, size = np.unique(self.groups, return_inverse=True, return_counts=True)
        sizes: np.ndarray = size[group]
        return sizes

    @cached_property
    def _n_groups(self) -> int:
        return round(float((1 / self._sizes).sum()))

    @cached_property
    def _weights(self) -> np.ndarray:
        return 1 / ((self._n_groups + 1) * self._sizes)

    @cached_property
    def _tail(self) -> Scale:
        return Scale.of(list(self._values[:, None]))


def calibrate_thresholds(
    outputs: Sequence[tuple[float, np.ndarray]],
    images: Sequence[HeldOutImage],
    sigma: float,
    false_alarm_rate: float,
    *,
    groups: Sequence[str] = (),
    review_rate: float | None = None,
) -> Thresholds:
    """Calibrate all thresholds on held-out normal images.

    The image threshold is that of the image scores, the pixel threshold that of the maxima of the
    anomaly maps, so that the rate holds for a new normal image that shows any region too.

    Args:
        outputs: the fusion rule's out-of-fold output for each image: image score, and patch grid
            float32 `[h, w]`.
        images: the held-out normal images, whose sizes the anomaly maps take.
        sigma: smoothing of the anomaly maps, in pixels of the prepared image.
        false_alarm_rate: the rate to choose the thresholds for.
        groups: the group of each image; none where each is a group of its own.
        review_rate: share of normal images that may be rejected or sent to review; None for five
            times the false-alarm rate.

    >>> from patchcore_dual.scoring import Evidence, Nearest
    >>> evidence = Evidence(Nearest(np.zeros((2, 2), np.float32), np.zeros((2, 2), int)))
    >>> images = [HeldOutImage(evidence, fold, width=16, height=16) for fold in range(3)]
    >>> outputs = [(score, np.full((2, 2), score)) for score in (1.0, 2.0, 3.0)]
    >>> thresholds = calibrate_thresholds(outputs, images, sigma=2, false_alarm_rate=0.5)
    >>> thresholds.image.value, thresholds.image.promised
    (2.0, 0.5)
    >>> round(thresholds.pixel, 3), round(thresholds.map_floor, 3)
    (2.0, 2.0)
    """
    peaks, medians = [], []
    for (_, grid), image in zip(outputs, images, strict=True):
        heat = anomaly_map(grid, image.height, image.width, sigma)
        peaks.append(float(np.nanmax(heat)))
        medians.append(float(np.nanmedian(heat)))
    scores = HeldOutScores(np.array([score for score, _ in outputs]), groups)
    reject = scores.threshold(false_alarm_rate)
    review = scores.threshold(review_rate or review_rate_for(false_alarm_rate))
    return Thresholds(
        reject,
        min(review, reject, key=lambda t: t.value),
        HeldOutScores(np.array(peaks), groups).threshold(false_alarm_rate).value,
        float(np.median(medians)),
    )
