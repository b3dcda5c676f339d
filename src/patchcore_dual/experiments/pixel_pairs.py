"""The pixel AUROC as a sum over pairs of images, from which it is computed on resampled images.

The pixel AUROC is the share of pairs of a defective and a normal pixel in which the defective one
scores higher. Once these are counted for each pair of images, they can be summed with any weights
on the images, without the pixels. Scores are binned to one part in 128, so the counts serve for
intervals, not for the figure itself.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from patchcore_dual.evaluation.pixel_metrics import LEADING_BITS, leading_bits
from patchcore_dual.evaluation.results import Evaluation

_BITS = 16  # a sign, 8 of exponent and 7 of fraction


@dataclass(frozen=True)
class PixelPairs:
    """Numbers of pairs of a defective and a normal pixel, by the images that they come from.

    Attributes:
        rows: indices of the d images, out of n, that have defective pixels.
        wins: `[d, n]`, the number of pairs of a defective pixel of one image and a normal pixel of
            another in which the defective one scores higher; ties count half.
        defective: number of defective pixels of each image, `[n]`.
        normal: number of normal pixels of each image, `[n]`.
    """

    rows: tuple[int, ...]
    wins: tuple[tuple[float, ...], ...]
    defective: tuple[int, ...]
    normal: tuple[int, ...]

    def auroc(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The pixel AUROC `[r]` with weights on the images `[r, n]`; NaN where undefined."""
        wins = np.array(self.wins).reshape(len(self.rows), len(self.normal))
        won = ((weights[:, list(self.rows)] @ wins) * weights).sum(axis=1)
        pairs = (weights @ np.array(self.defective, float)) * (
            weights @ np.array(self.normal, float)
        )
        return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)


@dataclass(frozen=True)
class TrialEvaluation(Evaluation):
    """An evaluation whose pixel AUROC can be resampled.

    Attributes:
        pairs: of its pixels; None where anomaly maps were not evaluated.
    """

    pairs: PixelPairs | None = None

    @classmethod
    def of(cls, evaluation: Evaluation, pairs: PixelPairs | None) -> "TrialEvaluation":
        """The evaluation with its pairs of pixels."""
        known = {f.name: getattr(evaluation, f.name) for f in fields(Evaluation)}
        return cls(**known, pairs=pairs)

    def pixel_auroc_with(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The pixel AUROC `[r]` with weights on the images `[r, n]`; exact for equal weights."""
        if self.pairs is None:
            return np.full(len(weights), np.nan)
        binned = self.pairs.auroc(np.ones((1, weights.shape[1])))[0]
        return self.pairs.auroc(weights) + (self.pixel_auroc - binned)


class PixelPairCounter:
    """Counts the pairs of pixels of images that are added one by one.

    >>> counter = PixelPairCounter()
    >>> counter.update(np.array([[3, 1]], np.float32), np.array([[True, False]]))
    >>> counter.update(np.array([[2, 4]], np.float32), np.array([[False, False]]))
    >>> counter.compute().auroc(np.array([[1.0, 1.0], [1.0, 0.0]])).round(3)
    array([0.667, 1.   ])
    """

    def __init__(self) -> None:
        self._defective: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._normal: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def update(self, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> None:
        """Add one image.

        Args:
            anomaly_map: float32 `[H, W]`.
            mask: its defect, bool `[H, W]`; None where the defect lies at an unknown place, and
                no pixel of the image counts.
        """
        bins = leading_bits(anomaly_map) >> (LEADING_BITS - _BITS)
        nothing = bins[:0].ravel()
        defective, normal = (nothing, nothing) if mask is None else (bins[mask], bins[~mask])
        self._defective.append(np.unique(defective, return_counts=True))
        self._normal.append(np.unique(normal, return_counts=True))

    def compute(self) -> PixelPairs:
        """The pairs of all images added so far."""
        used = np.unique(np.concatenate([bins for bins, _ in self._defective + self._normal]))
        defective, normal = _dense(self._defective, used), _dense(self._normal, used)
        rows = np.flatnonzero(defective.sum(axis=1))
        below = np.cumsum(normal, axis=1) - normal / 2
        wins = defective[rows] @ below.T
        return PixelPairs(
            tuple(rows.tolist()),
            tuple(tuple(row) for row in wins.tolist()),
            tuple(defective.sum(axis=1).astype(int).tolist()),
            tuple(normal.sum(axis=1).astype(int).tolist()),
        )


def _dense(
    images: list[tuple[NDArray[np.int64], NDArray[np.int64]]], used: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Counts `[n, bins]` of all images in the bins that any of them uses."""
    dense = np.zeros((len(images), len(used)))
    for row, (bins, counts) in zip(dense, images, strict=True):
        row[np.searchsorted(used, bins)] = counts
    return dense
