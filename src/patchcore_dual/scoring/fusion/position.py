"""Reading evidence against what is usual at its place on the part.

Edges, holes and the image border are far from the bank on every good part; a patch is suspicious
where its evidence is high *for its place*. Statistics of single cells are pulled towards those of
their neighbourhood, more so with few images, and deviations half-way towards the common one: on
parts that do not lie still the statistics become flat, and nothing is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import convolve1d, gaussian_filter

PRIOR_IMAGES = 10.0  # the neighbourhood counts as much as so many images
NEIGHBOURHOOD = 1.0  # its standard deviation, in cells


@dataclass(frozen=True)
class PositionStatistics:
    """Mean and deviation of evidence on good images, float32 `[h, w]`, by grid cell."""

    mean: np.ndarray
    deviation: np.ndarray

    def standardise(self, grid: np.ndarray) -> np.ndarray:
        """(grid − mean) / deviation, then weighed with the 3×3 neighbourhood (1 2 1 both ways).

        Outside the image the evidence is neutral, 0. A grid of another shape (images of varying
        sizes) is read against the resized statistics.
        """
        mean, deviation = (_resize(a, grid.shape) for a in (self.mean, self.deviation))
        z = (grid - mean) / deviation
        for axis in (0, 1):
            z = convolve1d(z, [0.25, 0.5, 0.25], axis=axis, mode="constant")
        return z


def position_statistics(grids: Sequence[np.ndarray]) -> PositionStatistics:
    """Statistics of the evidence grids `[h_i, w_i]` of good images."""
    shape = np.median([grid.shape for grid in grids], axis=0).astype(int)
    stack = np.stack([_resize(grid, (shape[0], shape[1])) for grid in grids]).astype(np.float64)
    n = len(stack)
    mean, variance = stack.mean(axis=0), stack.var(axis=0)
    local_mean = _local(mean)
    local_variance = _local(variance + (mean - local_mean) ** 2)
    mean = (n * mean + PRIOR_IMAGES * local_mean) / (n + PRIOR_IMAGES)
    variance = (n * variance + PRIOR_IMAGES * local_variance) / (n + PRIOR_IMAGES)
    deviation = (variance * variance.mean()) ** 0.25 + 1e-6
    return PositionStatistics(mean.astype(np.float32), deviation.astype(np.float32))


def _local(grid: np.ndarray) -> np.ndarray:
    return gaussian_filter(grid, NEIGHBOURHOOD, mode="nearest")


def _resize(grid: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if grid.shape == tuple(shape):
        return grid
    return cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
