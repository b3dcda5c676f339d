"""Adaptive search: approximate nearest neighbours, exact where the image score is decided.

First every patch gets an estimate of its distance, that to some vector which appears near
(`banks/search/pruned.py`). It is an upper bound of the true distance: a few per cent too large on
average in the normal bank, almost always exact in the defect bank. The fusion rule is evaluated on
the estimates, and the tiles of patches with the highest scores are searched exactly. This is
repeated until the highest-scoring patch and its neighbours are exact.

For a rule whose image score is the maximum of the patch scores and increases with d_N, the result
equals that of exact search, unless an overestimated d_P hid a patch that resembles a defect. How
much scores change is measured on training images when a model is fitted, and the smallest share of
tiles that keeps the error within `TOLERANCE` is used.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from patchcore_dual.banks import MemoryBank, Queries
from patchcore_dual.banks.uninspected import marked
from patchcore_dual.scoring.blocks import gather_in_blocks
from patchcore_dual.scoring.evidence import (
    Evidence,
    Features,
    Nearest,
    WeightFormula,
    gather_evidence,
    with_neighbourhood_weight,
)
from patchcore_dual.scoring.fusion.rule import Rule
from patchcore_dual.scoring.neighbourhood_weights import defect_weight, normal_weight

EXACT_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # candidates of `choose_exact_share`
DEFECT_FACTOR = 4  # the share is this much larger in the defect bank, where search costs less
TOLERANCE = 1e-3  # relative error of an image score; see `AdaptiveSearch.score_error`


@dataclass(frozen=True)
class AdaptiveSearch:
    """The settings of adaptive search in a fitted model, and its measured accuracy.

    Attributes:
        exact_share: share of an image's tiles that each step searches exactly; 1 for exact search
            of all patches.
        score_error: the largest error of an image score on the training images, relative to the
            exact score or the image threshold, whichever is larger.
        images: number of training images on which it was measured.
    """

    exact_share: float = 1.0
    score_error: float = 0.0
    images: int = 0


def search_adaptively(
    features: Features,
    normal_bank: MemoryBank,
    defect_bank: MemoryBank | None,
    probe: Callable[[np.ndarray], np.ndarray] | None,
    rule: Rule,
    *,
    exact_share: float,
) -> Evidence:
    """Return `gather_evidence`, with exact distances only in the tiles that decide the image score.

    All distances are exact if `exact_share` is 1, if the normal bank is too small for estimates to
    save time, or if the banks use different channels.

    Args:
        features: float32 `[h, w, d]`, the patch features of one image. In blocks, all distances are
            exact.
        normal_bank: the normal bank.
        defect_bank: the defect bank, if there is one.
        probe: maps features float32 `[h, w, d]` to log odds float32 `[h, w]`.
        rule: the fusion rule, whose grid tells which patches decide.
        exact_share: share of the tiles to search exactly in each step.
    """
    if not isinstance(features, np.ndarray):
        return gather_in_blocks(features, normal_bank, defect_bank, probe, rule.weighted)
    same_channels = defect_bank is None or normal_bank.has_channels_of(defect_bank)
    queries = normal_bank.queries(features) if exact_share < 1 and same_channels else features
    if not isinstance(queries, Queries):
        return gather_evidence(features, normal_bank, defect_bank, probe, rule.weighted)
    normal = _PartialSearch(
        normal_bank, features, queries, normal_weight if rule.weighted else None
    )
    defect, logit = None, None
    if defect_bank is not None:
        weight = defect_weight if rule.weighted else None
        defect = _PartialSearch(defect_bank, features, queries, weight)
        logit = probe(features) if probe else None
    while True:
        evidence = Evidence(normal.nearest, defect.nearest if defect else None, logit)
        grid = rule(evidence).grid
        row, column = np.unravel_index(np.nanargmax(grid), grid.shape)
        decisive = (slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2))
        partial, share = normal, exact_share
        if defect and not defect.is_exact[decisive].all():
            partial, share = defect, min(1, DEFECT_FACTOR * exact_share)
        elif normal.is_exact[decisive].all():
            return evidence
        settled = partial.is_exact | np.isnan(grid)
        chosen = queries.most_of(np.where(settled, -np.inf, grid), share)
        chosen[decisive] = True
        partial.refine(chosen)


class _PartialSearch:
    """The search of one bank for an image's patches: exact for some of them, estimates elsewhere.

    Attributes:
        is_exact: bool `[h, w]`.
    """

    def __init__(
        self,
        bank: MemoryBank,
        features: np.ndarray,
        queries: Queries,
        weight: WeightFormula | None,
    ) -> None:
        self._bank, self._features, self._queries, self._weight = bank, features, queries, weight
        self._search = bank.search_on(queries.axes)
        self._neighbours = self._search.guess(queries)
        self.is_exact = np.zeros(queries.shape, dtype=bool)

    @property
    def nearest(self) -> Nearest:
        distance, index = self._neighbours
        nearest = Nearest(marked(distance, self._features), index)
        if self._weight is None:
            return nearest
        return with_neighbourhood_weight(nearest, self._features, self._bank, self._weight)

    def refine(self, chosen: np.ndarray) -> None:
        """Replace the estimates of chosen patches, bool `[h, w]`, by exact distances."""
        estimated = chosen & ~self.is_exact
        self._neighbours = self._search.refine(self._queries, self._neighbours, estimated)
        self.is_exact |= chosen


def choose_exact_share(
    rule: Rule,
    threshold: float,
    images: Iterable[tuple[np.ndarray, MemoryBank, MemoryBank | None]],
    probe: Callable[[np.ndarray], np.ndarray] | None,
) -> AdaptiveSearch:
    """Choose the smallest share of tiles that keeps image scores within `TOLERANCE`.

    Args:
        rule: the fitted fusion rule.
        threshold: the image threshold.
        images: for each training image its features float32 `[h, w, d]`, and a normal and a defect
            bank that were built without it.
        probe: as for `search_adaptively`.

    Returns:
        The settings with the error that was measured; exact search where no share is accurate
        enough, or where there are no images.
    """
    errors = []
    for features, normal_bank, defect_bank in images:
        everywhere = gather_evidence(features, normal_bank, defect_bank, probe, rule.weighted)
        exact = rule(everywhere).score
        scale = max(abs(exact), abs(threshold), 1e-12)
        by_share = (
            search_adaptively(features, normal_bank, defect_bank, probe, rule, exact_share=share)
            for share in EXACT_SHARES
        )
        errors.append([abs(rule(evidence).score - exact) / scale for evidence in by_share])
    if errors:
        for share, error in zip(EXACT_SHARES, np.max(errors, axis=0), strict=True):
            if error <= TOLERANCE:
                return AdaptiveSearch(share, float(error), len(errors))
    return AdaptiveSearch(images=len(errors))
