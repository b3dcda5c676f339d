"""Growing a memory bank by the patches of one image that are new to it.

A greedy coreset goes on where fitting left it: of the image's patches, the one farthest from the
bank is added again and again, until all lie within the bank's covering radius. A patch that the
bank covers already would change next to nothing.
"""

import numpy as np

from patchcore_dual.banks import MemoryBank, coreset_size, projection_matrix
from patchcore_dual.banks.coreset.greedy import select_coreset
from patchcore_dual.banks.uninspected import uninspected
from patchcore_dual.settings import Settings
from patchcore_dual.training.defect_bank import DefectPatches

_BLOCK = 4096  # bank vectors that are compared at once


def new_patches(
    bank: np.ndarray, patches: np.ndarray, radius: float, at_least: int = 0
) -> np.ndarray:
    """Which patches a bank gains, in the order of their choice.

    Args:
        bank: float32 `[n, k]`, its projected vectors.
        patches: float32 `[m, k]`, the projected patches of one image.
        radius: the covering radius among projected vectors; 0 takes every patch that is no copy.
        at_least: how many patches are taken even if the bank covers them, unless they are copies.

    Returns:
        int64 `[a]`, rows of `patches`.

    >>> bank, patches = np.array([[0.0]], np.float32), np.array([[1.0], [3.0], [3.5]], np.float32)
    >>> new_patches(bank, patches, radius=2).tolist(), new_patches(bank, patches, 0).tolist()
    ([2], [2, 0, 1])
    """
    nearest = np.full(len(patches), np.inf, np.float32)
    for start in range(0, len(bank), _BLOCK):
        block = bank[start : start + _BLOCK]
        relative = np.einsum("nk,nk->n", block, block) - 2 * patches @ block.T
        # Measured again by direct difference: the formula loses small distances to rounding.
        difference = patches - block[relative.argmin(axis=1)]
        nearest = np.minimum(nearest, np.einsum("mk,mk->m", difference, difference))
    chosen: list[int] = []
    while len(chosen) < len(patches):
        farthest = int(nearest.argmax())
        is_covered = nearest[farthest] <= radius * radius and len(chosen) >= at_least
        if is_covered or nearest[farthest] <= 0:
            break
        chosen.append(farthest)
        difference = patches - patches[farthest]
        nearest = np.minimum(nearest, np.einsum("mk,mk->m", difference, difference))
    return np.array(chosen, dtype=np.int64)


def grow_normal_bank(
    bank: MemoryBank, name: str, features: np.ndarray, radius: float, seed: int
) -> MemoryBank | None:
    """What the normal bank gains by a good image, as a bank of its own; None for nothing.

    Args:
        name: of the image.
        features: float32 `[h, w, d]`; NaN where it is not inspected.
        radius: of the bank's coreset, among projected features.
        seed: of the projection.
    """
    height, width, depth = features.shape
    inside = np.flatnonzero(~uninspected(features))
    own = bank.own(features.reshape(-1, depth)[inside])
    projection = projection_matrix(own.shape[1], seed)
    rows = new_patches(bank.vectors @ projection, own @ projection, radius)
    if not len(rows):
        return None
    rows = np.sort(rows)
    cells = np.indices((height, width)).reshape(2, -1).T[inside[rows]].astype(np.int32)
    image = np.zeros(len(rows), np.int32)
    return MemoryBank(own[rows], image, cells, (name,), bank.channels)


def grow_defect_bank(
    defects: DefectPatches | None,
    patches: MemoryBank,
    settings: Settings,
    channels: np.ndarray | None,
    synthetic: frozenset[str] = frozenset(),
) -> DefectPatches:
    """The defect bank with the defects of one more image.

    Its covering radius is that of the coreset which fitting would choose among all real defect
    patches: 0 while there are so few that all are kept.

    Args:
        defects: None where there were none.
        patches: those on the defects of the image, of all channels.
        channels: those that the bank keeps; None for all.
        synthetic: names of the synthetic images, whose coreset is chosen apart.
    """
    own = patches.restricted(channels)
    joined = patches
    if defects is not None:  # without a probe, a model keeps the bank's channels alone
        alike = patches if defects.patches.channels is None else own
        joined = MemoryBank.join([defects.patches, alike])
    projection = projection_matrix(own.vectors.shape[1], settings.seed)
    photographed = joined.without(synthetic)
    if photographed.channels is None:
        photographed = photographed.restricted(channels)
    real = photographed.vectors
    size = coreset_size(len(real), settings.defect_rate)
    radius = 0.0
    if size < len(real):
        radius = select_coreset(real @ projection, size, settings.seed).radius
    if defects is None:
        bank = own.vectors[:0]
    else:
        bank = defects.bank.vectors
    # An image of a defect that is in the bank already still is known by a vector of its own.
    rows = np.sort(new_patches(bank @ projection, own.vectors @ projection, radius, at_least=1))
    gained = own.select(rows)
    if defects is None:
        return DefectPatches(gained, joined)
    banks = [defects.bank, gained] if len(gained) else [defects.bank]
    return DefectPatches(MemoryBank.join(banks), joined)
