"""How far one set of patch features is from another, as distributions."""

import numpy as np
from scipy import linalg

MAX_PATCHES = 5000  # of each set, drawn evenly: the kernel distance takes every pair


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared maximum mean discrepancy with the kernel (x·y / d + 1)³, unbiased.

    The formula of the Kernel Inception Distance (Bińkowski et al. 2018), in other features. 0 is
    expected for two draws from one distribution; an estimate can be a little below.

    Args:
        a, b: float `[n, d]` and `[m, d]`, two vectors or more each.
    """
    a, b = (np.asarray(x[_even_draw(len(x))], dtype=np.float64) for x in (a, b))
    between = _kernel(a, b).mean()
    return float(
        _mean_off_diagonal(_kernel(a, a)) + _mean_off_diagonal(_kernel(b, b)) - 2 * between
    )


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float | None:
    """Squared Fréchet distance of the Gaussians with the sets' means and covariances.

    |μa − μb|² + tr(Σa + Σb − 2(ΣaΣb)^½) (Dowson and Landau 1982). Few vectors bias it upwards, so
    only numbers of equally large sets compare.

    Args:
        a, b: float `[n, d]` and `[m, d]`.

    Returns: None where a set has no more vectors than dimensions, hence no full covariance.
    """
    if min(len(a), len(b)) <= a.shape[1]:
        return None
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b)]
    apart = a.mean(axis=0) - b.mean(axis=0)
    # tr (ΣaΣb)^½ from the symmetric Σa^½ Σb Σa^½, whose eigenvalues are the same and real.
    values, vectors = linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = linalg.eigvalsh(root @ covariances[1] @ root)
    trace = np.trace(covariances[0]) + np.trace(covariances[1])
    return float(apart @ apart + trace - 2 * np.sqrt(np.maximum(shared, 0)).sum())


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_off_diagonal(square: np.ndarray) -> float:
    n = len(square)
    return float((square.sum() - np.trace(square)) / (n * (n - 1)))


def _even_draw(n: int) -> np.ndarray:
    return np.linspace(0, n - 1, min(n, MAX_PATCHES)).round().astype(np.int64)
