"""Principal axes of a bank: few of them hold most of the distance between two patches."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from patchcore_dual.banks.products import product

LEADING = 128  # compared patch by patch
KEPT = 384  # those after LEADING are compared tile by tile; what is left, by larger tiles
_ROWS = 8192  # of the bank, from which the axes are computed


@dataclass(frozen=True)
class PrincipalAxes:
    """An orthonormal basis of the directions in which a bank varies most.

    Within the leading block, and within the one after it, the axes are turned at random: that
    leaves its inner products as they are and spreads what the first few axes hold over all of the
    block, as 8-bit codes want it.

    Attributes:
        mean: float32 `[d]`, of the bank.
        axes: float32 `[d, k]`, orthonormal columns, k at most `KEPT`.
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
        kept = min(KEPT, d)
        _, axes = eigh(sample.T @ sample, subset_by_index=(d - kept, d - 1))
        axes = np.linalg.qr(axes[:, ::-1].astype(np.float64))[0]
        leading = min(LEADING, d)
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
        return np.asarray(centred - product(along, self.axes.T))


def _at_least_two(x: np.ndarray) -> np.ndarray:
    """A block with columns of zeros where it has fewer than two: 8-bit products want no less."""
    missing = max(0, 2 - x.shape[1])
    return np.pad(x, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(x)
