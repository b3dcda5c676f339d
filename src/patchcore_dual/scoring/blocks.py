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

    Cells that are not wanted have distances and log odds of NaN.
    """
    shape = features.shape[:2]
    normal = _nothing(shape)
    evidence = Evidence(normal)
    if defect_bank is not None:
        logit = np.full(shape, np.nan, np.float32) if probe else None
        evidence = Evidence(normal, _nothing(shape), logit)
    for cells, of_block in features.blocks():
        found = gather_evidence(of_block, normal_bank, defect_bank, probe, weighted=False)
        _place(evidence.normal, found.normal, cells)
        if evidence.defect is not None and found.defect is not None:
            _place(evidence.defect, found.defect, cells)
        if evidence.logit is not None and found.logit is not None:
            evidence.logit[cells] = found.logit
    if features.wanted is not None:
        grids = [normal.distance, evidence.logit]
        grids += [evidence.defect.distance] if evidence.defect is not None else []
        for grid in grids:
            if grid is not None:
                grid[~features.wanted] = np.nan
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


def _nothing(shape: tuple[int, int]) -> Nearest:
    """A search result that is still to be filled in."""
    return Nearest(np.full(shape, np.nan, np.float32), np.zeros(shape, np.int64))


def _place(nearest: Nearest, of_block: Nearest, cells: tuple[slice, slice]) -> None:
    nearest.distance[cells], nearest.index[cells] = of_block.distance, of_block.index
