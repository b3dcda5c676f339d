"""Growing a bank: what is new enters, what is covered does not, and all is covered afterwards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.banks import MemoryBank
from patchcore_dual.live.growth import grow_defect_bank, grow_normal_bank, new_patches
from patchcore_dual.settings import Settings


def vectors(seed, count, width=3):
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def bank_of(some, name="a.png"):
    zeros = np.zeros(len(some), np.int32)
    return MemoryBank(
        some, zeros, np.stack([zeros, np.arange(len(some), dtype=np.int32)], 1), (name,)
    )


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 30), st.floats(0, 3))
def test_afterwards_all_is_covered_and_what_was_added_lies_apart(seed, n, m, radius):
    bank, patches = vectors(seed, n), vectors(seed + 1, m)
    rows = new_patches(bank, patches, radius)
    assert len(set(rows.tolist())) == len(rows)
    grown = np.concatenate([bank, patches[rows]])
    to_grown = np.linalg.norm(patches[:, None] - grown, axis=2)
    assert to_grown.min(axis=1).max() <= radius + 1e-4
    for place, row in enumerate(rows):
        before = np.concatenate([bank, patches[rows[:place]]])
        assert np.linalg.norm(patches[row] - before, axis=1).min() > radius - 1e-4


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_copies_are_never_added(seed, n):
    bank = vectors(seed, n)
    assert not len(new_patches(bank, bank[::-1], radius=0, at_least=1))


def test_a_covered_patch_is_added_only_where_one_is_asked_for():
    bank, patch = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    assert not len(new_patches(bank, patch, radius=5))
    assert new_patches(bank, patch, radius=5, at_least=1).tolist() == [0]


def test_the_normal_bank_gains_the_cells_that_are_new():
    bank = bank_of(np.zeros((1, 2), np.float32))
    features = np.zeros((3, 4, 2), np.float32)
    features[2, 1] = 9
    gained = grow_normal_bank(bank, "b.png", features, radius=1, seed=0)
    assert gained.sources == ("b.png",)
    assert gained.cell.tolist() == [[2, 1]]
    assert grow_normal_bank(bank, "b.png", features * 0, radius=1, seed=0) is None


@pytest.mark.parametrize("channels", [None, np.array([0, 2])])
def test_the_first_defect_enters_whole(channels):
    patches = bank_of(vectors(0, 30))
    defects = grow_defect_bank(None, patches, Settings(), channels)
    assert np.array_equal(defects.bank.vectors, patches.restricted(channels).vectors)
    assert defects.patches.vectors is patches.vectors


def test_a_large_defect_bank_gains_what_a_coreset_would_not_cover():
    first = bank_of(vectors(0, 600))
    defects = grow_defect_bank(None, first, Settings(), None)
    more = bank_of(np.concatenate([vectors(0, 100), 9 + vectors(1, 5)]), "b.png")
    grown = grow_defect_bank(defects, more, Settings(), None)
    gained = grown.bank.without(["a.png"])
    assert 1 <= len(gained) <= 5
    assert gained.vectors.min() > 5
    assert len(grown.patches) == len(first) + len(more)
