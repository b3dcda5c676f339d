"""Distances between two sets of patch features, as distributions."""

import numpy as np
from scipy import linalg

MAX_PATCHES = 5000  # of each set, spread evenly, because the kernel distance uses all pairs


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy, with the kernel (x·y / d + 1)³.

    This is the formula of the Kernel Inception Distance (Bińkowski et al. 2018) on other features.
    Its expectation is 0 for two samples of one distribution; a single estimate can be negative.

    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 200, 4))
    >>> abs(kernel_distance(a, b)) < 0.1 < kernel_distance(a, b + 1)
    True

    Args:
        a: float `[n, d]`, at least two vectors.
        b: float `[m, d]`, at least two vectors.
    """
    a, b = (np.asarray(x[_spread_evenly(len(x))], dtype=np.float64) for x in (a, b))
    between = _kernel(a, b).mean()
    return float(
        _mean_off_diagonal(_kernel(a, a)) + _mean_off_diagonal(_kernel(b, b)) - 2 * between
    )


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float | None:
    """Squared Fréchet distance between the Gaussians with the sets' means and covariances.

    |μa − μb|² + tr(Σa + Σb − 2(ΣaΣb)^½) (Dowson and Landau 1982). Small sets bias it upwards, so
    only values of equally large sets are comparable.

    >>> a = np.random.default_rng(0).normal(size=(100, 2))
    >>> round(frechet_distance(a, a + [3, 4]), 6)
    25.0
    >>> frechet_distance(a[:2], a) is None
    True

    Args:
        a: float `[n, d]`.
        b: float `[m, d]`.

    Returns:
        The distance; None where a set has at most d vectors, and hence no full covariance.
    """
    if min(len(a), len(b)) <= a.shape[1]:
        return None
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b)]
    difference = a.mean(axis=0) - b.mean(axis=0)
    # tr (ΣaΣb)^½ from the symmetric Σa^½ Σb Σa^½, whose eigenvalues are the same and real.
    values, vectors = linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = linalg.eigvalsh(root @ covariances[1] @ root)
    trace = np.trace(covariances[0]) + np.trace(covariances[1])
    return float(difference @ difference + trace - 2 * np.sqrt(np.maximum(shared, 0)).sum())


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_off_diagonal(square: np.ndarray) -> float:
    n = len(square)
    return float((square.sum() - np.trace(square)) / (n * (n - 1)))


def _spread_evenly(n: int) -> np.ndarray:
    return np.linspace(0, n - 1, min(n, MAX_PATCHES)).round().astype(np.int64)
