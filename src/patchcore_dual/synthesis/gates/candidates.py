"""`Candidate`: a synthetic defect before the gates, and its patch features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.features import EmbedImage
from patchcore_dual.features.defect_patches import covered_cells


@dataclass(frozen=True)
class Candidate:
    """A synthetic defect that the gates are applied to.

    Attributes:
        name: file name of its image.
        image: uint8 `[H, W, 3]`, RGB.
        mask: bool `[H, W]`, the pixels that changed.
        normal: uint8 `[H, W, 3]`, the normal image that it was made on.
        normal_name: the name of that image among the sources of the normal bank.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    normal: np.ndarray
    normal_name: str


@dataclass(frozen=True)
class CandidateFeatures:
    """Patch features of a candidate.

    Attributes:
        cells: bool `[h, w]`, the cells of the feature grid that changed.
        patches: float32 `[m, d]`, the features of these cells.
        normal_distances: float32 `[m]`, their distances to the normal bank.
        original_patches: float32 `[m, d]`, the features of the same cells of the normal image.
        original_distances: float32 `[m]`, their distances to the normal bank.
        shifted_patches: float32 `[k, d]`, the features of the defect when the image is shifted by
            half a cell.
    """

    cells: np.ndarray
    patches: np.ndarray
    normal_distances: np.ndarray
    original_patches: np.ndarray
    original_distances: np.ndarray
    shifted_patches: np.ndarray


def extract_features(
    candidate: Candidate, embed: EmbedImage, bank: MemoryBank
) -> CandidateFeatures:
    """Embed a candidate; distances are to the normal bank without the candidate's normal image."""
    features, original = embed(candidate.image), embed(candidate.normal)
    cells = covered_cells(candidate.mask, *features.shape[:2])
    # Half a cell down and right is the worst misalignment of two pictures of one defect.
    step = max(1, candidate.image.shape[0] // features.shape[0] // 2)
    shifted = np.roll(candidate.image, (step, step), (0, 1))
    shifted_mask = np.roll(candidate.mask, (step, step), (0, 1))
    return CandidateFeatures(
        cells=cells,
        patches=features[cells],
        normal_distances=distances_without(features[cells], bank, candidate.normal_name),
        original_patches=original[cells],
        original_distances=distances_without(original[cells], bank, candidate.normal_name),
        shifted_patches=changed_patches(embed(shifted), shifted_mask),
    )


def changed_patches(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The patch features `[m, d]` of a grid `[h, w, d]` that a mask bool `[H, W]` covers."""
    return features[covered_cells(mask, *features.shape[:2])]


def distances_without(patches: np.ndarray, bank: MemoryBank, excluded: str) -> np.ndarray:
    """Distances of patches `[m, d]` to a bank without one of its sources: float32 `[m]`."""
    if excluded not in bank.sources or len(bank.sources) == 1:
        return bank.nearest(patches)[0]
    by_source = bank.nearest_by_source(patches[:, None])[:, 0]
    return np.delete(by_source, bank.sources.index(excluded), axis=1).min(axis=1)


def bank_of(patches: Sequence[np.ndarray]) -> MemoryBank:
    """A bank with one source for each of the arrays `[m, d]`, in order."""
    counts = [len(p) for p in patches]
    return MemoryBank(
        np.concatenate(patches),
        np.repeat(np.arange(len(patches), dtype=np.int32), counts),
        np.zeros((sum(counts), 2), dtype=np.int32),
        tuple(map(str, range(len(patches)))),
    )
