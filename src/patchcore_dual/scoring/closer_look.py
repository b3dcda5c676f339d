"""Approximate search: a guess for every patch, and a closer look where the score is decided.

A guess is the distance to some vector that looks near (`banks/pruned_search.py`): never too small,
some per cent too large on the mean. Normal patches get guesses; the defect bank, which is small,
is searched exactly. The rule reads both, and the tiles of patches that it finds most anomalous are
searched exactly in the normal bank too; again, until the patch that it finds most anomalous and
those round it are among them. Where a rule's score is that of its most anomalous patch and grows
with the distance from the normal bank, it is then the score of exact search: no other patch can be
more anomalous than its guess says. What becomes of the scores is measured all the same on training
images when a model is fitted; the smallest share of tiles that keeps them within `TOLERANCE` is
taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from patchcore_dual.banks import MemoryBank, Queries
from patchcore_dual.scoring.evidence import Evidence, Nearest, gather_evidence, search, weigh
from patchcore_dual.scoring.probe import Probe
from patchcore_dual.scoring.rule import Rule
from patchcore_dual.scoring.weights import normal_weight, positive_weight

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
TOLERANCE = 1e-3  # of an image score, relative to itself or to the threshold


@dataclass(frozen=True)
class CloserLook:
    """What share of an image's tiles is searched exactly, and what that costs in accuracy.

    Attributes:
        share: 1 for exact search.
        score_error: the largest error of an image score found, relative to the larger of the exact
            score and the threshold.
        images: on how many training images.
    """

    share: float = 1.0
    score_error: float = 0.0
    images: int = 0


def look_closely(
    features: np.ndarray,
    normal_bank: MemoryBank,
    defect_bank: MemoryBank | None,
    probe: Probe | None,
    rule: Rule,
    share: float,
) -> Evidence:
    """`gather_evidence`, exact in the tiles that decide, `share` of them at a time.

    Exact everywhere where a bank is too small for guesses, or banks read different channels.
    """
    alike = defect_bank is None or normal_bank.has_channels_of(defect_bank)
    queries = normal_bank.queries(features) if share < 1 and alike else features
    if not isinstance(queries, Queries):
        return gather_evidence(features, normal_bank, defect_bank, probe, rule.weighted)
    normal_search = normal_bank.search_on(queries.axes)
    found = normal_search.guess(queries)
    logit, defect = None, None
    if defect_bank is not None:
        weight = positive_weight if rule.weighted else None
        defect = search(features, defect_bank, weight, queries)
        logit = probe(features) if probe else None
    looked = np.zeros(queries.shape, dtype=bool)
    while True:
        normal = Nearest(*found)
        if rule.weighted:
            normal = weigh(normal, features, normal_bank, normal_weight)
        evidence = Evidence(normal, defect, logit)
        _, grid = rule(evidence)
        row, column = np.unravel_index(grid.argmax(), grid.shape)
        deciding = (slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2))
        if looked[deciding].all():
            return evidence
        where = queries.most_of(np.where(looked, -np.inf, grid), share)
        where[deciding] = True
        found = normal_search.refine(queries, found, where & ~looked)
        looked |= where


def choose_share(
    rule: Rule,
    threshold: float,
    images: Iterable[tuple[np.ndarray, MemoryBank, MemoryBank | None]],
    probe: Probe | None,
) -> CloserLook:
    """The smallest share that keeps image scores within `TOLERANCE`; 1 where none does.

    Args:
        images: features float32 `[h, w, d]` of training images, each with banks that lack it.
    """
    errors = []
    for features, normal_bank, defect_bank in images:
        exact = gather_evidence(features, normal_bank, defect_bank, probe, rule.weighted)
        score = rule(exact)[0]
        scale = max(abs(score), abs(threshold), 1e-12)
        looks = (
            look_closely(features, normal_bank, defect_bank, probe, rule, share) for share in SHARES
        )
        errors.append([abs(rule(one)[0] - score) / scale for one in looks])
    largest = np.max(errors, axis=0, initial=0) if errors else np.full(len(SHARES), np.inf)
    for share, error in zip(SHARES, largest, strict=True):
        if error <= TOLERANCE:
            return CloserLook(share, float(error), len(errors))
    return replace(CloserLook(), images=len(errors))
