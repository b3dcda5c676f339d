"""Memory banks and patch features of normally distributed vectors."""

import numpy as np

from patchcore_dual.banks import MemoryBank

GRID = (4, 5)


def bank(n, d=6, seed=0, spread=1.0):
    """A memory bank of n vectors."""
    vectors = spread * np.random.default_rng(seed).standard_normal((n, d))
    zeros = np.zeros((n, 2), np.int32)
    return MemoryBank(vectors.astype(np.float32), np.zeros(n, np.int32), zeros, ("image",))


def image(seed=1, d=6):
    """Patch features `[4, 5, d]`."""
    return np.random.default_rng(seed).standard_normal((*GRID, d)).astype(np.float32)


def patches(features):
    """The features as a list of patches, as the reference takes them."""
    return [[float(v) for v in patch] for patch in features.reshape(-1, features.shape[-1])]
