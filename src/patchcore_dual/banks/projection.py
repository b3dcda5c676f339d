"""Seeded Gaussian random projection (thesis 4.3.4), which is used to select the coreset."""

from functools import lru_cache

import numpy as np

PROJECTED_DIMENSIONS = 128


@lru_cache(maxsize=4)
def projection_matrix(
    dimensions: int, seed: int, projected: int = PROJECTED_DIMENSIONS
) -> np.ndarray:
    """The matrix of a random projection: Gaussian columns of unit length.

    Unit columns shrink distances by about √(projected / dimensions), so distances of projected
    vectors must never be compared with distances of full vectors.

    Args:
        dimensions: number of channels of the vectors to project.
        seed: of the Gaussian numbers.
        projected: number of dimensions after the projection.

    Returns:
        float32 `[dimensions, projected]`, read-only, since all callers share it. The identity where
        `dimensions` does not exceed `projected`, as there is nothing to reduce.

    >>> matrix = projection_matrix(1536, seed=0)
    >>> matrix.shape
    (1536, 128)
    >>> bool(np.allclose(np.linalg.norm(matrix, axis=0), 1))
    True
    >>> projection_matrix(2, seed=0)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    if dimensions <= projected:
        matrix = np.eye(dimensions, dtype=np.float32)
    else:
        gaussian = np.random.default_rng(seed).standard_normal((dimensions, projected))
        matrix = (gaussian / np.linalg.norm(gaussian, axis=0)).astype(np.float32)
    matrix.flags.writeable = False
    return matrix
