"""`apply_gates`: which synthetic defects are good enough to train on.

Distances are measured in the patch features that a detector uses.
"""

from collections.abc import Sequence

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.features import EmbedImage
from patchcore_dual.synthesis.gates.candidates import (
    Candidate,
    CandidateFeatures,
    changed_patches,
    distances_without,
    extract_features,
)
from patchcore_dual.synthesis.gates.criteria import (
    are_new,
    are_realistic,
    are_seamless,
    is_visible,
)
from patchcore_dual.synthesis.gates.distances import frechet_distance, kernel_distance
from patchcore_dual.synthesis.gates.report import ImageResult, QualityReport, SetDistances
from patchcore_dual.synthesis.real_defects import RealDefect
from patchcore_dual.utils.progress import Progress, silent

MIN_GROUPS = 2


def apply_gates(
    candidates: Sequence[Candidate],
    real: Sequence[RealDefect],
    groups: Sequence[str],
    normals: Sequence[tuple[str, np.ndarray]],
    *,
    embed: EmbedImage,
    bank: MemoryBank,
    progress: Progress = silent,
) -> QualityReport:
    """Apply every gate to every candidate.

    Args:
        candidates: in order; of near duplicates, the first that passes the other gates is kept.
        real: real training defects.
        groups: the part (a commutator, a tile) that each of them is on. Real defects are compared
            with those of other parts, since one defect is always like itself in two photographs.
            With fewer than two groups, the gates that need real defects are skipped.
        normals: names and images, uint8 `[H, W, 3]`, of at least two normal training images. Each
            is compared with the bank without itself, which gives the limit of "visible".
        embed: patch features of an image: uint8 `[H, W, 3]` to float32 `[h, w, d]`.
        bank: of normal training images.
        progress: called after each image.

    Returns:
        The results of every image, and distances between the sets.
    """
    stage, total = "quality gates", len(normals) + len(real) + len(candidates)
    normal_maps: list[np.ndarray] = []
    for name, image in normals:
        grid = embed(image)
        distances = distances_without(grid.reshape(-1, grid.shape[-1]), bank, name)
        normal_maps.append(distances.reshape(grid.shape[:2]))
        progress(stage, len(normal_maps), total)
    real_patches: list[np.ndarray] = []
    for defect in real:
        real_patches.append(changed_patches(embed(defect.image), defect.mask))
        progress(stage, len(normals) + len(real_patches), total)
    features: list[CandidateFeatures] = []
    for candidate in candidates:
        features.append(extract_features(candidate, embed, bank))
        progress(stage, len(normals) + len(real) + len(features), total)

    results = [{"visible": is_visible(f, normal_maps)} for f in features]
    skipped = {}
    if len(set(groups)) >= MIN_GROUPS:
        realistic = are_realistic(features, real_patches, groups, bank)
        seamless = are_seamless(candidates, real)
        for result, first, second in zip(results, realistic, seamless, strict=True):
            result |= {"realistic": first, "seamless": second}
    else:
        why = (
            f"it compares with real defects of at least {MIN_GROUPS} parts; there are "
            f"{len(set(groups))}"
        )
        skipped = {"realistic": why, "seamless": why}
    names = [c.name for c in candidates]
    eligible = [all(gate.passed for gate in result.values()) for result in results]
    for result, gate in zip(results, are_new(names, features, eligible), strict=True):
        result["new"] = gate
    images = tuple(ImageResult(n, r) for n, r in zip(names, results, strict=True))
    return QualityReport(images, skipped, _set_distances(features, real_patches, groups))


def _set_distances(
    features: Sequence[CandidateFeatures],
    real_patches: Sequence[np.ndarray],
    groups: Sequence[str],
) -> dict[str, SetDistances]:
    if len(set(groups)) < MIN_GROUPS:
        return {}
    real = np.concatenate(real_patches)
    owner = np.repeat(groups, [len(p) for p in real_patches])
    in_first = np.isin(owner, sorted(set(groups))[::2])
    pairs = {
        "synthetic": (np.concatenate([f.patches for f in features]), real),
        "before": (np.concatenate([f.original_patches for f in features]), real),
        "real halves": (real[in_first], real[~in_first]),
    }
    return {
        name: SetDistances(kernel_distance(a, b), frechet_distance(a, b))
        for name, (a, b) in pairs.items()
        if min(len(a), len(b)) >= 2
    }
