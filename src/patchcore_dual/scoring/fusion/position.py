"""Standardisation of patch values by their position in the image.

Edges, holes and the image border are far from the normal bank on every normal part; a patch is
suspicious if its value is high *for its position*. Means and variances of single grid cells are
shrunk towards those of their neighbourhood, the more so the fewer images there are.

A cell's own statistics count in part only: half of its mean is its own and half that of the whole
image, and its deviation is mostly the common one. Where the surface is quiet, the distance to the
nearest vector of a coreset depends on how well the coreset happens to cover it, and that differs
between the banks of cross-fitting and the final one: small deviations promise too much.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import convolve1d, gaussian_filter

from patchcore_dual.scoring.maps import extended

PRIOR_IMAGES = 10.0  # the neighbourhood counts as much as this many images
OWN_MEAN = 0.5  # share of a cell's mean that is its own; the rest is the mean of all cells
OWN_DEVIATION = 0.25  # the same of the logarithm of its deviation
NEIGHBOURHOOD_SIGMA = 1.0  # standard deviation of the neighbourhood's Gaussian, in cells


@dataclass(frozen=True)
class PositionStatistics:
    """Mean and standard deviation of a patch value on normal images, for each grid cell.

    Attributes:
        mean: float32 `[h, w]`.
        deviation: float32 `[h, w]`, the standard deviation; positive.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def standardise(self, grid: np.ndarray) -> np.ndarray:
        """Return (grid − mean) / deviation, smoothed with the 3×3 binomial kernel [1 2 1]/4.

        Outside the image, and where it is not inspected (NaN), the standardised value counts as 0,
        the usual one; the latter stays NaN. For a grid of another
        shape (images of varying size) the statistics are resized to it.

        Args:
            grid: float32 `[h, w]`.

        Returns:
            float32 `[h, w]`.
        """
        mean, deviation = (_resize(a, grid.shape) for a in (self.mean, self.deviation))
        z = (grid - mean) / deviation
        outside = np.isnan(z)
        z[outside] = 0
        for axis in (0, 1):
            z = convolve1d(z, [0.25, 0.5, 0.25], axis=axis, mode="constant")
        z[outside] = np.nan
        return z


def position_statistics(grids: Sequence[np.ndarray]) -> PositionStatistics:
    """Estimate position statistics from the patch values of normal images.

    Args:
        grids: `[h_i, w_i]` for each image; they are resized to their median shape. NaN in cells
            that are not inspected: what no image shows is taken from the nearest cell that some do.

    >>> edge = np.array([[0.0, 0.0, 0.0, 5.0]])  # the last cell is high on every normal image
    >>> statistics = position_statistics([edge + noise for noise in (-1.0, 0.0, 1.0)] * 100)
    >>> [round(m) for m in statistics.mean[0].tolist()]  # half its own, half the common 1.3
    [1, 1, 1, 3]
    >>> usual, unusual = (statistics.standardise(grid) for grid in (edge, edge[:, ::-1]))
    >>> bool(unusual.max() > usual.max() + 0.5)
    True
    """
    shape = np.median([grid.shape for grid in grids], axis=0).astype(int)
    stack = np.stack([_resize(grid, (shape[0], shape[1])) for grid in grids]).astype(np.float64)
    inside = ~np.isnan(stack)
    n = inside.sum(axis=0)
    known = n > 0
    mean = _mean(stack, inside)
    variance = extended(_mean((stack - mean) ** 2, inside))
    mean = extended(mean)
    local_mean = _smooth(mean)
    local_variance = _smooth(variance + (mean - local_mean) ** 2)
    mean = (n * mean + PRIOR_IMAGES * local_mean) / (n + PRIOR_IMAGES)
    variance = (n * variance + PRIOR_IMAGES * local_variance) / (n + PRIOR_IMAGES)
    # What of the differences between means is not taken off counts as deviation.
    common = variance[known].mean() + (1 - OWN_MEAN) ** 2 * mean[known].var()
    deviation = np.sqrt(variance**OWN_DEVIATION * common ** (1 - OWN_DEVIATION)) + 1e-6
    mean = OWN_MEAN * mean + (1 - OWN_MEAN) * mean[known].mean()
    return PositionStatistics(mean.astype(np.float32), deviation.astype(np.float32))


def _mean(stack: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The mean over images of values `[n, h, w]` that are inside, `[h, w]`; NaN where none is."""
    n = inside.sum(axis=0)
    mean: np.ndarray = np.where(inside, stack, 0).sum(axis=0) / np.maximum(n, 1)
    mean[n == 0] = np.nan
    return mean


def _smooth(grid: np.ndarray) -> np.ndarray:
    return gaussian_filter(grid, NEIGHBOURHOOD_SIGMA, mode="nearest")


def _resize(grid: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if grid.shape == tuple(shape):
        return grid
    return cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
