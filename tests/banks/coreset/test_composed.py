"""Composed and shared coresets against the plain greedy choice."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from patchcore_dual.banks import coreset_size, select_coreset, select_coresets
from patchcore_dual.banks.coreset import composed as composed_coreset
from reference.coreset import covering_radius

TINY = float(np.sqrt(np.finfo(np.float32).tiny))  # what lies nearer may count as covered


def patch_like(n, d=128, seed=0):
    """A few smooth surfaces in noise with outliers, as projected patches of images are."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((12, d)) * 2.0 ** -np.arange(12)[:, None]
    places = rng.standard_normal((n, 12)) * rng.choice([1, 1, 1, 3], (n, 1))
    return (places @ basis + 0.1 * rng.standard_normal((n, d))).astype(np.float32)


def composed(vectors, fold, left_out, size_of, seed=0, part=500):
    with patch.object(composed_coreset, "PART", part):
        return select_coresets(vectors, fold, left_out, size_of=size_of, seed=seed, exact=0)


@pytest.mark.parametrize("rate", [0.05, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_the_radius_is_that_of_the_plain_choice_to_five_per_cent(rate, seed):
    vectors = patch_like(5000, seed=seed)
    fold = np.repeat(np.arange(5, dtype=np.uint8), 1000)
    size = int(rate * 5000)
    (found,) = composed(vectors, fold, [None], lambda n: size, seed)
    plain = select_coreset(vectors, size, seed).radius
    assert len(set(found.rows.tolist())) == size
    assert covering_radius(vectors, found.rows) <= 1.05 * plain


@pytest.mark.parametrize("exact", [0, 10**12])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_each_bank_holds_its_own_folds_alone_within_the_radius(exact, dtype):
    vectors = patch_like(3000).astype(dtype)
    fold = np.random.default_rng(1).integers(0, 3, 3000).astype(np.uint8)
    left_out = [None, 0, 1, 2]
    with patch.object(composed_coreset, "PART", 400):
        found = select_coresets(
            vectors, fold, left_out, size_of=lambda n: n // 20, seed=4, exact=exact
        )
    for f, coreset in zip(left_out, found, strict=True):
        own = np.flatnonzero(fold != f) if f is not None else np.arange(3000)
        assert set(coreset.rows) <= set(own)
        assert len(coreset.rows) == len(own) // 20
        assert (np.diff(coreset.rows) > 0).all()
        reached = covering_radius(vectors[own], np.searchsorted(own, coreset.rows))
        assert reached <= coreset.radius * (1 + 1e-4)


def test_a_bank_does_not_depend_on_the_fold_left_out():
    vectors = patch_like(3000)
    fold = np.repeat(np.arange(3, dtype=np.uint8), 1000)
    other = vectors.copy()
    other[:1000] = patch_like(1000, seed=9) * 5
    first, second = (composed(v, fold, [0], lambda n: 150)[0] for v in (vectors, other))
    np.testing.assert_array_equal(first.rows, second.rows)


def test_a_small_set_is_chosen_from_directly():
    vectors = patch_like(2000)
    fold = np.repeat(np.arange(2, dtype=np.uint8), 1000)
    whole, without = select_coresets(
        vectors, fold, [None, 0], size_of=lambda n: coreset_size(n, 0.3), seed=5
    )
    np.testing.assert_array_equal(whole.rows, select_coreset(vectors, 600, 5).rows)
    np.testing.assert_array_equal(without.rows, 1000 + select_coreset(vectors[1000:], 500, 5).rows)


@settings(max_examples=40)
@given(
    vectors=hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 40), st.integers(1, 4)),
        elements=st.sampled_from([-4, -1, 0, 0, 1, 3, 1e-30, 1e9]),  # copies, ties, any size
    ),
    size=st.integers(1, 40),
    folds=st.integers(1, 3),
)
def test_copies_ties_and_any_size(vectors, size, folds):
    folds = min(folds, len(vectors))
    fold = (np.arange(len(vectors)) % folds).astype(np.uint8)
    left_out = [None, *range(folds)] if folds > 1 else [None]
    found = composed(vectors, fold, left_out, lambda n: min(n, size), part=5)
    for f, coreset in zip(left_out, found, strict=True):
        own = np.flatnonzero(fold != f) if f is not None else np.arange(len(fold))
        assert set(coreset.rows) <= set(own)
        assert 1 <= len(coreset.rows) <= size
        reached = covering_radius(vectors[own], np.searchsorted(own, coreset.rows))
        assert np.isfinite(coreset.radius)
        # Single precision loses small values beside the largest, and squares under 1e-38.
        assert reached <= coreset.radius * (1 + 1e-3) + 1e-3 * np.abs(vectors).max() + TINY


@settings(max_examples=100)
@given(
    n=st.integers(40, 400),
    d=st.integers(1, 6),
    distinct=st.sampled_from([0.1, 0.5, 1]),
    size=st.integers(2, 60),
    part=st.sampled_from([15, 40, 100]),
    exact=st.sampled_from([0, 10**12]),
    seed=st.integers(0, 2**16),
)
def test_no_vector_is_farther_from_the_coreset_than_the_radius(
    n, d, distinct, size, part, exact, seed
):
    """Of random sets, most of whose vectors may be copies of others."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((max(1, int(distinct * n)), d)) * rng.choice([1, 1, 1, 5])
    vectors = vectors[rng.integers(0, len(vectors), n)].astype(np.float32)
    fold = rng.integers(0, 3, n).astype(np.uint8)
    left_out = [None, *np.unique(fold).tolist()]
    with patch.object(composed_coreset, "PART", part):
        found = select_coresets(
            vectors, fold, left_out, size_of=lambda n: min(n, size), seed=seed, exact=exact
        )
    for f, coreset in zip(left_out, found, strict=True):
        own = np.flatnonzero(fold != f) if f is not None else np.arange(n)
        reached = covering_radius(vectors[own], np.searchsorted(own, coreset.rows))
        rounding = 1e-6 * np.abs(vectors).max()  # of single precision
        assert coreset.radius >= reached - rounding
        if exact:
            assert coreset.radius <= reached + rounding


def test_vectors_mapped_from_a_file_give_the_same(tmp_path):
    vectors = patch_like(2000).astype(np.float16)
    file = tmp_path / "rows"
    vectors.tofile(file)
    mapped = np.memmap(file, dtype=np.float16, mode="r", shape=vectors.shape)
    fold = np.repeat(np.arange(2, dtype=np.uint8), 1000)
    for one, other in zip(
        composed(vectors, fold, [None, 1], lambda n: n // 10),
        composed(mapped, fold, [None, 1], lambda n: n // 10),
        strict=True,
    ):
        np.testing.assert_array_equal(one.rows, other.rows)
        assert one.radius == other.radius


def test_progress_is_counted_over_all_banks():
    steps = []
    fold = np.repeat(np.arange(2, dtype=np.uint8), 1000)
    with patch.object(composed_coreset, "PART", 500):
        select_coresets(
            patch_like(2000),
            fold,
            [None, 0],
            size_of=lambda n: n // 10,
            seed=0,
            progress=lambda done, total: steps.append((done, total)),
            exact=0,
        )
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_radius_of_few_is_known(size):
    vectors = patch_like(300)
    fold = np.repeat(np.arange(3, dtype=np.uint8), 100)
    (found,) = composed(vectors, fold, [None], lambda n: size, part=50)
    assert covering_radius(vectors, found.rows) == pytest.approx(found.radius, rel=1e-4)
