"""The neighbourhood weights w_N and w_P (thesis 4.3.5; PatchCore, equation 7).

`evidence.with_neighbourhood_weight` evaluates them for an image; the fusion rules with
`weighted = True` (`patchcore-weighted` and `thesis`) use them.
"""

import numpy as np


def normal_weight(distances: np.ndarray, dimensions: int) -> float:
    """Return w_N = 1 − exp(s_N*/√d) / Σ_{m ∈ N_b(m*)} exp(‖q − m‖/√d).

    q is the patch farthest from the normal bank, s_N* its distance, m* its nearest vector, and
    N_b(m*) the b vectors of the bank nearest to m*.

    Args:
        distances: `[b]`, ‖q − m‖ for the vectors of N_b(m*), m* itself first, so that
            `distances[0]` is s_N*.
        dimensions: d, the length of a vector.

    Returns:
        The weight in [0, 1); 1 where the bank has fewer than two vectors.

    >>> round(normal_weight(np.array([2.0, 2.0, 2.0]), dimensions=4), 3)
    0.667
    >>> round(normal_weight(np.array([1.0, 9.0, 9.0]), dimensions=4), 3)  # m* is isolated
    0.991
    >>> normal_weight(np.array([2.0]), dimensions=4)
    1.0
    """
    return 1.0 if len(distances) < 2 else 1.0 - _softmax_of_first(distances, dimensions)


def defect_weight(distances: np.ndarray, dimensions: int) -> float:
    """Return w_P = exp(s_P*/√d) / Σ_{m ∈ N_b(m†)} exp(‖q − m‖/√d).

    q is the patch farthest from the defect bank, s_P* its distance and m† its nearest vector;
    arguments as for `normal_weight`.

    Returns:
        The weight in (0, 1]; 1 where the bank has fewer than two vectors.

    >>> round(defect_weight(np.array([2.0, 2.0, 2.0]), dimensions=4), 3)
    0.333
    >>> round(defect_weight(np.array([1.0, 9.0, 9.0]), dimensions=4), 3)
    0.009
    """
    return 1.0 if len(distances) < 2 else _softmax_of_first(distances, dimensions)


def _softmax_of_first(distances: np.ndarray, dimensions: int) -> float:
    scaled = np.asarray(distances, dtype=np.float64) / np.sqrt(dimensions)
    exponentials = np.exp(scaled - scaled.max())  # the shift cancels and prevents overflow
    return float(exponentials[0] / exponentials.sum())
