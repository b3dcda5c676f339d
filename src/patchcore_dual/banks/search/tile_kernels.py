"""Compiled loops that prepare an image's patches for the search."""

import numpy as np

from patchcore_dual.banks.backend.compiled import compiled
from patchcore_dual.banks.search.kernels import squared_distance


@compiled
def centre(
    features: np.ndarray,
    order: np.ndarray,
    mean: np.ndarray,
    rows: tuple[int, int],
    ordered: np.ndarray,
    centred: np.ndarray,
    squared: np.ndarray,
) -> None:
    """Bring features into order, subtract the mean, and compute the squared norms.

    Args:
        features: float32 `[q, d]`.
        order: int64 `[q]`, which row of `features` comes at each place.
        mean: float32 `[d]`.
        rows: the first of the places to fill, and the end.
        ordered, centred, squared: float32 `[q, d]`, `[q, d]` and `[q]`, filled in place: the
            features in order, the same less the mean, and the squared norms of those.
    """
    for i in range(rows[0], rows[1]):
        x, y, z = features[order[i]], ordered[i], centred[i]
        total = np.float32(0)
        for k in range(mean.shape[0]):
            difference = x[k] - mean[k]
            y[k] = x[k]
            z[k] = difference
            total += difference * difference
        squared[i] = total


@compiled
def tile_means(
    x: np.ndarray, starts: np.ndarray, means: np.ndarray, distance_to_mean: np.ndarray
) -> None:
    """Average each tile, and measure how far its rows are from the average.

    Args:
        x: float32 `[q, d]`, rows of one tile being consecutive.
        starts: int64 `[t + 1]`, the first row of each tile, and the number of rows.
        means, distance_to_mean: float32 `[t, d]` and `[q]`, filled in place.
    """
    for g in range(means.shape[0]):
        mean = means[g]
        for k in range(mean.shape[0]):
            mean[k] = 0
        for i in range(starts[g], starts[g + 1]):
            row = x[i]
            for k in range(mean.shape[0]):
                mean[k] += row[k]
        weight = np.float32(1) / np.float32(starts[g + 1] - starts[g])
        for k in range(mean.shape[0]):
            mean[k] *= weight
        for i in range(starts[g], starts[g + 1]):
            distance_to_mean[i] = np.sqrt(squared_distance(x[i], mean))
