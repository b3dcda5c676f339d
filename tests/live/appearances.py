"""Made-up appearances, for tests of drift."""

import numpy as np

from patchcore_dual.scoring.appearance import GRID, STATISTICS, Appearance
from patchcore_dual.scoring.drift_reference import DriftReference


def reference_of(values, group=None, is_taught=None):
    """A reference of the statistics float64 `[n, 11]`; each image is its own group by default."""
    n = len(values)
    grids = np.ones((n, GRID, GRID), np.float32) + np.linspace(0, 0.1, n)[:, None, None]
    return DriftReference(
        tuple(f"good/{i}.png" for i in range(n)),
        np.arange(n) if group is None else np.asarray(group),
        np.zeros(n, bool) if is_taught is None else np.asarray(is_taught),
        np.asarray(values, float),
        grids.astype(np.float32),
        grids.astype(np.float32),
        usual=1.0,
    )


def usual(random, n, mean=0.0):
    """Statistics of good parts, float64 `[n, 11]`, of deviation 10 and the level 100."""
    return 100 + mean + 10 * random.standard_normal((n, len(STATISTICS)))


def stream_of(values):
    """Appearances with these statistics."""
    grid = np.ones((GRID, GRID), np.float32)
    return [Appearance(row, grid, grid) for row in np.asarray(values, float)]
