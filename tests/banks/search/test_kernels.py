"""The compiled loop that compares queries with one block of a bank.

All numbers are integers, which single precision holds exactly, so bounds are met exactly.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchcore_dual.banks.search import kernels

N, FIRST = 128, 1000  # vectors of a block, and the number of its first


TERMS = (
    "leading",
    "second",
    "remainder",
    "leading margin",
    "remainder margin",
    "correction",
    "corrected margin",
)


@pytest.mark.parametrize("term", TERMS)
def test_every_term_of_the_bound_counts_and_to_reach_it_is_enough(term):
    """One query, the bound of one of 64 vectors just what is needed for being measured, or less.

    All of the bound comes from one term; the first bound, by the tile's margins, is as large.
    """
    n, d = 64, 2

    def search(value):
        of = {name: np.float32(value if name == term else 0) for name in TERMS}
        products = kernels.CodeProducts(
            np.zeros((1, n), np.int32), np.zeros((1, n), np.int32), np.zeros((1, n), np.float32)
        )
        for array, name in zip(products, TERMS, strict=False):
            array[0, 5] = of[name]
        one, row = np.ones(1, np.float32), np.zeros(1, np.int64)
        of_tile = of["correction"] + of["corrected margin"]
        margins = [of["leading margin"], of_tile, of["remainder margin"]]
        queries = kernels.QueryArrays(
            patches=np.zeros((1, d), np.float32),
            tile=row,
            large_tile=row,
            leading_scales=one,
            second_scales=one,
            required=np.array([9], np.float32),  # less half of best: 4 is needed
            margins=np.array(margins, np.float32)[:, None],
            correction_codes=np.array([[of["correction"], 0]], np.int8),
            correction_scales=one,
            corrected_margins=np.array([of["corrected margin"]], np.float32),
        )
        codes = np.zeros((n, 2), np.int8)
        codes[5, 0] = 1
        ones = np.ones(n, np.float32)
        block = kernels.BankBlock(
            vectors=np.ones((n, d), np.float32),
            first=0,
            leading_scales=ones,
            second_scales=ones,
            norms=np.ones((3, n), np.float32),
            second_codes=codes,
        )
        best, index = np.array([10], np.float32), np.array([-1])
        assert kernels.prune_and_measure(products, row, queries, block, best, index, n) == 1
        assert best[0] == (2 if index[0] >= 0 else 10)
        return index[0]

    assert search(4) == (0 if "margin" in term else 5)  # margins are those of all 64
    assert search(3) == -1


@dataclass(frozen=True)
class Block:
    """Arguments of `prune_and_measure`, queries in tiles against one block; and the true result."""

    given: tuple
    squared: np.ndarray
    best: np.ndarray
    index: np.ndarray
    rows: np.ndarray

    @classmethod
    def random(cls, seed: int, count: int) -> "Block":
        rng = np.random.default_rng(seed)

        def whole(low, high, *shape, dtype=np.float32):
            return rng.integers(low, high + 1, shape).astype(dtype)

        tiles = 1 + count // 3
        tile = np.sort(rng.integers(0, tiles, count))
        q = count + 5  # some are not searched for
        rows = rng.permutation(q)[:count]
        tile_of = np.full(q, -1)
        tile_of[rows] = tile
        rest_of = rng.integers(0, 2, tiles)
        lead, middle = (
            whole(-4, 4, count, N, dtype=np.int32),
            whole(-4, 4, tiles, N, dtype=np.int32),
        )
        rest = whole(-9, 9, 2, N)
        queries, vectors = whole(0, 3, q, 4), whole(0, 3, FIRST + N, 4)
        scale, tile_scale, own_scale = whole(1, 3, q), whole(1, 3, tiles), whole(0, 2, q)
        of_lead, of_middle, norms = whole(1, 3, N), whole(1, 3, N), whole(0, 4, 3, N)
        weights, own_weight = whole(0, 4, 3, q), whole(0, 2, q)
        codes, own = whole(-3, 3, N, 2, dtype=np.int8), whole(-2, 2, q, 2, dtype=np.int8)
        best, index = whole(8, 12, q), np.full(q, -1)
        need = whole(25, 50, q)
        arrays = kernels.QueryArrays(
            patches=queries,
            tile=tile_of,
            large_tile=rest_of,
            leading_scales=scale,
            second_scales=tile_scale,
            required=need,
            margins=weights,
            correction_codes=own,
            correction_scales=own_scale,
            corrected_margins=own_weight,
        )
        block = kernels.BankBlock(
            vectors=vectors,
            first=FIRST,
            leading_scales=of_lead,
            second_scales=of_middle,
            norms=norms,
            second_codes=codes,
        )
        given = kernels.CodeProducts(lead, middle, rest), rows, arrays, block
        leading = lead * scale[rows][:, None] * of_lead
        of_tile = middle * tile_scale[:, None] * of_middle + rest[rest_of]
        widest = np.stack([weights[:, tile_of == t].max(axis=1, initial=0) for t in range(tiles)])
        first = leading + (of_tile + widest @ norms)[tile]
        differs = (own[rows].astype(int) @ codes.T) * own_scale[rows][:, None] * of_middle
        margins = np.stack([weights[0], own_weight, weights[2]], axis=1)[rows] @ norms
        second = leading + of_tile[tile] + differs + margins
        limit = (need - best / 2)[rows][:, None]
        squared = ((queries[rows][:, None] - vectors[FIRST:]) ** 2).sum(axis=-1)
        squared[(first < limit) | (second < limit)] = np.inf
        assert ((first >= limit) & (second < limit)).any()
        return cls(given, squared, best, index, rows)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), count=st.integers(20, 500))
def test_survivors_of_both_bounds_are_measured_and_nothing_else(seed, count):
    block = Block.random(seed, count)
    best, index = block.best.copy(), block.index.copy()
    assert kernels.prune_and_measure(*block.given, best, index, count * N) == count
    rows, nearest = block.rows, block.squared.argmin(axis=1)
    expected_best, expected = block.best.copy(), block.index.copy()
    closer = block.squared.min(axis=1) < block.best[rows]
    expected_best[rows[closer]] = block.squared.min(axis=1)[closer]
    expected[rows[closer]] = FIRST + nearest[closer]  # of equals the first
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(best, expected_best)


def test_with_too_many_survivors_the_remaining_rows_are_not_updated():
    block = Block.random(0, 500)
    whole, index = block.best.copy(), block.index.copy()
    kernels.prune_and_measure(*block.given, whole, index, 500 * N)
    parts = set()
    for allowed in range(0, 500 * N, 100):
        best, index = block.best.copy(), block.index.copy()
        done = kernels.prune_and_measure(*block.given, best, index, allowed)
        done_rows, left = block.rows[:done], block.rows[done:]
        np.testing.assert_array_equal(best[done_rows], whole[done_rows])
        np.testing.assert_array_equal(best[left], block.best[left])
        assert (index[left] == -1).all()
        parts.add(done)
    assert {0, 500} < parts
