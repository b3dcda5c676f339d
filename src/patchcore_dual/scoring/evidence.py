"""What the two banks say about the patches of one image (thesis 4.3.5)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.scoring.weights import normal_weight, positive_weight

NEIGHBOURS = 3  # b, thesis 5.1.3


@dataclass(frozen=True)
class Nearest:
    """The answer of one bank; `[h, w]` is the image's feature grid.

    Attributes:
        distance: float32 `[h, w]`, d(q): from each patch to its nearest vector.
        index: int64 `[h, w]`, which vector that is.
        weight: the neighbourhood weight at the patch that is farthest from the bank; 1 where it
            was not asked for.
    """

    distance: np.ndarray
    index: np.ndarray
    weight: float = 1.0


@dataclass(frozen=True)
class Evidence:
    """`normal` holds d_N and w_N; `defect` holds d_P and w_P, or is None without a defect bank."""

    normal: Nearest
    defect: Nearest | None = None


def gather_evidence(
    features: np.ndarray,
    normal_bank: MemoryBank,
    defect_bank: MemoryBank | None,
    weighted: bool = True,
) -> Evidence:
    """Search both banks for every patch of one image.

    Args:
        features: float32 `[h, w, d]`.
        weighted: compute w_N and w_P too (they cost one search more in each bank).
    """
    normal = search(features, normal_bank, normal_weight if weighted else None)
    if defect_bank is None:
        return Evidence(normal)
    return Evidence(normal, search(features, defect_bank, positive_weight if weighted else None))


def search(
    features: np.ndarray, bank: MemoryBank, weight: Callable[[np.ndarray, int], float] | None
) -> Nearest:
    """What one bank says of features `[h, w, d]`; `weight` is the formula for its weight."""
    h, w, d = features.shape
    patches = features.reshape(h * w, d)
    distance, index = bank.nearest(patches)
    nearest = Nearest(distance.reshape(h, w), index.reshape(h, w))
    if weight is None:
        return nearest
    farthest = int(distance.argmax())
    neighbourhood = bank.vectors[bank.neighbourhood(int(index[farthest]), NEIGHBOURS)]
    to_neighbours = np.linalg.norm(neighbourhood - patches[farthest], axis=1)
    return replace(nearest, weight=weight(to_neighbours, d))
