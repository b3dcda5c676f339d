"""The greedy k-centre coreset of thesis 4.3.4 in double precision, without any shortcut."""

import numpy as np


def greedy_coreset(vectors, size, seed):
    """The indices in the order of choice, up to where only copies of chosen vectors are left."""
    vectors = np.asarray(vectors, dtype=np.float64)
    chosen = [int(np.random.default_rng(seed).integers(len(vectors)))]
    to_chosen = np.linalg.norm(vectors - vectors[chosen[0]], axis=1)
    while len(chosen) < size and to_chosen.max() > 0:
        farthest = int(to_chosen.argmax())
        chosen.append(farthest)
        to_chosen = np.minimum(to_chosen, np.linalg.norm(vectors - vectors[farthest], axis=1))
    return np.array(chosen)


def shortfalls(vectors, chosen):
    """By how much each choice was nearer to those before it than the farthest vector was.

    All zero for a greedy choice, whichever of several equally far vectors it took.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    to_chosen = np.linalg.norm(vectors - vectors[chosen[0]], axis=1)
    lacking = []
    for index in chosen[1:]:
        lacking.append(to_chosen.max() - to_chosen[index])
        to_chosen = np.minimum(to_chosen, np.linalg.norm(vectors - vectors[index], axis=1))
    return np.array(lacking)


def covering_radius(vectors, chosen):
    """The largest distance of a vector to its nearest chosen one, every distance measured."""
    vectors = np.asarray(vectors, dtype=np.float64)
    nearest = np.full(len(vectors), np.inf)
    for index in chosen:
        nearest = np.minimum(nearest, np.linalg.norm(vectors - vectors[index], axis=1))
    return nearest.max()
