"""The fast greedy coreset against the plain loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from patchcore_dual.banks import FLOOR, coreset_size, select_coreset
from patchcore_dual.banks.coreset import greedy as coreset
from reference.coreset import covering_radius, greedy_coreset, shortfalls


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def chosen_from(vectors, size, seed, progress=lambda chosen: None):
    """The greedy choice, in its order."""
    return select_coreset(vectors, size, seed, progress).chosen


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_chooses_as_the_plain_loop(seed):
    vectors = normal(600, 24)
    assert chosen_from(vectors, 120, seed).tolist() == greedy_coreset(vectors, 120, seed).tolist()


def test_chooses_as_the_plain_loop_among_more_vectors_than_candidates():
    vectors = normal(3 * coreset._CANDIDATES, 6)
    chosen = chosen_from(vectors, 900, 3)
    assert chosen.tolist() == greedy_coreset(vectors, 900, 3).tolist()


@pytest.mark.parametrize("candidates", [1, 2, 5, 40])
def test_few_candidates_are_brought_up_to_date_in_time(monkeypatch, candidates):
    monkeypatch.setattr(coreset, "_CANDIDATES", candidates)
    monkeypatch.setattr(coreset, "BLOCK_ROWS", 37)  # the last block is not full
    vectors = normal(300, 5, seed=2)
    assert chosen_from(vectors, 150, 0).tolist() == greedy_coreset(vectors, 150, 0).tolist()


@settings(max_examples=150)
@given(
    vectors=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 30), st.integers(1, 4)),
        elements=st.integers(-4, 4),  # many copies and many ties
    ),
    size=st.integers(1, 30),
    seed=st.integers(0, 5),
    candidates=st.sampled_from([1, 3, 4096]),
)
def test_every_choice_is_a_farthest_vector(vectors, size, seed, candidates):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coreset, "_CANDIDATES", candidates)
        chosen = chosen_from(vectors, size, seed)
    if size >= len(vectors):
        assert chosen.tolist() == list(range(len(vectors)))
        return
    assert len(chosen) == len(greedy_coreset(vectors, size, seed))
    assert chosen[0] == greedy_coreset(vectors, 1, seed)[0]
    assert len(set(map(tuple, vectors[chosen]))) == len(chosen)
    assert shortfalls(vectors, chosen).max(initial=0) <= 1e-5


@pytest.mark.parametrize("offset", [30.0, 1000.0, 1e5])
@pytest.mark.parametrize("n", [500, 6000])
def test_a_common_offset_does_not_blur_the_choice(offset, n):
    vectors = normal(n, 8) + np.float32(offset)
    chosen = chosen_from(vectors, 200, 0)
    assert len(set(chosen.tolist())) == 200
    assert shortfalls(vectors, chosen).max() <= 1e-4


def test_huge_values():
    vectors = normal(500, 8) * np.float32(1e12)
    assert chosen_from(vectors, 100, 0).tolist() == greedy_coreset(vectors, 100, 0).tolist()


@pytest.mark.parametrize("offset", [0.0, 1000.1])
@pytest.mark.parametrize("n", [40, 5000])
def test_stops_where_only_copies_are_left(offset, n):
    all_the_same = np.full((n, 16), 0.3 + offset, dtype=np.float32)
    assert len(chosen_from(all_the_same, 20, 0)) == 1
    few = normal(7, 16) + np.float32(offset)
    copies = few[np.random.default_rng(0).integers(0, 7, n)]
    copies[:7] = few
    chosen = chosen_from(copies, 20, 0)
    assert len(chosen) == 7
    assert len(np.unique(copies[chosen], axis=0)) == 7


def test_two_far_clusters_are_both_resolved():
    """The distances inside a cluster are far below what a matrix product can resolve."""
    vectors = normal(200, 4) * np.float32(0.01)
    vectors[100:] += np.float32(1000)
    chosen = chosen_from(vectors, 60, 0)
    assert len(set(chosen.tolist())) == 60
    assert min(np.sum(chosen < 100), np.sum(chosen >= 100)) >= 20


def test_one_vector_and_all_vectors():
    assert chosen_from(normal(1, 4), 1, 0).tolist() == [0]
    assert chosen_from(normal(5, 4), 9, 0).tolist() == [0, 1, 2, 3, 4]
    assert len(chosen_from(normal(5, 4), 1, 0)) == 1


def test_the_seed_picks_the_first_vector():
    vectors = normal(100, 4)
    firsts = {int(chosen_from(vectors, 2, seed)[0]) for seed in range(20)}
    assert len(firsts) > 5
    assert np.array_equal(chosen_from(vectors, 30, 4), chosen_from(vectors, 30, 4))


@pytest.mark.parametrize("size", [1, 20, 300, 900])
def test_the_radius_is_the_covering_radius(size):
    vectors = normal(900, 12)
    coreset = select_coreset(vectors, size, 2)
    assert coreset.radius == pytest.approx(covering_radius(vectors, coreset.chosen), rel=1e-5)
    assert coreset.rows.tolist() == sorted(coreset.chosen)


def test_some_rows_are_chosen_from_as_if_there_were_no_others():
    vectors = normal(900, 12)
    rows = np.random.default_rng(0).permutation(900)[:400]
    among, alone = select_coreset(vectors, 50, 2, rows=rows), select_coreset(vectors[rows], 50, 2)
    np.testing.assert_array_equal(among.chosen, rows[alone.chosen])
    assert among.radius == alone.radius


def test_progress_ends_at_the_number_chosen():
    counts = []
    chosen_from(normal(5000, 4), 64, 0, counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 64


@given(n=st.integers(1, 10**6), rate=st.floats(1e-4, 1.0))
def test_size_is_the_rate_above_the_floor(n, rate):
    size = coreset_size(n, rate)
    if n <= FLOOR:
        assert size == n
    else:
        assert size == max(math.ceil(rate * n), FLOOR)


def test_sizes_by_example():
    assert FLOOR == 500
    assert coreset_size(100_000, 0.01) == 1000
    assert coreset_size(100_001, 0.01) == 1001
    assert coreset_size(2_000, 0.1) == 500
    assert coreset_size(30, 0.1) == 30
    assert coreset_size(2_000, 0.1, floor=3) == 200
