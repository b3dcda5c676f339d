"""What the two banks say about the patches of one image (thesis 4.3.5)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from patchcore_dual.banks import MemoryBank, Queries
from patchcore_dual.scoring.fusion.probe import Probe
from patchcore_dual.scoring.neighbourhood_weights import defect_weight, normal_weight

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
    """All that is known of one image's patches.

    Attributes:
        normal: d_N and w_N.
        defect: d_P and w_P; None without a defect bank.
        logit: float32 `[h, w]`, the probe's log odds that a patch is a defect; None without one.
    """

    normal: Nearest
    defect: Nearest | None = None
    logit: np.ndarray | None = None


@dataclass(frozen=True)
class HeldOutImage:
    """Evidence on one training image from banks and probe that were built without it.

    Attributes:
        evidence: without the image's fold (see `training/cross_fitting.py`).
        fold: which that is.
        width, height: of the prepared image, in pixels.
        defect_cells: bool `[h, w]`, its defect; None for a good image.
        unseen: evidence as it would be if a cluster of defects had never been seen, by cluster:
            for good images of every cluster, for defective ones of their own.
        is_known: whether other folds hold defects too, so that `evidence` is of use.
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
    """What a rule learns from: held-out good images, and held-out defective ones.

    `false_alarm_rate` is the one that was asked for.
    """

    normals: tuple[HeldOutImage, ...]
    defectives: tuple[HeldOutImage, ...] = ()
    false_alarm_rate: float = 0.01


def gather_evidence(
    features: np.ndarray,
    normal_bank: MemoryBank | Nearest,
    defect_bank: MemoryBank | None,
    probe: Probe | None = None,
    weighted: bool = True,
) -> Evidence:
    """Search both banks for every patch of one image, and ask the probe.

    Args:
        features: float32 `[h, w, d]`.
        normal_bank: or its answer, where it has been searched before.
        weighted: compute w_N and w_P too (they cost one search more in each bank).
    """
    queries: np.ndarray | Queries = features
    normal = normal_bank
    if isinstance(normal, MemoryBank):
        if defect_bank is None or normal.has_channels_of(defect_bank):
            queries = normal.queries(features)  # for both banks
        normal = search(features, normal, normal_weight if weighted else None, queries)
    if defect_bank is None:
        return Evidence(normal)
    defect = search(features, defect_bank, defect_weight if weighted else None, queries)
    return Evidence(normal, defect, probe(features) if probe else None)


def search(
    features: np.ndarray,
    bank: MemoryBank,
    weight: Callable[[np.ndarray, int], float] | None,
    queries: np.ndarray | Queries | None = None,
) -> Nearest:
    """What one bank says of features `[h, w, d]`.

    Args:
        weight: the formula for its weight.
        queries: the features made ready to be searched for, where they are.
    """
    distance, index = bank.nearest(features if queries is None else queries)
    nearest = Nearest(distance, index)
    return nearest if weight is None else with_neighbourhood_weight(nearest, features, bank, weight)


def with_neighbourhood_weight(
    nearest: Nearest,
    features: np.ndarray,
    bank: MemoryBank,
    weight: Callable[[np.ndarray, int], float],
) -> Nearest:
    """The same with the neighbourhood weight at the patch that is farthest from the bank."""
    farthest = np.unravel_index(nearest.distance.argmax(), nearest.distance.shape)
    neighbourhood = bank.vectors[bank.neighbourhood(int(nearest.index[farthest]), NEIGHBOURS)]
    to_neighbours = np.linalg.norm(neighbourhood - bank.own(features[farthest]), axis=1)
    return replace(nearest, weight=weight(to_neighbours, neighbourhood.shape[1]))
