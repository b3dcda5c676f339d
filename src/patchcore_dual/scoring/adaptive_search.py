"""Approximate search: a guess for every patch, and a closer look where the score is decided.

A guess is the distance to some vector that looks near (`banks/pruned_search.py`): never too small,
some per cent too large on the mean, nearly always right in the defect bank. The rule reads guesses
from both banks, and the tiles of patches that it finds most anomalous are searched exactly; again,
until the patch that it finds most anomalous and those round it are among them. A rule whose score
is that of its most anomalous patch and grows with the distance from the normal bank has then the
score of exact search, unless a guess hid from the defect bank a patch that looks like a defect.
What becomes of the scores is measured on training images when a model is fitted; the smallest share
of tiles that keeps them within `TOLERANCE` is taken.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from patchcore_dual.banks import MemoryBank, Queries
from patchcore_dual.scoring.evidence import (
    Evidence,
    Nearest,
    gather_evidence,
    with_neighbourhood_weight,
)
from patchcore_dual.scoring.fusion.probe import Probe
from patchcore_dual.scoring.fusion.rule import Rule
from patchcore_dual.scoring.neighbourhood_weights import defect_weight, normal_weight

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
DEFECT_SHARE = 4  # times as many in the defect bank, where they cost less
TOLERANCE = 1e-3  # of an image score, relative to itself or to the threshold


@dataclass(frozen=True)
class AdaptiveSearch:
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


def search_adaptively(
    features: np.ndarray,
    normal_bank: MemoryBank,
    defect_bank: MemoryBank | None,
    probe: Probe | None,
    rule: Rule,
    share: float,
) -> Evidence:
    """`gather_evidence`, exact in the tiles that decide, `share` of them at a time.

    Exact everywhere where the normal bank is too small for guesses, or banks read different
    channels.
    """
    alike = defect_bank is None or normal_bank.has_channels_of(defect_bank)
    queries = normal_bank.queries(features) if share < 1 and alike else features
    if not isinstance(queries, Queries):
        return gather_evidence(features, normal_bank, defect_bank, probe, rule.weighted)
    normal = _Searched(normal_bank, features, queries, normal_weight if rule.weighted else None)
    defect, logit = None, None
    if defect_bank is not None:
        weight = defect_weight if rule.weighted else None
        defect = _Searched(defect_bank, features, queries, weight)
        logit = probe(features) if probe else None
    while True:
        evidence = Evidence(normal.nearest, defect.nearest if defect else None, logit)
        _, grid = rule(evidence)
        row, column = np.unravel_index(grid.argmax(), grid.shape)
        deciding = (slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2))
        searched, part = normal, share
        if defect and not defect.is_exact[deciding].all():
            searched, part = defect, min(1, DEFECT_SHARE * share)
        elif normal.is_exact[deciding].all():
            return evidence
        where = queries.most_of(np.where(searched.is_exact, -np.inf, grid), part)
        where[deciding] = True
        searched.look(where)


class _Searched:
    """What a bank says of an image so far: exact where it was looked at, a guess elsewhere."""

    def __init__(
        self,
        bank: MemoryBank,
        features: np.ndarray,
        queries: Queries,
        weight: Callable[[np.ndarray, int], float] | None,
    ) -> None:
        self._bank, self._features, self._queries, self._weight = bank, features, queries, weight
        self._search = bank.search_on(queries.axes)
        self._found = self._search.guess(queries)
        self.is_exact = np.zeros(queries.shape, dtype=bool)

    @property
    def nearest(self) -> Nearest:
        found = Nearest(*self._found)
        if self._weight is None:
            return found
        return with_neighbourhood_weight(found, self._features, self._bank, self._weight)

    def look(self, where: np.ndarray) -> None:
        """Search for some patches, bool `[h, w]`, as exact search would."""
        self._found = self._search.refine(self._queries, self._found, where & ~self.is_exact)
        self.is_exact |= where


def choose_exact_share(
    rule: Rule,
    threshold: float,
    images: Iterable[tuple[np.ndarray, MemoryBank, MemoryBank | None]],
    probe: Probe | None,
) -> AdaptiveSearch:
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
            search_adaptively(features, normal_bank, defect_bank, probe, rule, share)
            for share in SHARES
        )
        errors.append([abs(rule(one)[0] - score) / scale for one in looks])
    largest = np.max(errors, axis=0, initial=0) if errors else np.full(len(SHARES), np.inf)
    for share, error in zip(SHARES, largest, strict=True):
        if error <= TOLERANCE:
            return AdaptiveSearch(share, float(error), len(errors))
    return replace(AdaptiveSearch(), images=len(errors))
