"""Principal axes of a bank: a few of them account for most of the distance between two patches."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from patchcore_dual.banks.backend.compute import get_backend

# The search codes patches in three blocks of dimensions (`queries.py`): the leading axes patch by
# patch, the second block of axes by tiles of 2×2 patches, and the remaining dimensions by 8×8.
LEADING = 0.8  # fraction of the variance that the leading axes hold
KEPT = 0.95  # fraction of the variance that both blocks of axes hold together
MOST_LEADING, MOST_KEPT = 192, 512  # limits on the numbers of axes
_STEP = 32  # numbers of axes are multiples of this, as 8-bit products want it
_ROWS = 8192  # the axes are computed from this many vectors, to twice as many


@dataclass(frozen=True)
class PrincipalAxes:
    """An orthonormal basis of the directions in which a bank varies most.

    Within the leading block, and within the second block, the axes are rotated at random. This does
    not change inner products within the block, and spreads the variance of the first few axes
    evenly over the block, which makes the error of 8-bit codes smaller.

    Attributes:
        mean: float32 `[d]`, the mean of the bank.
        axes: float32 `[d, k]`, orthonormal columns; k is at most 512.
        leading: how many columns make up the leading block, at most 192.
    """

    mean: np.ndarray
    axes: np.ndarray
    leading: int

    @classmethod
    def of(cls, vectors: np.ndarray) -> "PrincipalAxes":
        """The principal axes of a set of vectors.

        Args:
            vectors: float32 `[n, d]`, n at least 1. Of 16,384 or more, an even sample is used.

        >>> vectors = np.random.default_rng(0).random((100, 40), np.float32)
        >>> axes = PrincipalAxes.of(vectors)
        >>> axes.axes.shape, axes.leading
        ((40, 40), 32)
        >>> bool(np.allclose(axes.axes.T @ axes.axes, np.eye(40), atol=1e-5))
        True
        """
        d = vectors.shape[1]
        mean = vectors.mean(axis=0)
        sample = vectors[:: max(1, len(vectors) // _ROWS)] - mean
        most = min(MOST_KEPT, d)
        scatter = sample.T @ sample
        variance, axes = eigh(scatter, subset_by_index=(d - most, d - 1))
        held, whole = np.cumsum(variance[::-1]), np.trace(scatter)
        leading, kept = (
            min(limit, most, _STEP * (1 + int(np.searchsorted(held, fraction * whole)) // _STEP))
            for fraction, limit in ((LEADING, MOST_LEADING), (KEPT, MOST_KEPT))
        )
        axes = np.linalg.qr(axes[:, ::-1][:, :kept].astype(np.float64))[0]
        rng = np.random.default_rng(0)
        for block in (slice(0, leading), slice(leading, kept)):
            size = block.stop - block.start
            axes[:, block] = axes[:, block] @ np.linalg.qr(rng.standard_normal((size, size)))[0]
        return cls(mean, np.ascontiguousarray(axes.astype(np.float32)), leading)

    def split(self, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The coordinates along the leading axes, and along the second block.

        Args:
            along: float32 `[n, k]`, coordinates along the axes.

        Returns:
            Two arrays of n rows, C-contiguous; each has at least two columns, since 8-bit products
            require it. Missing ones are filled with zeros.
        """
        return _at_least_two(along[:, : self.leading]), _at_least_two(along[:, self.leading :])

    def rest(self, centred: np.ndarray, along: np.ndarray) -> np.ndarray:
        """What remains of vectors without their components along the axes.

        Args:
            centred: float32 `[n, d]`, vectors less the mean.
            along: float32 `[n, k]`, their coordinates along the axes.

        Returns:
            float32 `[n, d]`; `[n, 2]` zeros where the axes span all dimensions.
        """
        if self.axes.shape[0] == self.axes.shape[1]:
            return np.zeros((len(centred), 2), np.float32)
        return np.asarray(centred - get_backend().product(along, self.axes.T))


def _at_least_two(x: np.ndarray) -> np.ndarray:
    """A block, C-contiguous, with columns of zeros where it has fewer than two."""
    missing = max(0, 2 - x.shape[1])
    return np.pad(x, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(x)
