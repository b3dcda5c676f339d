"""Exhaustive search against the double loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from patchcore_dual.banks.search import exhaustive as neighbours
from patchcore_dual.banks.search.exhaustive import ExhaustiveSearch, k_nearest, largest
from reference import neighbours as slow


def normal(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def check(queries, vectors, rtol=1e-5):
    distance, index = ExhaustiveSearch(vectors).nearest(queries)
    expected, where = slow.nearest(queries, vectors)
    np.testing.assert_allclose(distance, expected, rtol=rtol, atol=1e-12)
    assert index.tolist() == list(where)


def test_finds_what_the_double_loop_finds():
    check(normal(60, 20, 0), normal(80, 20, 1))


@pytest.mark.parametrize("block", [1, 4 * 80 * 7])  # one row at a time; seven
def test_in_blocks(monkeypatch, block):
    monkeypatch.setattr(neighbours, "_BLOCK_BYTES", block)
    check(normal(60, 20, 0), normal(80, 20, 1))


@settings(max_examples=60)
@given(data=st.data(), d=st.integers(1, 4))
def test_the_distance_is_the_smallest_even_where_several_are(data, d):
    whole = st.integers(-3, 3)
    shape = st.tuples(st.integers(1, 12), st.just(d))
    vectors = data.draw(hnp.arrays(np.float32, shape, elements=whole))
    queries = data.draw(hnp.arrays(np.float32, shape, elements=whole))
    distance, index = ExhaustiveSearch(vectors).nearest(queries)
    np.testing.assert_allclose(distance, slow.nearest(queries, vectors)[0], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(queries - vectors[index], axis=1), distance)


def test_small_distances_survive_a_large_common_part():
    """‖a‖² + ‖b‖² − 2ab would have errors of about 1 here, the distances are about 0.1."""
    offset = np.float32(1000)
    vectors = normal(60, 16, 0) * np.float32(0.05) + offset
    queries = normal(40, 16, 1) * np.float32(0.05) + offset
    check(queries, vectors, rtol=1e-4)


def test_a_vector_of_the_bank_is_at_no_distance():
    vectors = normal(300, 32, 0) * 30
    distance, index = ExhaustiveSearch(vectors).nearest(vectors[::7])
    assert index.tolist() == list(range(0, 300, 7))
    assert np.all(distance == 0)
    near = vectors[::7] + np.float32(1e-3)
    distance, index = ExhaustiveSearch(vectors).nearest(near)
    assert index.tolist() == list(range(0, 300, 7))
    np.testing.assert_allclose(distance, 1e-3 * np.sqrt(32), rtol=2e-2)


def test_one_vector():
    distance, index = ExhaustiveSearch(np.ones((1, 3), np.float32)).nearest(
        np.zeros((2, 3), np.float32)
    )
    np.testing.assert_allclose(distance, np.sqrt(3))
    assert index.tolist() == [0, 0]


def test_k_nearest_in_order():
    vectors, query = normal(50, 6, 0), normal(1, 6, 1)[0]
    assert k_nearest(query, vectors, 7).tolist() == slow.k_nearest(query, vectors, 7)
    assert len(k_nearest(query, vectors[:3], 7)) == 3


def test_k_nearest_takes_equals_by_index():
    vectors = np.array([[5], [1], [-1], [1], [0]], np.float32)
    assert k_nearest(np.zeros(1, np.float32), vectors, 4).tolist() == [4, 1, 2, 3]


@settings(max_examples=60)
@given(n=st.integers(1, 400), count=st.integers(1, 400), levels=st.integers(1, 50))
def test_the_largest_are_found(n, count, levels):
    values = np.random.default_rng(n).integers(0, levels, n).astype(np.float32)
    found = largest(values, min(n, count))
    assert len(set(found.tolist())) == min(n, count)
    assert sorted(values[found]) == sorted(values)[max(0, n - count) :]
