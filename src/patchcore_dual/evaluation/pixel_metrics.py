"""Pixel-level metrics of anomaly maps, in one pass and bounded memory.

KSDD2's test set has 142 million pixels, too many to keep and sort. They are counted in a histogram
over the leading bits of float32, which needs neither the range of the scores nor a second pass.
Its bins are as fine as one part in 4096 of the score, whatever its magnitude. Pixels in one bin
count as ties; a bound on the error of the AUROC is computed and reported.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from patchcore_dual.evaluation.metrics import auroc_of_counts, average_precision_of_counts

AUPRO_FPR_LIMIT = 0.3

# A float32 is a sign, 8 bits of exponent and 23 of fraction: 21 leading bits keep 12 of these.
LEADING_BITS = 21
_SIGN = np.uint32(1 << 31)


@dataclass(frozen=True)
class PixelResult:
    """Pixel metrics of a set of anomaly maps; NaN where there is no defective or no normal pixel.

    Attributes:
        auroc: area under the ROC curve of all pixels.
        ap: average precision of all pixels.
        aupro: area under the per-region overlap curve.
        auroc_error_bound: the most by which `auroc` can differ from that of the unbinned scores.
    """

    auroc: float
    ap: float
    aupro: float
    auroc_error_bound: float


class PixelMetrics:
    """Pixel AUROC, average precision and AUPRO of anomaly maps that are added one by one.

    AUPRO (Bergmann et al., MVTec AD, 2021) is the overlap with each ground-truth region, averaged
    over regions whatever their size, against the false-positive rate over all normal pixels of all
    images, integrated up to a rate of 0.3 and divided by 0.3. Regions are 8-connected.

    >>> metrics = PixelMetrics()
    >>> anomaly_map = np.array([[3, 1], [2, 0]], np.float32)
    >>> metrics.update(anomaly_map, np.array([[True, True], [False, False]]))
    >>> metrics.compute().auroc
    0.75
    """

    def __init__(self) -> None:
        n_bins = 1 << LEADING_BITS
        self._normal = np.zeros(n_bins, dtype=np.int64)
        self._defective = np.zeros(n_bins, dtype=np.int64)
        self._overlap = np.zeros(n_bins)
        self._n_regions = 0

    def update(self, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Add one image.

        Args:
            anomaly_map: float32 `[H, W]`; NaN in pixels that are not inspected, which do not count.
            mask: True on the defect, bool `[H, W]`.

        Raises:
            ValueError: for other types or shapes, for infinite values, and where all are NaN.
        """
        _check(anomaly_map, mask)
        inside = ~np.isnan(anomaly_map)
        defect = mask & inside
        if not inside.all():
            anomaly_map, mask = anomaly_map[inside], mask[inside]
        bins = leading_bits(anomaly_map)
        first, last = int(bins.min()), int(bins.max())
        # Counting within the image's own range keeps an update as cheap as its pixels.
        bins -= first
        used = slice(first, last + 1)
        n_used = last + 1 - first
        self._normal[used] += np.bincount(bins.ravel(), minlength=n_used)
        if not mask.any():
            return
        defective = np.bincount(bins[mask], minlength=n_used)
        self._normal[used] -= defective
        self._defective[used] += defective
        weights, n_regions = _region_weights(defect)
        self._overlap[used] += np.bincount(bins[mask], weights=weights, minlength=n_used)
        self._n_regions += n_regions

    def compute(self) -> PixelResult:
        """The metrics of all images added so far."""
        filled = np.flatnonzero(self._normal + self._defective)[::-1]
        normal, defective = self._normal[filled], self._defective[filled]
        if not normal.any() or not defective.any():
            nan = float("nan")
            return PixelResult(nan, nan, nan, nan)
        true_positives, false_positives = np.cumsum(defective), np.cumsum(normal)
        # Either of two pixels in one bin may be the higher: counting half is off by half a pair.
        pairs_in_one_bin = np.sum(normal / normal.sum() * (defective / defective.sum()))
        return PixelResult(
            auroc=auroc_of_counts(true_positives, false_positives),
            ap=average_precision_of_counts(true_positives, false_positives),
            aupro=_aupro(
                np.cumsum(self._overlap[filled]) / self._n_regions,
                false_positives / false_positives[-1],
            ),
            auroc_error_bound=float(pairs_in_one_bin / 2),
        )


def _check(anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    if anomaly_map.dtype != np.float32 or mask.dtype != np.bool_:
        raise ValueError(
            f"map and mask are {anomaly_map.dtype} and {mask.dtype}; use float32 and bool"
        )
    if anomaly_map.ndim != 2 or anomaly_map.shape != mask.shape or anomaly_map.size == 0:
        raise ValueError(
            f"map {anomaly_map.shape} and mask {mask.shape} have to be one [H, W] each, and equal"
        )
    if np.isinf(anomaly_map).any() or np.isnan(anomaly_map).all():
        raise ValueError("the anomaly map has infinite values, or none: they are not finite")


def leading_bits(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Bin of each value: the leading bits of an integer that is ordered as the floats are.

    IEEE 754 floats are ordered as their bit patterns, once all bits of negative ones are flipped
    and the sign bit of the others is set.
    """
    bits = (values + np.float32(0)).view(np.uint32)  # adding zero makes -0.0 equal 0.0
    bits ^= np.where(bits & _SIGN, np.uint32(0xFFFFFFFF), _SIGN)
    bits >>= np.uint32(32 - LEADING_BITS)
    return bits.astype(np.int64)


def _region_weights(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
    """1 / the size of its region for each pixel in the mask, float64 `[n]`; number of regions."""
    n_labels, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    in_mask = labels[mask]
    sizes = np.bincount(in_mask, minlength=n_labels)
    return 1 / sizes[in_mask], n_labels - 1


def _aupro(overlaps: NDArray[np.float64], fprs: NDArray[np.float64]) -> float:
    """Area under region overlap over false-positive rate up to the limit, both rising, `[k]`."""
    fprs, overlaps = np.append(0.0, fprs), np.append(0.0, overlaps)
    end = int(np.searchsorted(fprs, AUPRO_FPR_LIMIT))  # a step at the limit itself adds no area
    overlap_at_limit = np.interp(AUPRO_FPR_LIMIT, fprs[: end + 1], overlaps[: end + 1])
    area = trapezoid(
        np.append(overlaps[:end], overlap_at_limit), np.append(fprs[:end], AUPRO_FPR_LIMIT)
    )
    return float(area / AUPRO_FPR_LIMIT)
