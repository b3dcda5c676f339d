"""Approximate search: a guess for every patch, and a closer look where the score is decided.

A guess is the distance to some vector that looks near (`banks/pruned_search.py`): never too small,
some per cent too large on the mean. The rule reads the guesses, and the tiles of patches that it
finds most anomalous are searched exactly; again, until the patch that it finds most anomalous is
one of those. PatchCore's score is then that of exact search, since no other patch can be farther
than its guess. What becomes of other rules' scores is measured on training images when a model is
fitted; the smallest share of tiles that keeps them within `TOLERANCE` is taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from patchcore_dual.banks import MemoryBank, Queries
from patchcore_dual.banks.pruned_search import Found
from patchcore_dual.scoring.evidence import Evidence, Nearest, gather_evidence, weigh
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
    queries = normal_bank.queries(features)
    alike = defect_bank is None or normal_bank.has_channels_of(defect_bank)
    if share >= 1 or not alike or not isinstance(queries, Queries):
        return gather_evidence(features, normal_bank, defect_bank, probe, rule.weighted)
    banks = [normal_bank] if defect_bank is None else [normal_bank, defect_bank]
    searches = [bank.search_on(queries.axes) for bank in banks]
    found = [search.guess(queries) for search in searches]
    logit = probe(features) if probe and defect_bank is not None else None

    def evidence(found: list[Found]) -> Evidence:
        nearest = [Nearest(*one) for one in found]
        if rule.weighted:
            formulas = (normal_weight, positive_weight)
            nearest = [
                weigh(one, features, bank, formula)
                for one, bank, formula in zip(nearest, banks, formulas, strict=False)
            ]
        return Evidence(nearest[0], nearest[1] if len(nearest) > 1 else None, logit)

    looked = np.zeros(queries.shape, dtype=bool)
    while True:
        answer = evidence(found)
        _, grid = rule(answer)
        if looked.flat[grid.argmax()]:
            return answer
        where = queries.most_of(np.where(looked, -np.inf, grid), share)
        found = [s.refine(queries, f, where) for s, f in zip(searches, found, strict=True)]
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
