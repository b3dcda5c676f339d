"""The pruned search finds what comparing every pair finds, whatever the data."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchcore_dual.banks import MemoryBank
from patchcore_dual.banks.search import principal_axes as axes
from patchcore_dual.banks.search import pruned, quantised_bank
from patchcore_dual.banks.search.exhaustive import ExhaustiveSearch
from patchcore_dual.banks.search.principal_axes import KEPT, LEADING, PrincipalAxes
from patchcore_dual.banks.search.pruned import PrunedSearch
from patchcore_dual.banks.search.queries import Queries


def smooth(h, w, d, seed, decay=0.98):
    """Features whose neighbours are alike, with few strong directions, as a network's are."""
    rng = np.random.default_rng(seed)
    field = rng.standard_normal((h // 4 + 2, w // 4 + 2, d)).repeat(4, 0).repeat(4, 1)[:h, :w]
    field = field + 0.3 * rng.standard_normal((h, w, d))
    return (field * decay ** np.arange(d) + 5).astype(np.float32)


def distances(features, vectors):
    """float64, by direct difference; `[h, w]`."""
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    found = [np.linalg.norm(vectors - query, axis=1).min() for query in flat]
    return np.array(found).reshape(features.shape[:-1])


def check(features, vectors, on=None):
    on = on or PrincipalAxes.of(vectors)
    distance, index = PrunedSearch(vectors, on).nearest(Queries.of(features, on))
    assert distance.shape == index.shape == features.shape[:-1]
    expected = distances(features, vectors)
    np.testing.assert_allclose(distance, expected, rtol=1e-5)
    measured = np.linalg.norm(features.astype(np.float64) - vectors[index], axis=-1)
    np.testing.assert_allclose(distance, measured, rtol=1e-5, atol=1e-30)


# With an empty second block, an empty rest, all three blocks, and as many axes as there may be.
@pytest.mark.parametrize(("d", "decay"), [(3, 1), (40, 1), (200, 1), (300, 0.98), (600, 1)])
@pytest.mark.parametrize("shape", [(9, 21), (1, 1), (17, 1), (40,)])
def test_finds_what_comparing_every_pair_finds(d, decay, shape):
    vectors = smooth(20, 60, d, 0, decay).reshape(-1, d)
    features = smooth(max(shape), max(shape), d, 1, decay)[: shape[0]]
    features = features[:, : shape[1]] if len(shape) == 2 else features[:, 0]
    check(np.ascontiguousarray(features), vectors)


def test_axes_hold_the_variance_they_promise():
    vectors = smooth(50, 50, 300, 0, decay=0.99).reshape(-1, 300)
    on = PrincipalAxes.of(vectors)
    along = (vectors - on.mean) @ on.axes
    whole = ((vectors - on.mean) ** 2).sum()
    assert (along[:, : on.leading] ** 2).sum() >= LEADING * whole
    assert (along**2).sum() >= KEPT * whole
    assert on.leading < on.axes.shape[1] < 300
    np.testing.assert_allclose(on.axes.T @ on.axes, np.eye(on.axes.shape[1]), atol=1e-5)


def test_more_than_one_block_and_strip():
    check(smooth(40, 40, 50, 1), smooth(50, 50, 50, 2).reshape(-1, 50))


def test_queries_of_the_bank_itself_are_at_no_distance():
    features = smooth(24, 30, 140, 0)
    vectors = features.reshape(-1, 140)
    on = PrincipalAxes.of(vectors)
    distance, index = PrunedSearch(vectors, on).nearest(Queries.of(features, on))
    assert (distance == 0).all()
    assert index.ravel().tolist() == list(range(len(vectors)))


@contextmanager
def in_blocks(three):
    """Axes as they are: all of random data's few are leading; or all three blocks filled."""
    with pytest.MonkeyPatch.context() as patch:
        if three:
            for name, value in (("_STEP", 2), ("MOST_LEADING", 2), ("MOST_KEPT", 4)):
                patch.setattr(axes, name, value)
        yield


@pytest.mark.parametrize("three_blocks", [False, True])
@settings(max_examples=40)
@given(
    n=st.integers(1, 700),
    shape=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    d=st.integers(1, 12),
    whole=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_random_data_with_ties_and_copies(three_blocks, n, shape, d, whole, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, d)).astype(np.float32) * 3
    features = rng.standard_normal((*shape, d)).astype(np.float32) * 3
    if whole:  # many ties, copies, and queries that are vectors
        vectors, features = np.rint(vectors), np.rint(features)
    with in_blocks(three_blocks):
        check(features, vectors)
        on = PrincipalAxes.of(vectors)
    if whole:  # small integers' distances are exact: of equals the first is found
        index = PrunedSearch(vectors, on).nearest(Queries.of(features, on))[1]
        squared = ((features[..., None, :] - vectors) ** 2).sum(axis=-1)
        assert (index == squared.argmin(axis=-1)).all()


@pytest.mark.parametrize("three_blocks", [False, True])
@settings(max_examples=40)
@given(
    scale=st.sampled_from([1e-18, 1e-6, 1.0, 1e6, 1e12]),
    outlier=st.sampled_from([0.0, 1e3, 1e6]),
    offset=st.sampled_from([0.0, 1e3]),
    seed=st.integers(0, 2**16),
)
def test_huge_and_tiny_norms(three_blocks, scale, outlier, offset, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((600, 8))
    features = rng.standard_normal((6, 7, 8))
    vectors[0] *= 1 + outlier
    vectors, features = (((x + offset) * scale).astype(np.float32) for x in (vectors, features))
    with in_blocks(three_blocks):
        check(features, vectors)


@pytest.mark.parametrize("levels", [63, 127])
@pytest.mark.parametrize("d", [6, 300])
def test_no_bound_is_below_what_it_bounds(monkeypatch, levels, d):
    """Of every pair and block, from what goes into the compiled loop, in plain NumPy.

    In blocks of two dimensions errors point the same way often enough to need all of the margin.
    """
    monkeypatch.setattr(quantised_bank, "bank_levels", lambda: levels)
    features, vectors = smooth(9, 13, d, 1), smooth(20, 30, d, 2).reshape(-1, d)
    with in_blocks(d == 6):
        on = PrincipalAxes.of(vectors)
    search, queries = PrunedSearch(vectors, on), Queries.of(features, on)
    assert 0 < on.leading < on.axes.shape[1] < d
    compared = []

    def blocks(x):
        centred = x.astype(np.float64) - on.mean
        along = centred @ on.axes
        return along[:, : on.leading], along[:, on.leading :], centred - along @ on.axes.T

    def check_bounds(products, rows, arrays, block, *_):
        i, first = rows, block.first
        tile, n = arrays.tile[i], min(products.leading.shape[1], len(vectors) - first)
        q, m = blocks(arrays.patches[i]), blocks(vectors[first : first + n])
        true = [a @ b.T for a, b in zip(q, m, strict=True)]
        leading = products.leading[: len(i)] * arrays.leading_scales[i][:, None]
        leading = leading * block.leading_scales
        second = (products.second * arrays.second_scales[:, None] * block.second_scales)[tile]
        correction = arrays.correction_codes[i].astype(np.float32) @ block.second_codes.T
        correction = correction * arrays.correction_scales[i][:, None] * block.second_scales
        constant = search._bank.constant[first // products.leading.shape[1]]
        rest = (products.remainder - constant)[arrays.large_tile[tile]]
        margins = arrays.margins[:, i, None] * block.norms[:, None]
        corrected = arrays.corrected_margins[i][:, None] * block.norms[1]
        bounds = [leading + margins[0], second + margins[1], rest + margins[2]]
        bounds.append(second + correction + corrected)
        for bound, product in zip(bounds, [*true, true[1]], strict=True):
            assert (bound[:, :n] >= product - 1e-5 * np.abs(vectors).max() ** 2).all()
        assert (correction + corrected)[:, :n].mean() < margins[1][:, :n].mean()
        compared.append(n * len(i))
        return len(i)

    monkeypatch.setattr(pruned, "prune_and_measure", check_bounds)
    search.nearest(queries)
    assert sum(compared) == len(vectors) * 9 * 13


def test_queries_far_from_everything_and_noise():
    vectors = smooth(20, 60, 150, 0).reshape(-1, 150)
    check(smooth(9, 12, 150, 3) + np.float32(1000), vectors)
    noise = np.random.default_rng(0).standard_normal((9, 12, 150)).astype(np.float32)
    check(noise * 30, vectors)


def test_one_vector_and_equal_vectors():
    features = smooth(5, 6, 20, 0)
    check(features, features[0, :1])
    equal = np.repeat(features[0, :1], 700, axis=0)
    check(features, equal)
    on = PrincipalAxes.of(equal)
    assert (PrunedSearch(equal, on).nearest(Queries.of(features, on))[1] == 0).all()
    check(np.zeros((5, 6, 20), np.float32), np.zeros((600, 20), np.float32))


def test_on_axes_of_other_vectors():
    """As the defect bank is searched on the axes of the normal one."""
    on = PrincipalAxes.of(smooth(20, 60, 200, 0).reshape(-1, 200))
    defects = smooth(20, 30, 200, 5).reshape(-1, 200) * 2
    check(smooth(9, 21, 200, 1), defects, on)


def searched_by_products(monkeypatch):
    """A list that grows with each search of a block by products in full."""
    calls, original = [], PrunedSearch._search_by_products

    def search(*arguments):
        calls.append(arguments)
        original(*arguments)

    monkeypatch.setattr(PrunedSearch, "_search_by_products", search)
    return calls


def test_where_the_bound_rules_out_little_products_take_over(monkeypatch):
    rng = np.random.default_rng(0)  # of noise guesses are poor, and many pairs pass
    features, vectors = (rng.standard_normal((*of, 30), np.float32) for of in ((20, 20), (1600,)))
    monkeypatch.setattr(pruned, "_PAIRS_PER_SURVIVOR", 10**9)  # nothing may pass the first bound
    called = searched_by_products(monkeypatch)
    check(features, vectors)
    assert called


def test_most_pairs_are_never_measured(monkeypatch):
    """Else the search would be right, and slow."""
    features, vectors = smooth(24, 40, 200, 1), smooth(60, 60, 200, 1).reshape(-1, 200)
    called = searched_by_products(monkeypatch)
    check(features, vectors)
    assert not called


def test_a_processor_without_8_bit_dot_products(monkeypatch):
    monkeypatch.setattr(quantised_bank, "bank_levels", lambda: 63)
    check(smooth(9, 21, 150, 0), smooth(20, 60, 150, 1).reshape(-1, 150))


def test_a_guess_is_a_vector_and_refining_part_of_it_leaves_the_rest():
    vectors, features = smooth(40, 50, 60, 0).reshape(-1, 60), smooth(12, 18, 60, 1)
    on = PrincipalAxes.of(vectors)
    search, queries = PrunedSearch(vectors, on), Queries.of(features, on)
    guessed, index = search.guess(queries)
    exact = distances(features, vectors)
    assert (guessed >= exact * (1 - 1e-5)).all()
    measured = np.linalg.norm(features - vectors[index], axis=-1)
    np.testing.assert_allclose(guessed, measured, rtol=1e-5)
    where = guessed > np.median(guessed)
    refined, _ = search.refine(queries, (guessed, index), where)
    np.testing.assert_allclose(refined[where], exact[where], rtol=1e-5)
    assert (refined[~where] == guessed[~where]).all()
    nowhere, _ = search.refine(queries, (guessed, index), np.zeros_like(where))
    assert (nowhere == guessed).all()


def test_closest_leaves_no_nearer_vector_out():
    vectors, patches = smooth(40, 50, 60, 0).reshape(-1, 60), smooth(3, 3, 60, 1).reshape(9, 60)
    index, distance, limit = PrunedSearch(vectors, PrincipalAxes.of(vectors)).closest(patches, 100)
    for i, patch in enumerate(patches):
        every = np.linalg.norm(vectors.astype(np.float64) - patch, axis=1)
        np.testing.assert_allclose(distance[i], every[index[i]], rtol=1e-5)
        others = np.delete(every, index[i])
        assert limit[i] <= others.min() * (1 + 1e-6)
        assert limit[i] > every.min()  # or it would be of no use


def test_a_bank_answers_alike_with_and_without_prepared_queries():
    features, vectors = smooth(12, 18, 60, 1), smooth(40, 50, 60, 0).reshape(-1, 60)
    channels = np.arange(10, 60)
    n = len(vectors)
    image, cell = np.arange(n, dtype=np.int32) % 7, np.zeros((n, 2), np.int32)
    bank = MemoryBank(vectors, image, cell, tuple("abcdefg")).restricted(channels)
    other = bank.select(np.arange(600))
    queries = bank.queries(features)
    assert isinstance(queries, Queries)
    for some in (bank, other):
        distance, _ = some.nearest(queries)
        np.testing.assert_allclose(distance, some.nearest(features)[0], rtol=1e-5)
        expected = ExhaustiveSearch(some.vectors).nearest(features[..., channels].reshape(-1, 50))
        np.testing.assert_allclose(distance.ravel(), expected[0], rtol=1e-5)


def test_nearest_sources_are_those_of_every_source(monkeypatch):
    from patchcore_dual.banks import memory_bank

    monkeypatch.setattr(memory_bank, "_FEW", 0)
    features, vectors = smooth(3, 3, 60, 1), smooth(40, 50, 60, 0).reshape(-1, 60)
    n = len(vectors)
    names = tuple(f"image {i}" for i in range(40))
    bank = MemoryBank(vectors, np.arange(n, dtype=np.int32) % 40, np.zeros((n, 2), np.int32), names)
    every = bank.nearest_by_source(features)
    some, known_to = bank.nearest_sources(features, 64)
    known = some <= known_to[..., None]
    assert known.any(axis=-1).all()
    assert not known.all()
    np.testing.assert_allclose(some[known], every[known], rtol=1e-4)
    assert (some >= every * (1 - 1e-4)).all()


def test_a_small_bank_of_some_channels_takes_whole_features():
    features, vectors = smooth(12, 18, 60, 1), smooth(20, 25, 60, 0).reshape(-1, 60)
    n, channels = len(vectors), np.arange(20, 60)
    bank = MemoryBank(vectors, np.zeros(n, np.int32), np.zeros((n, 2), np.int32), ("a",))
    small = bank.restricted(channels)
    distance, _ = small.nearest(small.queries(features))
    expected = ExhaustiveSearch(vectors[:, channels]).nearest(
        features[..., channels].reshape(-1, 40)
    )
    np.testing.assert_allclose(distance.ravel(), expected[0], rtol=1e-5)


def test_of_equal_vectors_the_first_is_found():
    features = smooth(9, 12, 40, 1)
    vectors = np.tile(smooth(20, 30, 40, 0).reshape(-1, 40), (3, 1))
    on = PrincipalAxes.of(vectors)
    search, queries = PrunedSearch(vectors, on), Queries.of(features, on)
    for _ in range(5):
        assert (search.nearest(queries)[1] < len(vectors) // 3).all()


@pytest.mark.parametrize("last_first", [False, True])
def test_of_equal_vectors_that_different_threads_find_the_first_counts(monkeypatch, last_first):
    """Here every block of vectors is searched by a thread of its own, one after the other."""

    def one_by_one(work, blocks):
        for block in reversed(blocks) if last_first else blocks:
            work(iter([block]))

    monkeypatch.setattr(pruned, "run_on_threads", one_by_one)
    features = smooth(9, 12, 40, 1)
    once = smooth(32, 32, 40, 0).reshape(-1, 40)
    vectors = np.tile(once, (3, 1))
    assert len(once) % quantised_bank.BLOCK == 0  # so that copies lie in different blocks
    on = PrincipalAxes.of(vectors)
    search, queries = PrunedSearch(vectors, on), Queries.of(features, on)
    guess = search.guess(queries)
    for start in (guess, (guess[0] * 2, guess[1] + 2 * len(once))):
        assert (search.refine(queries, start)[1] < len(once)).all()
