"""The pixel AUROC as a sum over pairs of images, so that it can be read on resampled images.

It is the share of pairs of a defective and a good pixel in which the defective one scores higher.
Counted for each pair of images, these can be summed again with any weights on the images, without
the pixels. Scores are binned to one part in 128, so this serves intervals, not the figure itself.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.evaluation.evaluation import Evaluation
from patchcore_dual.evaluation.pixel_metrics import LEADING_BITS, leading_bits

_BITS = 16  # a sign, 8 of exponent and 7 of fraction


@dataclass(frozen=True)
class PairTable:
    """Pairs of pixels, counted by image.

    Attributes:
        rows: which of n images have defective pixels, d of them.
        wins: `[d, n]`, pairs of a defective pixel of one and a good pixel of another image in
            which the defective one scores higher; ties count half.
        defective, good: pixels of each image, `[n]`.
    """

    rows: tuple[int, ...]
    wins: tuple[tuple[float, ...], ...]
    defective: tuple[int, ...]
    good: tuple[int, ...]

    def auroc(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The pixel AUROC `[r]` with weights on the images `[r, n]`; NaN where undefined."""
        wins = np.array(self.wins).reshape(len(self.rows), len(self.good))
        won = ((weights[:, list(self.rows)] @ wins) * weights).sum(axis=1)
        pairs = (weights @ np.array(self.defective, float)) * (weights @ np.array(self.good, float))
        return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)


@dataclass(frozen=True)
class TrialEvaluation(Evaluation):
    """An evaluation whose pixel AUROC can be resampled; `pairs` is None without anomaly maps."""

    pairs: PairTable | None = None

    @classmethod
    def of(cls, evaluation: Evaluation, pairs: PairTable | None) -> "TrialEvaluation":
        known = {f.name: getattr(evaluation, f.name) for f in fields(Evaluation)}
        return cls(**known, pairs=pairs)

    def pixel_auroc_with(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The pixel AUROC `[r]` with weights on the images `[r, n]`; exact for equal weights."""
        if self.pairs is None:
            return np.full(len(weights), np.nan)
        binned = self.pairs.auroc(np.ones((1, weights.shape[1])))[0]
        return self.pairs.auroc(weights) + (self.pixel_auroc - binned)


class PixelPairs:
    """Collects the pixels of images that come one by one."""

    def __init__(self) -> None:
        self._defective: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._good: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def update(self, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> None:
        """Add one image, float32 and bool `[H, W]`; without a mask its pixels do not count."""
        bins = leading_bits(anomaly_map) >> (LEADING_BITS - _BITS)
        nothing = bins[:0].ravel()
        defective, good = (nothing, nothing) if mask is None else (bins[mask], bins[~mask])
        self._defective.append(np.unique(defective, return_counts=True))
        self._good.append(np.unique(good, return_counts=True))

    def compute(self) -> PairTable:
        """The pairs of all images so far."""
        used = np.unique(np.concatenate([bins for bins, _ in self._defective + self._good]))
        defective, good = _dense(self._defective, used), _dense(self._good, used)
        rows = np.flatnonzero(defective.sum(axis=1))
        below = np.cumsum(good, axis=1) - good / 2
        wins = defective[rows] @ below.T
        return PairTable(
            tuple(rows.tolist()),
            tuple(tuple(row) for row in wins.tolist()),
            tuple(defective.sum(axis=1).astype(int).tolist()),
            tuple(good.sum(axis=1).astype(int).tolist()),
        )


def _dense(
    images: list[tuple[NDArray[np.int64], NDArray[np.int64]]], used: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Counts `[n, bins]` of all images in the bins that any of them uses."""
    dense = np.zeros((len(images), len(used)))
    for row, (bins, counts) in zip(dense, images, strict=True):
        row[np.searchsorted(used, bins)] = counts
    return dense
