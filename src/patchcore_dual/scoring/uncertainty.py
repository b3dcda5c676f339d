"""How far an image's score would move, had other training images been there (thesis 5.3.2).

Both banks are resampled by their source images (bootstrap), and the decisive patch and its eight
neighbours are scored again. A large spread means that the score hangs on few training images.
"""

from dataclasses import replace

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.scoring.evidence import Evidence, Nearest
from patchcore_dual.scoring.fusion.rule import Rule

RESAMPLES = 16
FIRST = 512  # vectors near a patch that are measured first, to find the nearest sources


def score_uncertainty(
    rule: Rule,
    evidence: Evidence,
    features: np.ndarray,
    peak: tuple[int, int],
    normal_bank: MemoryBank,
    defect_bank: MemoryBank | None,
) -> float:
    """Standard deviation of the image score over bootstrap resamples of the banks' images.

    Args:
        features: float32 `[h, w, d]`, the image's patches.
        peak: row and column of the patch with the highest grid value.

    Returns:
        0 for a rule whose score is not decided by that patch (`thesis`): nothing is known then.
    """
    if not rule.has_decisive_patch:
        return 0.0
    rng = np.random.default_rng(0)  # the same resamples for every image
    rows, columns = (slice(max(0, i - 1), i + 2) for i in peak)
    window = (rows, columns)
    normal = _resampled(features[window], normal_bank, evidence.normal.distance[window], rng)
    if defect_bank is not None and evidence.defect is not None:
        defect = _resampled(features[window], defect_bank, evidence.defect.distance[window], rng)
    scores = []
    for i in range(RESAMPLES):
        changed = replace(evidence, normal=_patched(evidence.normal, window, normal[i]))
        if defect_bank is not None and evidence.defect is not None:
            changed = replace(changed, defect=_patched(evidence.defect, window, defect[i]))
        scores.append(rule(changed)[0])
    return float(np.std(scores))


def _resampled(
    features: np.ndarray, bank: MemoryBank, distance: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Distances float32 `[RESAMPLES, h, w]` to the bank of a resample of its images."""
    n = len(bank.sources)
    drawn = [np.unique(images) for images in rng.integers(n, size=(RESAMPLES, n))]
    count = FIRST
    while True:
        by_source, known_to = bank.nearest_sources(features, count)
        resampled = np.stack([by_source[..., images].min(axis=-1) for images in drawn])
        if (resampled <= known_to).all():
            break
        count *= 8  # a resample lacked all of the nearest sources; in the end all are known
    return np.maximum(resampled, distance)  # the whole bank holds the nearest of all


def _patched(nearest: Nearest, window: tuple[slice, slice], distance: np.ndarray) -> Nearest:
    changed = nearest.distance.copy()
    changed[window] = distance
    return replace(nearest, distance=changed)
