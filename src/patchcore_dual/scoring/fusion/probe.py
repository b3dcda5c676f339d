"""The probe: a linear classifier of whitened patch features, defect against good surface.

It asks what the banks cannot: which directions of feature space tell *these* defects from *this*
surface. Whitening by the covariance within good patches makes the directions equally noisy, so
that a ridge penalty treats them alike (linear discriminant analysis does the same).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

SHRINKAGE = 0.1  # of the covariance, towards a multiple of the identity
RIDGE = 0.3  # on the weights of the whitened features; the loss is a mean


@dataclass(frozen=True)
class Probe:
    """log odds = features · weights + offset. `weights`: float32 `[d]`."""

    weights: np.ndarray
    offset: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float32 `[...]` of features `[..., d]`."""
        return np.einsum("...d,d->...", features, self.weights) + np.float32(self.offset)


@dataclass(frozen=True)
class Whitening:
    """x ↦ (x − mean) · matrix has, over good patches, nearly the identity as covariance."""

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        return (vectors - self.mean) @ self.matrix


def fit_whitening(normal: np.ndarray) -> Whitening:
    """Whitening of good patch features, float32 `[n, d]`."""
    mean = normal.mean(axis=0)
    centred = normal - mean
    covariance = (centred.T @ centred).astype(np.float64) / len(normal)
    d = len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance
    shrunk += (SHRINKAGE * np.trace(covariance) / d + 1e-12) * np.eye(d)
    values, vectors = np.linalg.eigh(shrunk)
    return Whitening(mean, (vectors / np.sqrt(values)).astype(np.float32))


def fit_probe(whitening: Whitening, normal: np.ndarray, defects: Sequence[np.ndarray]) -> Probe:
    """Ridge logistic regression, the two classes and every defective image counting alike.

    Args:
        normal: float32 `[n, d]`, whitened patches of good images.
        defects: whitened patches `[m_i, d]` of each defective image.
    """
    x = np.concatenate([*defects, normal])
    is_defect = np.arange(len(x)) < len(x) - len(normal)
    weight = np.concatenate(
        [np.full(len(p), 0.5 / len(defects) / len(p)) for p in defects]
        + [np.full(len(normal), 0.5 / len(normal))]
    )
    beta, intercept = fit_logistic(x, is_defect, weight, RIDGE)
    weights = (whitening.matrix @ beta).astype(np.float32)
    return Probe(weights, float(intercept - whitening.mean @ weights))


def fit_logistic(
    x: np.ndarray,
    is_positive: np.ndarray,
    weight: np.ndarray,
    ridge: float,
    prior: np.ndarray | None = None,
    nonnegative: bool = False,
) -> tuple[np.ndarray, float]:
    """Minimise Σ weight · log-loss + ridge/2 · ‖β − prior‖²; the intercept is free.

    Args:
        x: `[n, d]`; is_positive: bool `[n]`; weight: `[n]`.

    Returns:
        β, float64 `[d]`, and the intercept.
    """
    d = x.shape[1]
    centre = np.zeros(d) if prior is None else prior

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        beta, intercept = parameters[:-1], parameters[-1]
        z = (x @ beta.astype(x.dtype)).astype(np.float64) + intercept
        residual = weight * (1 / (1 + np.exp(-np.clip(z, -60, 60))) - is_positive)
        pull = beta - centre
        value = weight @ (np.logaddexp(0, z) - is_positive * z) + ridge / 2 * pull @ pull
        gradient = x.T @ residual.astype(x.dtype) + ridge * pull
        return float(value), np.append(gradient, residual.sum())

    bounds = [(0.0, None)] * d + [(None, None)] if nonnegative else None
    start = np.append(centre, 0.0)
    options = {"maxiter": 200}
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return best[:-1], float(best[-1])
