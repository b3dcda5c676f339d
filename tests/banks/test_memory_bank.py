import gc
import weakref

import numpy as np
import pytest

from patchcore_dual.banks import MemoryBank
from patchcore_dual.banks.search.principal_axes import PrincipalAxes
from patchcore_dual.banks.search.queries import Queries
from reference import neighbours as slow


def bank(names=("a", "b", "c"), per_image=4, seed=0):
    n = len(names) * per_image
    return MemoryBank(
        np.random.default_rng(seed).standard_normal((n, 5)).astype(np.float32),
        np.repeat(np.arange(len(names), dtype=np.int32), per_image),
        np.stack([np.arange(n), np.arange(n) * 2], axis=1).astype(np.int32),
        tuple(names),
    )


def rows(some):
    """Each vector of a bank with its source, however the bank stores them."""
    return [(*some.source(i), *some.vectors[i].tolist()) for i in range(len(some))]


def test_each_vector_knows_where_it_came_from():
    some = bank()
    assert len(some) == 12
    assert some.source(0) == ("a", 0, 0)
    assert some.source(7) == ("b", 7, 14)
    assert all(isinstance(v, int) for v in some.source(7)[1:])


def test_nearest_is_the_double_loop():
    some, queries = bank(), np.random.default_rng(9).standard_normal((6, 5)).astype(np.float32)
    distance, index = some.nearest(queries)
    expected, where = slow.nearest(queries, some.vectors)
    np.testing.assert_allclose(distance, expected, rtol=1e-5)
    assert index.tolist() == list(where)


@pytest.mark.parametrize("keep", [np.array([9, 2, 10]), np.arange(12) % 5 == 0])
def test_select_keeps_vectors_with_their_sources(keep):
    some = bank()
    expected = [rows(some)[i] for i in np.arange(12)[keep]]
    selected = some.select(keep)
    assert rows(selected) == expected
    assert set(selected.sources) == {name for name, *_ in expected}
    assert selected.image.dtype == np.int32


def test_without_removes_images():
    some = bank()
    left = some.without(["b"])
    assert rows(left) == [row for row in rows(some) if row[0] != "b"]
    assert left.sources == ("a", "c")
    assert rows(some.without(["nobody"])) == rows(some)
    assert len(some.without(["a", "b", "c"])) == 0


def test_join_makes_one_bank():
    first, second = bank(("a", "b")), bank(("c", "b"), per_image=2, seed=3)
    joined = MemoryBank.join([first, second])
    assert rows(joined) == rows(first) + rows(second)
    assert joined.sources == ("a", "b", "c")
    assert rows(joined.without(["c"])) == rows(first) + [r for r in rows(second) if r[0] == "b"]


def test_neighbourhood_starts_with_the_vector_itself():
    some = bank()
    for index in range(12):
        expected = slow.k_nearest(some.vectors[index], some.vectors, 3)
        assert some.neighbourhood(index, 3).tolist() == expected
    assert len(bank(("a",), 2).neighbourhood(1, 3)) == 2


def test_neighbourhood_among_copies():
    copies = MemoryBank(
        np.zeros((6, 2), np.float32),
        np.zeros(6, np.int32),
        np.zeros((6, 2), np.int32),
        ("a",),
    )
    neighbourhood = copies.neighbourhood(5, 3).tolist()
    assert neighbourhood[0] == 5
    assert len(set(neighbourhood)) == 3


def test_nearest_by_source_is_the_nearest_of_each_image():
    some = bank().select(np.random.default_rng(0).permutation(12))  # vectors in no order
    features = np.random.default_rng(9).standard_normal((2, 3, 5)).astype(np.float32)
    distances = some.nearest_by_source(features)
    assert distances.shape == (2, 3, 3)
    for i, name in enumerate(some.sources):
        expected, _ = slow.nearest(features.reshape(6, 5), some.of(name))
        np.testing.assert_allclose(distances[..., i].ravel(), expected, rtol=1e-4)


def test_vectors_of_one_image():
    some = bank()
    np.testing.assert_array_equal(some.of("b"), some.vectors[4:8])


def test_one_search_is_kept_and_the_result_does_not_depend_on_the_axes():
    rng = np.random.default_rng(3)
    vectors, features = (rng.standard_normal((n, 30)).astype(np.float32) for n in (1200, 50))
    n = len(vectors)
    some = MemoryBank(vectors, np.zeros(n, np.int32), np.zeros((n, 2), np.int32), ("a",))
    first, second = (PrincipalAxes.of(v) for v in (vectors, vectors[:400]))
    kept = weakref.ref(some.search_on(first))
    assert some.search_on(first) is kept()
    expected = slow.nearest(features, vectors)[0]
    for axes in (first, second):
        found = some.nearest(Queries.of(features, axes))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    gc.collect()
    assert kept() is None


def test_rows_of_some_channels_lie_together():
    """Otherwise every distance would read values scattered all over memory."""
    assert bank().restricted(np.array([0, 2, 4])).vectors.flags.c_contiguous
