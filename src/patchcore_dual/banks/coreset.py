"""Greedy k-centre coreset (thesis 4.3.4; Sener and Savarese 2018; PatchCore, algorithm 1).

Starting from one seeded vector, the vector farthest from those chosen is added again and again.
The plain loop brings every vector up to date after each choice, and memory traffic rules its time.
Here most choices are made among a few thousand candidates:

* A vector's distance to the chosen set only shrinks, so its last known value is an upper bound.
* Candidates are the vectors with the largest bounds. As long as the farthest candidate is at least
  as far as the largest bound outside, it is the farthest of all, and the greedy choice is exact.
* When it no longer is, all vectors are brought up to date at once by one matrix product.

The matrix product loses digits to cancellation, so candidates are measured again by direct
difference before they compete.
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
    squared_norms = np.einsum("nd,nd->n", vectors, vectors)
    # What a matrix product may be off by, in squared distance.
    margin = 16 * np.finfo(np.float32).eps * float(squared_norms.max())

    chosen = [int(np.random.default_rng(seed).integers(n))]
    bound = np.full(n, np.inf, dtype=np.float32)  # squared distance to the chosen, or above it
    nearest = np.zeros(n, dtype=np.int64)  # which chosen vector it was measured to
    up_to_date = 0  # how many of the chosen `bound` knows
    while len(chosen) < size:
        _measure_all(vectors, squared_norms, chosen[up_to_date:], bound, nearest)
        up_to_date = len(chosen)
        count = min(n, _CANDIDATES)
        candidates = np.sort(np.argpartition(bound, n - count)[n - count :])
        outside = np.delete(bound, candidates).max(initial=-np.inf) + margin
        members = vectors[candidates]
        distance = _squared(members - vectors[nearest[candidates]])
        # Right after a full update the first pick always stands: the bounds are the distances.
        while len(chosen) < size:
            best = int(distance.argmax())
            if distance[best] <= 0:
                return np.array(chosen, dtype=np.int64)
            if distance[best] < outside and len(chosen) > up_to_date:
                break
            chosen.append(int(candidates[best]))
            np.minimum(distance, _squared(members - members[best]), out=distance)
        progress(len(chosen))
    return np.array(chosen, dtype=np.int64)


def _measure_all(
    vectors: np.ndarray,
    squared_norms: np.ndarray,
    added: list[int],
    bound: np.ndarray,
    nearest: np.ndarray,
) -> None:
    """Bring `bound` and `nearest` up to date with newly chosen vectors, in place."""
    centres = vectors[added]
    added_indices = np.asarray(added)
    for start in range(0, len(vectors), _ROWS_PER_BLOCK):
        rows = slice(start, start + _ROWS_PER_BLOCK)
        squared = vectors[rows] @ (-2 * centres.T)
        squared += squared_norms[added_indices]
        best = squared.argmin(axis=1)
        value = np.maximum(
            np.take_along_axis(squared, best[:, None], 1)[:, 0] + squared_norms[rows], 0
        )
        closer = value < bound[rows]
        bound[rows] = np.where(closer, value, bound[rows])
        nearest[rows] = np.where(closer, added_indices[best], nearest[rows])


def _squared(differences: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", differences, differences)
