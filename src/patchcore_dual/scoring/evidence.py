"""`Evidence`: the distances and log odds of one image's patches, from which rules make scores.

Thesis 4.3.5. `[h, w]` is always the feature grid of the image, one cell for each patch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from patchcore_dual.banks import MemoryBank, Queries
from patchcore_dual.banks.uninspected import marked
from patchcore_dual.scoring.neighbourhood_weights import defect_weight, normal_weight

NEIGHBOURS = 3  # b, thesis 5.1.3

WeightFormula = Callable[[np.ndarray, int], float]
"""`normal_weight` or `defect_weight`."""


class FeaturesInBlocks(Protocol):
    """Patch features of one image that are computed where they are used."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """h, w and d."""
        ...

    @property
    def wanted(self) -> np.ndarray | None:
        """bool `[h, w]`, the cells that are needed; None for all."""
        ...

    def blocks(self) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """Rows and columns of each block of the grid, and its features float32 `[n, m, d]`."""
        ...

    def __getitem__(self, window: tuple[slice, slice] | tuple[int, int]) -> np.ndarray:
        """Features of a few rows and columns, or of one cell, as of an array `[h, w, d]`."""
        ...


Features = np.ndarray | FeaturesInBlocks
"""The patch features of one image: float32 `[h, w, d]`, or in blocks."""


@dataclass(frozen=True)
class Nearest:
    """The nearest vectors of one bank to the patches of an image.

    Attributes:
        distance: float32 `[h, w]`, d(q): the Euclidean distance from each patch to its nearest
            vector.
        index: int64 `[h, w]`, the row of that vector in the bank.
        weight: the neighbourhood weight at the patch that is farthest from the bank; 1 where it
            was not computed.
    """

    distance: np.ndarray
    index: np.ndarray
    weight: float = 1.0


@dataclass(frozen=True)
class Evidence:
    """What is measured of one image's patches; NaN in cells that are not inspected.

    Attributes:
        normal: d_N and w_N, from the normal bank.
        defect: d_P and w_P, from the defect bank; None without one.
        logit: float32 `[h, w]`, the probe's log odds that a patch is a defect; None without a
            probe.
    """

    normal: Nearest
    defect: Nearest | None = None
    logit: np.ndarray | None = None


@dataclass(frozen=True)
class HeldOutImage:
    """Out-of-fold evidence on one training image: from banks and a probe built without it.

    Attributes:
        evidence: without the image's fold (see `training/cross_fitting.py`).
        fold: the number of that fold.
        width, height: size of the prepared image, in pixels.
        defect_cells: bool `[h, w]`, the cells on the defect; None for a normal image.
        unseen: evidence with one cluster of defects left out as well, by the cluster's number.
            Normal images have an entry for every cluster, defective images only for their own.
        is_known: whether other folds contain defects; if not, the distances to the defect bank
            are meaningless for this image.
    """

    evidence: Evidence
    fold: int
    width: int
    height: int
    defect_cells: np.ndarray | None = None
    unseen: dict[int, Evidence] = field(default_factory=dict)
    is_known: bool = True


@dataclass(frozen=True)
class TrainingEvidence:
    """What a fusion rule is fitted on.

    Attributes:
        normals: the held-out normal images.
        defectives: the held-out defective images; empty for rules that do not use the probe.
        false_alarm_rate: the false-alarm rate that was requested.
    """

    normals: tuple[HeldOutImage, ...]
    defectives: tuple[HeldOutImage, ...] = ()
    false_alarm_rate: float = 0.01


def gather_evidence(
    features: np.ndarray,
    normal_bank: MemoryBank | Nearest,
    defect_bank: MemoryBank | None,
    probe: Callable[[np.ndarray], np.ndarray] | None = None,
    weighted: bool = True,
) -> Evidence:
    """Search both banks for every patch of one image, and evaluate the probe.

    Args:
        features: float32 `[h, w, d]`, the patch features.
        normal_bank: the normal bank, or the result of an earlier search in it.
        defect_bank: the defect bank; without one the probe is not evaluated either.
        probe: maps features float32 `[h, w, d]` to log odds float32 `[h, w]`.
        weighted: compute w_N and w_P too, which costs a further search in each bank.

    >>> def bank(vectors):
    ...     image, cell = np.zeros(len(vectors), np.int32), np.zeros((len(vectors), 2), np.int32)
    ...     return MemoryBank(np.array(vectors, np.float32), image, cell, sources=("a.png",))
    >>> features = np.array([[[0, 0], [3, 5]]], np.float32)  # a grid of 1×2 patches
    >>> evidence = gather_evidence(features, bank([[0, 0], [0, 1]]), bank([[3, 1]]))
    >>> evidence.normal.distance.tolist(), evidence.normal.index.tolist()
    ([[0.0, 5.0]], [[0, 1]])
    >>> evidence.defect.distance[0, 1].item()
    4.0
    """
    queries: np.ndarray | Queries = features
    normal = normal_bank
    if isinstance(normal, MemoryBank):
        if defect_bank is None or normal.has_channels_of(defect_bank):
            queries = normal.queries(features)  # prepared once for both banks
        normal = search(features, normal, normal_weight if weighted else None, queries)
    if defect_bank is None:
        return Evidence(normal)
    defect = search(features, defect_bank, defect_weight if weighted else None, queries)
    return Evidence(normal, defect, probe(features) if probe else None)


def search(
    features: np.ndarray,
    bank: MemoryBank,
    weight: WeightFormula | None,
    queries: np.ndarray | Queries | None = None,
) -> Nearest:
    """Search one bank for every patch of one image.

    Args:
        features: float32 `[h, w, d]`.
        bank: the bank to search.
        weight: the formula of its neighbourhood weight; None leaves the weight at 1.
        queries: the features as `MemoryBank.queries` prepared them, to avoid doing so again.
    """
    distance, index = bank.nearest(features if queries is None else queries)
    nearest = Nearest(marked(distance, features), index)
    return nearest if weight is None else with_neighbourhood_weight(nearest, features, bank, weight)


def with_neighbourhood_weight(
    nearest: Nearest, features: Features, bank: MemoryBank, weight: WeightFormula
) -> Nearest:
    """Return the search result with its neighbourhood weight: this is where w_N is evaluated.

    With `normal_weight` and the normal bank the result carries w_N, with `defect_weight` and the
    defect bank w_P. Both are taken at the patch farthest from the bank, over the `NEIGHBOURS`
    vectors around its nearest vector. Only rules with `weighted = True` ask for them when an image
    is inspected: `patchcore-weighted` (w_N) and `thesis` (both).

    Args:
        nearest: the result of searching `bank`.
        features: those that were searched for.
        bank: the bank.
        weight: the formula.
    """
    farthest = divmod(int(np.nanargmax(nearest.distance)), nearest.distance.shape[1])
    neighbourhood = bank.vectors[bank.neighbourhood(int(nearest.index[farthest]), NEIGHBOURS)]
    to_neighbours = np.linalg.norm(neighbourhood - bank.own(features[farthest]), axis=1)
    return replace(nearest, weight=weight(to_neighbours, neighbourhood.shape[1]))
