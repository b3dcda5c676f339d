"""Seeded Gaussian random projection (thesis 4.3.4), which serves to select the coreset."""

from functools import lru_cache

import numpy as np

PROJECTED_DIMENSIONS = 128


@lru_cache(maxsize=4)
def projection_matrix(
    dimensions: int, seed: int, projected: int = PROJECTED_DIMENSIONS
) -> np.ndarray:
    """float32 `[dimensions, projected]`: Gaussian columns of unit length.

    Unit columns shrink distances by about √(projected / dimensions), so projected and full
    distances are never to be compared. Where `dimensions` is not above `projected` there is
    nothing to reduce: the identity is returned.
    """
    if dimensions <= projected:
        matrix = np.eye(dimensions, dtype=np.float32)
    else:
        gaussian = np.random.default_rng(seed).standard_normal((dimensions, projected))
        matrix = (gaussian / np.linalg.norm(gaussian, axis=0)).astype(np.float32)
    matrix.flags.writeable = False  # every caller gets the same array
    return matrix
