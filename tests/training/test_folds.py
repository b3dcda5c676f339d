"""Folds of cross-validation keep groups together and spread defects."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patchcore_dual.data.manifest import Sample
from patchcore_dual.errors import DataError
from patchcore_dual.training.folds import FOLDS, assign_folds


def named(*groups, first=0, label="negative"):
    return [Sample(f"{i}.png", "", label, "train", group=g) for i, g in enumerate(groups, first)]


@pytest.mark.parametrize("seed", range(4))
def test_folds_keep_groups_whole_and_even(seed):
    samples = named(*(f"g{i % 17}" for i in range(60)))
    fold_of = assign_folds(samples, seed, folds=5)
    by_group = {}
    for sample in samples:
        by_group.setdefault(sample.group, set()).add(fold_of[sample.image])
    assert all(len(folds) == 1 for folds in by_group.values())
    sizes = np.bincount(list(fold_of.values()))
    assert len(sizes) == 5
    assert np.ptp(sizes) <= 4  # one group's size


def test_defects_are_spread_over_the_folds():
    good, bad = named(*"abcdefgh" * 4), named(*"abcdefgh", first=100, label="positive")
    fold_of = assign_folds(good + bad, 0, folds=5)
    counts = np.bincount([fold_of[s.image] for s in bad], minlength=5)
    assert np.ptp(counts) <= 1
    of_group = {s.group: fold_of[s.image] for s in good}
    assert all(fold_of[s.image] == of_group[s.group] for s in bad)


@example(good=["a", "b"], bad=list("abccccc"), seed=0)
@given(
    good=st.lists(st.sampled_from("abcdef"), min_size=2, max_size=12),
    bad=st.lists(st.sampled_from("abcdefghij"), max_size=12),
    seed=st.integers(0, 20),
)
def test_every_fold_has_good_images_and_others_do_too(good, bad, seed):
    """Else a fold's normal bank would be empty."""
    normals, defectives = named(*good), named(*bad, first=100, label="positive")
    fold_of = assign_folds(normals + defectives, seed, folds=5)
    used = {fold_of[s.image] for s in normals}
    assert used == set(range(max(fold_of.values()) + 1))
    assert len(used) == min(5, len(set(good)) if len(set(good)) > 1 else len(good))


def test_folds_are_seeded():
    samples = named(*(f"g{i}" for i in range(30)))
    assert assign_folds(samples, 1) == assign_folds(samples, 1)
    assert assign_folds(samples, 1) != assign_folds(samples, 2)


def test_a_fold_each_where_there_are_few_groups():
    assert len(set(assign_folds(named(*(f"g{i}" for i in range(12))), 0).values())) == 12
    assert len(set(assign_folds(named(*(f"g{i}" for i in range(50))), 0).values())) == FOLDS


def test_folds_of_few_groups():
    assert set(assign_folds(named("a", "a", "b"), 0).values()) == {0, 1}
    for groups in (("", "", ""), ("a", "a", "a")):  # no group or but one: each image its own
        assert len(set(assign_folds(named(*groups), 0).values())) == 3
    with pytest.raises(DataError, match=r"one normal training image is too few.*at least 2"):
        assign_folds(named("a"), 0)
