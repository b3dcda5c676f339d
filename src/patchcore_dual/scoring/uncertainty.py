"""Bootstrap uncertainty of the image score (thesis 5.3.2).

The source images of both banks are resampled with replacement, and the decisive patch and its
eight neighbours are scored again with each resample. A large spread means that the score depends on
a few training images.
"""

from dataclasses import replace

import numpy as np

from patchcore_dual.banks import MemoryBank
from patchcore_dual.banks.uninspected import searchable
from patchcore_dual.scoring.evidence import Evidence, Features, Nearest
from patchcore_dual.scoring.fusion.rule import Rule

RESAMPLES = 16
FIRST_VECTORS = 512  # nearest vectors of a patch that are measured first to find nearby sources


def score_uncertainty(
    rule: Rule,
    evidence: Evidence,
    features: Features,
    normal_bank: MemoryBank,
    defect_bank: MemoryBank | None,
    *,
    peak: tuple[int, int],
) -> float:
    """Return the standard deviation of the image score over bootstrap resamples of the banks.

    Args:
        rule: the fitted fusion rule.
        evidence: the evidence of the image.
        features: float32 `[h, w, d]`, its patch features.
        normal_bank: the normal bank.
        defect_bank: the defect bank, if there is one.
        peak: row and column of the patch with the highest grid value.

    Returns:
        The uncertainty, in units of the image score. It is 0 for a rule whose score is not
        determined by that patch (`thesis`): it is not estimated then.
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
        changed = replace(evidence, normal=_with_distances(evidence.normal, window, normal[i]))
        if defect_bank is not None and evidence.defect is not None:
            changed = replace(changed, defect=_with_distances(evidence.defect, window, defect[i]))
        scores.append(rule(changed).score)
    return float(np.std(scores))


def _resampled(
    features: np.ndarray, bank: MemoryBank, distance: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Distances float32 `[RESAMPLES, h, w]` of patches to the bank of each resample.

    Args:
        distance: float32 `[h, w]`, those to the whole bank.
    """
    n = len(bank.sources)
    resamples = [np.unique(images) for images in rng.integers(n, size=(RESAMPLES, n))]
    count, features = FIRST_VECTORS, searchable(features)
    while True:
        by_source, exact_up_to = bank.nearest_sources(features, count)
        resampled = np.stack([by_source[..., images].min(axis=-1) for images in resamples])
        if (resampled <= exact_up_to).all():
            break
        # Some resample contains none of the sources measured so far: measure more vectors, at
        # worst all of them.
        count *= 8
    # No resample can be nearer than the whole bank. What is not inspected stays NaN.
    return np.maximum(resampled, distance)


def _with_distances(nearest: Nearest, window: tuple[slice, slice], distance: np.ndarray) -> Nearest:
    """The search result with other distances in a window of the grid."""
    changed = nearest.distance.copy()
    changed[window] = distance
    return replace(nearest, distance=changed)
