"""Folds against a plain loop over the shuffled groups."""

import numpy as np
import pytest

from patchcore_dual.data.manifest import Sample
from patchcore_dual.training.folds import assign_folds


def folds_by_loop(samples, seed):
    """Groups with defects first, then the others, in shuffled order: each to the emptiest fold."""
    groups = sorted({s.group for s in samples})
    shuffled = [groups[i] for i in np.random.default_rng(seed).permutation(len(groups))]
    with_defects = [g for g in shuffled if any(s.is_defective for s in samples if s.group == g)]
    n_folds = min(5, len({s.group for s in samples if not s.is_defective}))
    normal, defective = [0] * n_folds, [0] * n_folds
    fold_of = {}
    for group in [*with_defects, *(g for g in shuffled if g not in with_defects)]:
        members = [s for s in samples if s.group == group]
        n_defective = sum(s.is_defective for s in members)
        n_normal = len(members) - n_defective

        def load(fold, n_defective=n_defective, n_normal=n_normal):
            pair = defective[fold], normal[fold]
            return (normal[fold] > 0 and n_normal > 0, *(pair if n_defective else pair[::-1]))

        fold = min(range(n_folds), key=load)
        normal[fold] += n_normal
        defective[fold] += n_defective
        fold_of.update({s.image: fold for s in members})
    return fold_of


@pytest.mark.parametrize("seed", range(6))
def test_folds_are_those_of_a_loop(seed):
    rng = np.random.default_rng(100 + seed)
    labels = ["positive" if is_defective else "negative" for is_defective in rng.random(60) < 0.2]
    samples = [
        Sample(f"{i}.png", "", label, "train", group=f"g{group}")
        for i, (label, group) in enumerate(zip(labels, rng.integers(0, 14, 60), strict=True))
    ]
    assert len({s.group for s in samples}) > 5
    assert assign_folds(samples, seed, folds=5) == folds_by_loop(samples, seed)
