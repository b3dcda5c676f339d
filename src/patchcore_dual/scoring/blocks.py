"""Evidence of a large image, whose patch features never lie in memory all at once."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.scoring.evidence import (
    Evidence,
    FeaturesInBlocks,
    Nearest,
    gather_evidence,
    with_neighbourhood_weight,
)
from patchcore_dual.scoring.neighbourhood_weights import defect_weight, normal_weight


def gather_in_blocks(
    features: FeaturesInBlocks,
    normal_bank: MemoryBank,
    defect_bank: MemoryBank | None,
    probe: Callable[[np.ndarray], np.ndarray] | None,
    weighted: bool,
) -> Evidence:
    """`gather_evidence`, block by block.

    Cells of blocks that are left out have distances and log odds of 0.
    """
    shape = features.shape[:2]
    normal = Nearest(np.zeros(shape, np.float32), np.zeros(shape, np.int64))
    evidence = Evidence(normal)
    if defect_bank is not None:
        defect = Nearest(np.zeros(shape, np.float32), np.zeros(shape, np.int64))
        evidence = Evidence(normal, defect, np.zeros(shape, np.float32) if probe else None)
    for cells, of_block in features.blocks():
        found = gather_evidence(of_block, normal_bank, defect_bank, probe, weighted=False)
        _place(evidence.normal, found.normal, cells)
        if evidence.defect is not None and found.defect is not None:
            _place(evidence.defect, found.defect, cells)
        if evidence.logit is not None and found.logit is not None:
            evidence.logit[cells] = found.logit
    if not weighted:
        return evidence
    evidence = replace(
        evidence, normal=with_neighbourhood_weight(normal, features, normal_bank, normal_weight)
    )
    if defect_bank is None or evidence.defect is None:
        return evidence
    return replace(
        evidence,
        defect=with_neighbourhood_weight(evidence.defect, features, defect_bank, defect_weight),
    )


def _place(nearest: Nearest, of_block: Nearest, cells: tuple[slice, slice]) -> None:
    nearest.distance[cells], nearest.index[cells] = of_block.distance, of_block.index
