"""The probe: a linear classifier of patch features, defect against normal.

It uses what distances to the banks do not: the directions of feature space that separate *these*
defects from *this* surface. Features are whitened by the covariance within normal patches, so that
all directions are equally noisy and a ridge penalty treats them alike (as linear discriminant
analysis does).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.scoring.fusion.logistic import fit_logistics

SHRINKAGE = 0.1  # of the covariance, towards a multiple of the identity
RIDGE = 0.3  # on the weights of the whitened features; the loss is a mean
_BLOCK = 8192  # vectors that are summed at once


@dataclass(frozen=True)
class Probe:
    """A linear classifier of raw patch features: log odds = features · weights + offset.

    Attributes:
        weights: float32 `[d]`.
        offset: the log odds of a patch whose features are all 0.

    >>> probe = Probe(np.array([1.0, -2.0], np.float32), offset=0.5)
    >>> probe(np.array([[[3.0, 1.0], [0.0, 1.0]]], np.float32)).tolist()
    [[1.5, -1.5]]
    """

    weights: np.ndarray
    offset: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the log odds that each patch is a defect.

        Args:
            features: float32 `[..., d]`.

        Returns:
            float32 `[...]`.
        """
        return np.einsum("...d,d->...", features, self.weights) + np.float32(self.offset)


@dataclass(frozen=True)
class Whitening:
    """The map x ↦ (x − mean) · matrix, after which normal patches have about unit covariance.

    Attributes:
        mean: float32 `[d]`.
        matrix: float32 `[d, d]`.
    """

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Whiten vectors, float32 `[..., d]`."""
        return (vectors - self.mean) @ self.matrix


@dataclass(frozen=True)
class Moments:
    """Sums over some vectors, from which their whitening follows, and that of any part of them.

    Attributes:
        origin: float32 `[d]`, which the sums are about; near the mean, so that rounding is small.
        count: number of vectors.
        total: float64 `[d]`, their sum.
        products: float64 `[d, d]`, the sum of their outer products.

    >>> vectors = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    >>> every, some = (Moments.of(v, vectors[0]) for v in (vectors, vectors[:20]))
    >>> others = every.without(some).whitening()
    >>> bool(np.allclose(others.mean, vectors[20:].mean(axis=0), atol=1e-6))
    True
    """

    origin: np.ndarray
    count: int
    total: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, origin: np.ndarray) -> "Moments":
        """The moments of vectors float32 `[n, d]`."""
        d = len(origin)
        total, products = np.zeros(d), np.zeros((d, d))
        for start in range(0, len(vectors), _BLOCK):
            centred = vectors[start : start + _BLOCK] - origin
            total += centred.sum(axis=0, dtype=np.float64)
            products += centred.T @ centred
        return cls(origin, len(vectors), total, products)

    @classmethod
    def joined(cls, parts: Sequence["Moments"]) -> "Moments":
        """The moments of all vectors of some parts, which have one origin."""
        count = sum(part.count for part in parts)
        total = np.sum([part.total for part in parts], axis=0)
        products = np.zeros_like(parts[0].products)
        for part in parts:
            products += part.products
        return cls(parts[0].origin, count, total, products)

    def without(self, part: "Moments") -> "Moments":
        """The moments of what remains without some of the vectors."""
        total, products = self.total - part.total, self.products - part.products
        return Moments(self.origin, self.count - part.count, total, products)

    def whitening(self) -> Whitening:
        """The whitening of these vectors, with a shrunk covariance."""
        from scipy.linalg.lapack import dtrtri  # here, since inspection would wait for it

        shift = self.total / self.count
        covariance = self.products / self.count - np.outer(shift, shift)
        d = len(covariance)
        shrunk = (1 - SHRINKAGE) * covariance
        shrunk += (SHRINKAGE * np.trace(covariance) / d + 1e-12) * np.eye(d)
        matrix = dtrtri(np.linalg.cholesky(shrunk), lower=1)[0].T
        return Whitening((self.origin + shift).astype(np.float32), matrix.astype(np.float32))


def fit_whitening(normal: np.ndarray) -> Whitening:
    """Fit the whitening to normal patch features, float32 `[n, d]`, with a shrunk covariance."""
    return Moments.of(normal, normal.mean(axis=0)).whitening()


def fit_probe(whitening: Whitening, normal: np.ndarray, defects: Sequence[np.ndarray]) -> Probe:
    """Fit the probe by ridge logistic regression, as if of whitened features.

    Both classes have the same total weight, and all defective images have, however many patches
    their defects cover.

    Args:
        whitening: the penalty is on the weights of whitened features. Patches are not whitened,
            which would take most of the time: those weights are turned into weights of raw ones.
        normal: float32 `[n, d]`, patches of normal images.
        defects: float32 `[m_i, d]` for each defective image, its defect patches.

    >>> normal = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32)
    >>> defect = normal[:10] + np.array([8, 0, 0], np.float32)
    >>> probe = fit_probe(fit_whitening(normal), normal, [defect])
    >>> bool(probe(defect).mean() > 0 > probe(normal).mean())
    True
    """
    x = np.concatenate([*defects, normal])
    x -= whitening.mean
    sample_weight = np.concatenate(
        [np.full(len(p), 0.5 / len(defects) / len(p)) for p in defects]
        + [np.full(len(normal), 0.5 / len(normal))]
    )
    n_defect = len(x) - len(normal)
    one = sample_weight[:, None]
    return fit_weighted_probes([whitening], x, n_defect, one, origin=whitening.mean)[0]


def fit_weighted_probes(
    whitenings: Sequence[Whitening],
    x: np.ndarray,
    n_defect: int,
    sample_weights: np.ndarray,
    *,
    origin: np.ndarray,
) -> list[Probe]:
    """As `fit_probe`, several of the same patches, which are weighted one by one.

    Args:
        whitenings: of each probe.
        x: float32 `[n, d]`, patches less `origin`, those of defects first.
        n_defect: how many of them are of defects.
        sample_weights: float64 `[n, k]`, for each probe of sum 1.
        origin: float32 `[d]`, near the mean of the patches, so that rounding is small.
    """
    is_defect = np.arange(len(x)) < n_defect
    bases = [whitening.matrix for whitening in whitenings]
    weights, intercepts = fit_logistics(x, is_defect, sample_weights, ridge=RIDGE, bases=bases)
    return [
        Probe(of_one, float(intercept - origin @ of_one))
        for of_one, intercept in zip(
            np.ascontiguousarray(weights.T, np.float32), intercepts, strict=True
        )
    ]
