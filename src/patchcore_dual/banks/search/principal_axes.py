"""Principal axes of a bank: few of them hold most of the distance between two patches."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from patchcore_dual.banks.backend.compute import get_backend

LEADING = 0.8  # of the variance, compared patch by patch
KEPT = 0.95  # of the variance; after the leading axes, tile by tile; what is left, by larger tiles
MOST_LEADING, MOST_KEPT = 192, 512  # axes
_STEP = 32  # axes that 8-bit products take at once
_ROWS = 8192  # of the bank, to twice as many, from which the axes are computed


@dataclass(frozen=True)
class PrincipalAxes:
    """An orthonormal basis of the directions in which a bank varies most.

    Within the leading block, and within the one after it, the axes are turned at random: that
    leaves its inner products as they are and spreads what the first few axes hold over all of the
    block, as 8-bit codes want it.

    Attributes:
        mean: float32 `[d]`, of the bank.
        axes: float32 `[d, k]`, orthonormal columns, k at most `MOST_KEPT`.
        leading: how many columns make up the leading block.
    """

    mean: np.ndarray
    axes: np.ndarray
    leading: int

    @classmethod
    def of(cls, vectors: np.ndarray) -> "PrincipalAxes":
        """Those of vectors float32 `[n, d]`; of very many, those of an even sample."""
        d = vectors.shape[1]
        mean = vectors.mean(axis=0)
        sample = vectors[:: max(1, len(vectors) // _ROWS)] - mean
        most = min(MOST_KEPT, d)
        scatter = sample.T @ sample
        variance, axes = eigh(scatter, subset_by_index=(d - most, d - 1))
        held, whole = np.cumsum(variance[::-1]), np.trace(scatter)
        leading, kept = (
            min(limit, most, _STEP * (1 + int(np.searchsorted(held, part * whole)) // _STEP))
            for part, limit in ((LEADING, MOST_LEADING), (KEPT, MOST_KEPT))
        )
        axes = np.linalg.qr(axes[:, ::-1][:, :kept].astype(np.float64))[0]
        rng = np.random.default_rng(0)
        for block in (slice(0, leading), slice(leading, kept)):
            size = block.stop - block.start
            axes[:, block] = axes[:, block] @ np.linalg.qr(rng.standard_normal((size, size)))[0]
        return cls(mean, np.ascontiguousarray(axes.astype(np.float32)), leading)

    def split(self, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The leading block and the one after it, of coordinates `[n, k]` along the axes."""
        return _at_least_two(along[:, : self.leading]), _at_least_two(along[:, self.leading :])

    def rest(self, centred: np.ndarray, along: np.ndarray) -> np.ndarray:
        """What the axes do not hold of centred vectors `[n, d]`, given coordinates `[n, k]`."""
        if self.axes.shape[0] == self.axes.shape[1]:
            return np.zeros((len(centred), 2), np.float32)
        return np.asarray(centred - get_backend().product(along, self.axes.T))


def _at_least_two(x: np.ndarray) -> np.ndarray:
    """A block with columns of zeros where it has fewer than two: 8-bit products want no less."""
    missing = max(0, 2 - x.shape[1])
    return np.pad(x, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(x)
