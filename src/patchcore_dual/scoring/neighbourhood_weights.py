"""The neighbourhood weights w_N and w_P (thesis 4.3.5; PatchCore, equation 7)."""

import numpy as np


def normal_weight(distances: np.ndarray, dimensions: int) -> float:
    """w_N = 1 − exp(s_N*/√d) / Σ_{m ∈ N_b(m*)} exp(‖q − m‖/√d).

    Args:
        distances: `[b]`, from the query q to the b vectors nearest to m*, m* itself first, so that
            `distances[0]` is s_N*.
        dimensions: d, the length of a vector.

    Returns:
        The weight in [0, 1); 1 where the bank has fewer than two vectors.
    """
    return 1.0 if len(distances) < 2 else 1.0 - _softmax_of_first(distances, dimensions)


def defect_weight(distances: np.ndarray, dimensions: int) -> float:
    """w_P = exp(s_P*/√d) / Σ_{m ∈ N_b(m†)} exp(‖q − m‖/√d); arguments as for `normal_weight`."""
    return 1.0 if len(distances) < 2 else _softmax_of_first(distances, dimensions)


def _softmax_of_first(distances: np.ndarray, dimensions: int) -> float:
    scaled = np.asarray(distances, dtype=np.float64) / np.sqrt(dimensions)
    exponentials = np.exp(scaled - scaled.max())  # the shift cancels, and nothing overflows
    return float(exponentials[0] / exponentials.sum())
