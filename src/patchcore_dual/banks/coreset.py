"""Greedy k-centre coreset (thesis 4.3.4; Sener and Savarese 2018; PatchCore, algorithm 1).

Starting from one seeded vector, the vector farthest from those chosen is added again and again.
The plain loop brings every vector up to date after each choice, and memory traffic rules its time.
Here most choices are made among a few thousand candidates:

* A vector's distance to the chosen set only shrinks, so its last known value is an upper bound.
* Candidates are the vectors with the largest bounds. As long as the farthest candidate is at least
  as far as the largest bound outside, it is the farthest of all, and the greedy choice is exact.
* When it no longer is, all vectors are brought up to date at once by one matrix product.

The matrix product, of vectors without their mean, only finds which chosen vector is nearest: it
loses digits to cancellation, so the distance itself is measured by direct difference.
"""

import math
from collections.abc import Callable

import numpy as np

FLOOR = 500
_CANDIDATES = 4096
_ROWS_PER_BLOCK = 16384


def coreset_size(vectors: int, rate: float, floor: int = FLOOR) -> int:
    """How many of `vectors` are kept: a share `rate`, but not fewer than the floor."""
    return min(vectors, max(math.ceil(rate * vectors), floor))


def select_coreset(
    vectors: np.ndarray,
    size: int,
    seed: int,
    progress: Callable[[int], None] = lambda chosen: None,
) -> np.ndarray:
    """Indices of the greedy k-centre coreset, in the order of choice.

    Args:
        vectors: float32 `[n, d]`.
        size: how many to choose, at most n.
        seed: picks the first vector.
        progress: told how many have been chosen so far.

    Returns:
        int64 `[size]`; fewer where only exact copies of chosen vectors are left.
    """
    n = len(vectors)
    if size >= n:
        return np.arange(n)
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    chosen = [int(np.random.default_rng(seed).integers(n))]
    bound = np.full(n, np.inf, dtype=np.float32)  # squared distance to the chosen, or above it
    up_to_date = 0  # how many of the chosen `bound` knows
    while len(chosen) < size:
        _measure_all(vectors, centre, chosen[up_to_date:], bound)
        up_to_date = len(chosen)
        count = min(n, _CANDIDATES)
        candidates = np.sort(np.argpartition(bound, n - count)[n - count :])
        outside = np.delete(bound, candidates).max(initial=0)
        members, distance = vectors[candidates], bound[candidates]
        # Right after a full update the first pick always stands: it has the largest bound of all.
        while len(chosen) < size:
            best = int(distance.argmax())
            if distance[best] < outside:
                break
            if distance[best] <= 0:
                return np.array(chosen, dtype=np.int64)
            chosen.append(int(candidates[best]))
            np.minimum(distance, _squared(members - members[best]), out=distance)
        progress(len(chosen))
    return np.array(chosen, dtype=np.int64)


def _measure_all(
    vectors: np.ndarray, centre: np.ndarray, added: list[int], bound: np.ndarray
) -> None:
    """Bring `bound` up to date with newly chosen vectors, in place."""
    centres = vectors[added]
    centred = centres - centre
    to_centres = (-2 * centred).T
    squared_norms = _squared(centred)
    for start in range(0, len(vectors), _ROWS_PER_BLOCK):
        rows = slice(start, start + _ROWS_PER_BLOCK)
        squared = (vectors[rows] - centre) @ to_centres
        squared += squared_norms
        nearest = squared.argmin(axis=1)
        np.minimum(bound[rows], _squared(vectors[rows] - centres[nearest]), out=bound[rows])
    bound[added] = 0  # however the product rounds, none is chosen twice


def _squared(differences: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", differences, differences)
