"""Exact nearest neighbours of an image's patches, without measuring every pair.

Most pairs of a query q and a vector m are ruled out by an upper bound on their inner product, which
is computed from 8-bit codes. Why no nearest neighbour can be ruled out:

Both are taken relative to the mean of the principal axes. Let b be the distance of q to the nearest
vector so far. Since ‖q − m‖² = ‖q‖² + ‖m‖² − 2⟨q, m⟩, a vector m is at distance b or less if and
only if

    ⟨q, m⟩ − ‖m‖²/2 ≥ (‖q‖² − b²)/2.                                                          (1)

The principal axes divide the space into three orthogonal blocks: leading axes, a second block, and
the remaining dimensions (`principal_axes.py`). ⟨q, m⟩ is the sum of the inner products within the
blocks, and each of these is bounded separately. Within a block, let a be the proxy of q
(`queries.py`), and c the 8-bit code of m (`quantised_bank.py`). Then

    ⟨q, m⟩ = ⟨a, c⟩ + ⟨a, m − c⟩ + ⟨q − a, m⟩ ≤ ⟨a, c⟩ + (ε‖a‖ + ‖q − a‖)·‖m‖              (2)

by the Cauchy–Schwarz inequality, where ε is the largest ‖m − c‖/‖m‖ of any vector in the bank.
⟨a, c⟩ is an exact product of integers times two scales; ‖q − a‖, ‖a‖ and ‖m‖ are known. If the sum
of the three right-hand sides of (2), less ‖m‖²/2, is below the right-hand side of (1), then m is
farther than b and need not be measured. An allowance on both sides of (1) covers the rounding of
single precision.

In the second block, a is first the proxy of q's tile. For pairs that survive this bound it is
replaced by a + e, where e codes the difference q − a: inequality (2) holds as before with a proxy
closer to q, at the price of the additional product ⟨e, c⟩. Pairs that survive both bounds are
measured exactly, so the result is that of exhaustive search. The initial distance b comes from an
approximate search: each patch is compared with the vectors that seem nearest to its own tile and to
the neighbouring tiles, among a subsample of the bank. It affects the speed, not the result.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from patchcore_dual.banks.backend.compute import get_backend
from patchcore_dual.banks.backend.threads import run_on_row_blocks, run_on_threads
from patchcore_dual.banks.search.estimate_kernels import add_block, keep_largest, scaled_products
from patchcore_dual.banks.search.exhaustive import largest
from patchcore_dual.banks.search.kernels import (
    CodeProducts,
    QueryArrays,
    measure,
    prune_and_measure,
    prune_by_products,
    try_candidates,
)
from patchcore_dual.banks.search.principal_axes import PrincipalAxes
from patchcore_dual.banks.search.quantised_bank import BLOCK, FARTHEST, SLACK, QuantisedBank
from patchcore_dual.banks.search.queries import QuantisedProxies, Queries, norms

_STRIP = 512  # patches at a time
_GUESS_STRIDE = 3  # before an exact search, the guess uses every third block of vectors
_PAIRS_PER_SURVIVOR = 8  # with fewer, products in full are cheaper than bounds

Neighbours = tuple[np.ndarray, np.ndarray]
"""Distance float32 and index int64 of a vector for each query."""


class PrunedSearch:
    """Search for nearest neighbours in one set of vectors, on given principal axes.

    >>> rng = np.random.default_rng(0)
    >>> vectors, features = rng.random((600, 8), np.float32), rng.random((4, 6, 8), np.float32)
    >>> axes = PrincipalAxes.of(vectors)
    >>> distance, index = PrunedSearch(vectors, axes).nearest(Queries.of(features, axes))
    >>> distance.shape, index.shape
    ((4, 6), (4, 6))
    >>> to_all = np.linalg.norm(features[1, 2] - vectors, axis=1)
    >>> bool(index[1, 2] == to_all.argmin())
    True
    """

    def __init__(self, vectors: np.ndarray, axes: PrincipalAxes) -> None:
        """Encode the vectors.

        Args:
            vectors: float32 `[n, d]`, n at least 1.
            axes: the principal axes of these vectors, or of others like them. The result does not
                depend on them, the speed does.
        """
        self.axes = axes
        self._bank = QuantisedBank(vectors, axes)

    def nearest(self, queries: Queries) -> Neighbours:
        """The nearest vector of each query.

        Args:
            queries: patch features prepared for the same axes.

        Returns:
            Distances float32 and indices int64, both of the queries' shape. Of equally near
            vectors, the first is found.
        """
        return self.refine(queries, self.guess(queries, _GUESS_STRIDE))

    def guess(self, queries: Queries, every: int = 1) -> Neighbours:
        """A near vector of each query, by comparing it with at most five.

        These are the vectors that seem nearest, in the leading axes, to the query's tile and to the
        tiles beside it.

        Args:
            queries: patch features prepared for the same axes.
            every: search one block of 512 vectors in so many.

        Returns:
            Distances float32 and indices int64, both of the queries' shape. Distances are those of
            the vectors returned, hence never smaller than the distance of the nearest vector.
        """
        n = len(queries)
        best, index = np.full(n, FARTHEST, np.float32), np.full(n, -1, np.int64)
        neighbours = queries.neighbour_tiles
        candidates = self._nearest_to_tiles(queries, every)[neighbours]
        candidates[neighbours < 0] = -1
        candidates = candidates[queries.tiles.of]
        run_on_row_blocks(
            lambda rows: try_candidates(
                candidates, queries.patches, self._bank.vectors, rows, best, index
            ),
            n,
        )
        return queries.in_place(np.sqrt(best)), queries.in_place(index)

    def refine(
        self, queries: Queries, guess: Neighbours, where: np.ndarray | None = None
    ) -> Neighbours:
        """The nearest vectors in place of a guess, everywhere or for some queries.

        Args:
            queries: patch features prepared for the same axes.
            guess: distances and indices of the queries' shape, each distance that of the vector at
                the index.
            where: bool, of the queries' shape: which to search for; None for all.

        Returns:
            Distances float32 and indices int64, both of the queries' shape; those of the guess
            where nothing was searched for.
        """
        distance, index = (one.reshape(-1)[queries.order] for one in guess)
        n = len(queries)
        rows = np.arange(n) if where is None else np.flatnonzero(where.reshape(-1)[queries.order])
        if len(rows):
            self._search(queries, rows, distance, index)
        return queries.in_place(distance), queries.in_place(index)

    def closest(self, patches: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Several near vectors of each of a few patches.

        Args:
            patches: float32 `[q, d]`.
            count: how many for each, at most n.

        Returns:
            index: int64 `[q, count]`, in no particular order.
            distance: float32 `[q, count]`.
            limit: float32 `[q]`, a lower bound on the distances of all other vectors.
        """
        axes, bank = self.axes, self._bank
        n = len(bank.vectors)
        centred = patches - axes.mean
        squared = np.einsum("qd,qd->q", centred, centred)
        along = get_backend().product(centred, axes.axes)
        leading, second, rest = bank.columns
        bound = np.outer(norms(axes.rest(centred, along)), rest.norms)
        bound += bank.constant.reshape(-1)
        products = np.empty(bound.shape, np.int32)
        for column, x in zip((leading, second), axes.split(along), strict=True):
            proxies = QuantisedProxies.of_patches(x)
            get_backend().code_product(proxies.codes, column.codes, products)
            margin = column.margin(proxies)
            terms = products, proxies.scales, column.scales, margin, column.norms
            run_on_row_blocks(partial(add_block, bound, *terms), len(patches))
        bound = bound[:, :n]
        index = np.empty((len(patches), count), np.int64)
        distance = np.empty(index.shape, np.float32)

        def take(rows: tuple[int, int]) -> None:
            for i in range(*rows):
                index[i] = largest(bound[i], count)
            measure(index, patches, bank.vectors, rows, distance)

        run_on_row_blocks(take, len(patches))
        smallest = np.take_along_axis(bound, index, axis=1).min(axis=1)
        below = squared * np.float32(1 - 2 * SLACK) - 2 * smallest
        return index, distance, np.sqrt(np.maximum(below, 0))

    def _nearest_to_tiles(self, queries: Queries, every: int) -> np.ndarray:
        """int64 `[t]`: for each tile the vector that seems nearest in the leading axes."""
        codes, scales = queries.tile_codes
        results = []

        def search(blocks: Iterator[int]) -> None:
            largest = np.full(len(codes), -FARTHEST, np.float32)
            where = np.zeros(len(codes), np.int64)
            products = np.empty((len(codes), BLOCK), np.int32)
            for b in blocks:
                bank_codes, bank_scales = self._bank.codes(b, 0)
                get_backend().code_product(codes, bank_codes, products)
                plus = self._bank.constant[b]
                keep_largest(products, scales, bank_scales, plus, b * BLOCK, largest, where)
            results.append((largest, where))

        run_on_threads(search, range(0, len(self._bank), every))
        largest, where = (np.stack(one) for one in zip(*results, strict=True))
        # Of equal estimates the first vector counts, whichever thread found it.
        where[largest < largest.max(axis=0)] = self._bank.constant.size
        return np.asarray(where.min(axis=0))

    def _search(
        self, queries: Queries, rows: np.ndarray, distance: np.ndarray, index: np.ndarray
    ) -> None:
        """Update some rows of `distance` and `index` `[q]` with the whole bank."""
        tiles, tile_of = np.unique(queries.tiles.of[rows], return_inverse=True)
        tile_of_row = np.zeros(len(queries), np.int64)
        tile_of_row[rows] = tile_of
        large, large_of = np.unique(
            queries.large.of[queries.tiles.starts[tiles]], return_inverse=True
        )
        leading, second, rest = queries.proxies
        refined = queries.refined_second
        arrays = QueryArrays(
            patches=queries.patches,
            tile=tile_of_row,
            large_tile=large_of,
            leading_scales=leading.scales,
            second_scales=second.scales[tiles],
            required=queries.squared * np.float32(0.5 - SLACK),
            margins=np.stack(self._bank.margins(queries.proxies)),
            correction_codes=refined.codes,
            correction_scales=refined.scales,
            corrected_margins=self._bank.columns[1].margin(refined),
        )
        leading_codes, second_codes = leading.codes[rows], second.codes[tiles]
        rest_codes, rest_scales = rest.codes[large], rest.scales[large]
        strips = [
            (rows[start : start + _STRIP], leading_codes[start : start + _STRIP])
            for start in range(0, len(rows), _STRIP)
        ]
        # Slightly above the guess, so that ties with it are measured and the smallest index wins.
        squared = distance**2 * np.float32(1 + 1e-6)
        results = []

        def search(blocks: Iterator[int]) -> None:
            best, nearest = squared.copy(), index.copy()
            of_leading, of_second, of_rest = (
                np.empty((len(codes), BLOCK), np.int32)
                for codes in (leading_codes[:_STRIP], second_codes, rest_codes)
            )
            remainder = np.empty(of_rest.shape, np.float32)
            products = CodeProducts(of_leading, of_second, remainder)
            code_product = get_backend().code_product
            for b in blocks:
                block = self._bank.block(b)
                bank_codes, bank_scales = self._bank.codes(b, 2)
                code_product(rest_codes, bank_codes, of_rest)
                plus = self._bank.constant[b]
                scaled_products(remainder, of_rest, rest_scales, bank_scales, plus)
                code_product(second_codes, block.second_codes, of_second)
                for some, codes in strips:
                    code_product(codes, self._bank.codes(b, 0)[0], of_leading[: len(some)])
                    limit = len(some) * BLOCK // _PAIRS_PER_SURVIVOR
                    done = prune_and_measure(products, some, arrays, block, best, nearest, limit)
                    if done < len(some):
                        self._search_by_products(some[done:], arrays, b, best, nearest)
            results.append((best, nearest))

        run_on_threads(search, range(len(self._bank)))
        for best, nearest in results:
            closer = (best < squared) | ((best == squared) & (nearest < index))
            squared[closer], index[closer] = best[closer], nearest[closer]
            distance[closer] = np.sqrt(best[closer])

    def _search_by_products(
        self, rows: np.ndarray, queries: QueryArrays, b: int, best: np.ndarray, index: np.ndarray
    ) -> None:
        """Compare some rows with block `b` by inner products in full, where bounds prune little."""
        block, mean = self._bank.block(b), self.axes.mean
        centred = block.vectors[block.first : block.first + BLOCK] - mean
        products = get_backend().product(queries.patches[rows] - mean, centred.T)
        plus = self._bank.constant[b][: len(centred)]
        prune_by_products(products, plus, rows, queries, block, best, index)
