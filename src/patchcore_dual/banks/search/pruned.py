"""Exact nearest neighbours of an image's patches without comparing every pair in full.

‖q − m‖² = ‖q‖² + ‖m‖² − 2⟨q, m⟩, so a vector m can be nearer to q than one at distance b only if

    ⟨q, m⟩ − ‖m‖²/2 > (‖q‖² − b²)/2.

The left side is bounded from above, block of principal axes by block (`axes.py`). In each block a
stand-in a takes the place of q (`queries.py`) and an 8-bit code c that of m:

    ⟨q, m⟩ = ⟨a, c⟩ + ⟨q − a, m⟩ + ⟨a, m − c⟩ ≤ ⟨a, c⟩ + (‖q − a‖ + ε‖a‖)·‖m‖,

ε being the largest ‖m − c‖/‖m‖ of the bank. In the second block a is a tile's mean. Pairs that are
left have it replaced there by a + ê, ê coding the patch's own q − a: the same bound with a stand-in
nearer to q, at the price of ⟨ê, c⟩. What even that does not rule out is measured in full, so that
what is found is what exhaustive search finds. The first b of a patch comes from the vectors that,
of those looked at, look nearest to its tile or to one beside it.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from patchcore_dual.banks.backend.codes import bank_levels, encode
from patchcore_dual.banks.backend.compute import get_backend
from patchcore_dual.banks.backend.threads import run_on_row_blocks, run_on_threads
from patchcore_dual.banks.search.exhaustive import largest
from patchcore_dual.banks.search.kernels import (
    add_block,
    keep_largest,
    measure,
    scaled_products,
    sift,
    sift_products,
    try_candidates,
)
from patchcore_dual.banks.search.principal_axes import PrincipalAxes
from patchcore_dual.banks.search.queries import Queries, StandIns, norms

_BLOCK = 512  # vectors of the bank at a time, whose codes and products fit a core's cache
_STRIP = 512  # patches at a time
_SLACK = 1e-5  # of squared norms: far more than single precision loses
_FARTHEST = np.finfo(np.float32).max  # the compiled loops take no infinity
_NONE = -_FARTHEST  # the bound of no vector at all
_GLANCE = 3  # before an exact search, a guess looks at one block of vectors in so many
_ALLOWED = 8  # one pair in so many may pass the first bound; else products are cheaper

Neighbours = tuple[np.ndarray, np.ndarray]
"""Distance float32 and index int64 of a vector for each query."""


class PrunedSearch:
    """Search in one set of vectors, on given principal axes."""

    def __init__(self, vectors: np.ndarray, axes: PrincipalAxes) -> None:
        """`vectors`: float32 `[n, d]`; `axes`: of these vectors, or of others like them."""
        self._vectors, self.axes = vectors, axes
        n = len(vectors)
        padded = -(-n // _BLOCK) * _BLOCK
        constant = np.full(padded, _NONE, np.float32)
        blocks = [_Coded(padded), _Coded(padded), _Coded(padded)]
        for start in range(0, n, 16 * _BLOCK):
            rows = slice(start, min(n, start + 16 * _BLOCK))
            centred = vectors[rows] - axes.mean
            squared = np.einsum("nd,nd->n", centred, centred)
            constant[rows] = squared * (_SLACK - 0.5)
            along = get_backend().product(centred, axes.axes)
            for block, x in zip(
                blocks, (*axes.split(along), axes.rest(centred, along)), strict=True
            ):
                block.add(rows, x)
        self._constant = constant.reshape(-1, _BLOCK)
        self._blocks = blocks
        self._codes = [block.codes.reshape(padded // _BLOCK, _BLOCK, -1) for block in blocks]
        self._scales = [block.scales.reshape(-1, _BLOCK) for block in blocks]
        stacked = np.stack([block.norms.reshape(-1, _BLOCK) for block in blocks], axis=1)
        self._norms = np.ascontiguousarray(stacked)

    def nearest(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """Distance float32 and index int64 of each query's nearest vector, of the queries' shape.

        The queries have to be on the same axes.
        """
        return self.refine(queries, self.guess(queries, _GLANCE))

    def guess(self, queries: Queries, every: int = 1) -> Neighbours:
        """For each query a vector near it: the nearest of a few that look nearest to its tile.

        `every`: look at one block of vectors in so many.
        """
        n = len(queries)
        best, index = np.full(n, _FARTHEST, np.float32), np.full(n, -1, np.int64)
        candidates = self._nearest_to_tiles(queries, every)[queries.beside]
        candidates[queries.beside < 0] = -1
        candidates = candidates[queries.tiles.of]
        run_on_row_blocks(
            lambda rows: try_candidates(
                candidates, queries.patches, self._vectors, rows, best, index
            ),
            n,
        )
        return queries.in_place(np.sqrt(best)), queries.in_place(index)

    def refine(
        self, queries: Queries, guess: Neighbours, where: np.ndarray | None = None
    ) -> Neighbours:
        """The nearest vectors in place of a guess.

        Args:
            guess: distances and indices of the queries' shape, each that of some vector.
            where: bool, of the queries' shape: only there; None for everywhere.
        """
        distance, index = (one.reshape(-1)[queries.order] for one in guess)
        n = len(queries)
        rows = np.arange(n) if where is None else np.flatnonzero(where.reshape(-1)[queries.order])
        if len(rows):
            self._sift(queries, rows, distance, index)
        return queries.in_place(distance), queries.in_place(index)

    def closest(self, patches: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The vectors that may be nearest to each of a few patches.

        Args:
            patches: float32 `[q, d]`.
            count: how many for each, at most n.

        Returns:
            indices int64 and distances float32, `[q, count]`, in no order; and float32 `[q]`, a
            distance below which there is no other vector.
        """
        axes, n = self.axes, len(self._vectors)
        centred = patches - axes.mean
        squared = np.einsum("qd,qd->q", centred, centred)
        along = get_backend().product(centred, axes.axes)
        leading, second, rest = self._blocks
        each, none = np.arange(len(patches)), np.zeros(len(patches), np.float32)
        bound = np.outer(norms(axes.rest(centred, along)), rest.norms)
        bound += self._constant.reshape(-1)
        products = np.empty(bound.shape, np.int32)
        for block, x in zip((leading, second), axes.split(along), strict=True):
            own = StandIns.of(x, each, none)
            get_backend().code_product(own.codes, block.codes, products)
            margin = own.residual + np.float32(block.coding) * own.norms
            of_block = products, own.scales, block.scales, margin, block.norms
            run_on_row_blocks(partial(add_block, bound, *of_block), len(patches))
        bound = bound[:, :n]
        index = np.empty((len(patches), count), np.int64)
        distance = np.empty(index.shape, np.float32)

        def take(rows: tuple[int, int]) -> None:
            for i in range(*rows):
                index[i] = largest(bound[i], count)
            measure(index, patches, self._vectors, rows, distance)

        run_on_row_blocks(take, len(patches))
        smallest = np.take_along_axis(bound, index, axis=1).min(axis=1)
        below = squared * np.float32(1 - 2 * _SLACK) - 2 * smallest
        return index, distance, np.sqrt(np.maximum(below, 0))

    def _nearest_to_tiles(self, queries: Queries, every: int) -> np.ndarray:
        """int64 `[t]`: the vector that looks nearest to each tile in the leading block of axes, of
        one block of vectors in so many."""
        codes, scales = queries.guide
        found = []

        def look(blocks: Iterator[int]) -> None:
            largest = np.full(len(codes), -_FARTHEST, np.float32)
            where = np.zeros(len(codes), np.int64)
            products = np.empty((len(codes), _BLOCK), np.int32)
            for b in blocks:
                get_backend().code_product(codes, self._codes[0][b], products)
                keep_largest(
                    products,
                    scales,
                    self._scales[0][b],
                    self._constant[b],
                    b * _BLOCK,
                    largest,
                    where,
                )
            found.append((largest, where))

        run_on_threads(look, range(0, len(self._norms), every))
        largest, where = (np.stack(one) for one in zip(*found, strict=True))
        # Of equal estimates the first vector's, whichever thread found it.
        where[largest < largest.max(axis=0)] = self._constant.size
        return np.asarray(where.min(axis=0))

    def _sift(
        self, queries: Queries, rows: np.ndarray, distance: np.ndarray, index: np.ndarray
    ) -> None:
        """Bring some rows of `distance` and `index` up to date with the whole bank."""
        leading, second, rest = queries.blocks
        need = queries.squared * np.float32(0.5 - _SLACK)
        weights = np.stack(
            [
                stand_in.residual + np.float32(block.coding) * stand_in.norms
                for block, stand_in in zip(self._blocks, queries.blocks, strict=True)
            ]
        )
        own = queries.own_second
        own_weight = own.residual + np.float32(self._blocks[1].coding) * own.norms
        tiles, tile_of = np.unique(queries.tiles.of[rows], return_inverse=True)
        tile_of_row = np.zeros(len(queries), np.int64)
        tile_of_row[rows] = tile_of
        large, rest_of = np.unique(
            queries.large.of[queries.tiles.starts[tiles]], return_inverse=True
        )
        leading_codes = leading.codes[rows]
        second_codes, second_scales = second.codes[tiles], second.scales[tiles]
        rest_codes, rest_scales = rest.codes[large], rest.scales[large]
        strips = [
            (rows[start : start + _STRIP], leading_codes[start : start + _STRIP])
            for start in range(0, len(rows), _STRIP)
        ]
        # A little more than the guess, so that it is found again: of equals the first counts.
        squared = distance**2 * np.float32(1 + 1e-6)
        found = []

        def work(blocks: Iterator[int]) -> None:
            best, nearest = squared.copy(), index.copy()
            of_leading, of_second, of_rest = (
                np.empty((len(codes), _BLOCK), np.int32)
                for codes in (leading_codes[:_STRIP], second_codes, rest_codes)
            )
            left = np.empty(of_rest.shape, np.float32)
            arrays = of_leading, of_second, left
            last = of_leading[: len(strips[-1][0])]
            for b in blocks:
                of_bank = [one[b] for one in self._scales]
                get_backend().code_product(rest_codes, self._codes[2][b], of_rest)
                scaled_products(left, of_rest, rest_scales, of_bank[2], self._constant[b])
                get_backend().code_product(second_codes, self._codes[1][b], of_second)
                for chosen, codes in strips:
                    full = len(chosen) == _STRIP
                    get_backend().code_product(
                        codes, self._codes[0][b], of_leading if full else last
                    )
                    done = sift(
                        *arrays,
                        chosen,
                        queries.patches,
                        tile_of_row,
                        rest_of,
                        leading.scales,
                        second_scales,
                        need,
                        weights,
                        own.codes,
                        own.scales,
                        own_weight,
                        self._vectors,
                        b * _BLOCK,
                        of_bank[0],
                        of_bank[1],
                        self._norms[b],
                        self._codes[1][b],
                        best,
                        nearest,
                        len(chosen) * _BLOCK // _ALLOWED,
                    )
                    if done < len(chosen):
                        self._by_products(queries, chosen[done:], b, need, best, nearest)
            found.append((best, nearest))

        run_on_threads(work, range(len(self._norms)))
        for best, nearest in found:
            closer = (best < squared) | ((best == squared) & (nearest < index))
            squared[closer], index[closer] = best[closer], nearest[closer]
            distance[closer] = np.sqrt(best[closer])

    def _by_products(
        self,
        queries: Queries,
        rows: np.ndarray,
        b: int,
        need: np.ndarray,
        best: np.ndarray,
        index: np.ndarray,
    ) -> None:
        """Where the bound rules out too little: inner products of queries and block in full."""
        first = b * _BLOCK
        centred = self._vectors[first : first + _BLOCK] - self.axes.mean
        patches = queries.patches[rows] - self.axes.mean
        products = get_backend().product(patches, centred.T)
        plus = self._constant[b][: len(centred)]
        sift_products(
            products, plus, rows, queries.patches, need, self._vectors, first, best, index
        )


class _Coded:
    """One block of axes of all vectors: codes int8 `[n, d]`, scales and norms float32 `[n]`.

    `coding` is the largest share of a vector's norm that its code leaves out.
    """

    def __init__(self, count: int) -> None:
        self.codes = np.zeros((count, 0), np.int8)
        self.scales = np.zeros(count, np.float32)
        self.norms = np.zeros(count, np.float32)
        self.coding = 0.0

    def add(self, rows: slice, x: np.ndarray) -> None:
        if not self.codes.shape[1]:
            self.codes = np.zeros((len(self.codes), x.shape[1]), np.int8)
        codes, scales = encode(x, bank_levels())
        self.codes[rows], self.scales[rows], self.norms[rows] = codes, scales, norms(x)
        left_out = norms(x - codes * scales[:, None])
        share = np.divide(left_out, self.norms[rows], out=left_out, where=self.norms[rows] > 0)
        self.coding = max(self.coding, float(share.max(initial=0)))
