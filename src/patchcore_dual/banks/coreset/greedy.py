"""Greedy k-centre coreset (thesis 4.3.4; Gonzalez 1985; Sener and Savarese 2018; PatchCore).

Starting from one seeded vector, the vector farthest from all chosen ones is added again and again.
The plain loop measures every vector after each choice. Here the choices are the same, up to the
rounding of single precision, but most vectors are measured late, and many never to the end:

* A vector's distance to the chosen set only shrinks, so the distance last measured is an upper
  bound on it.
* The next choices are made among the few thousand candidates with the largest bounds. As long as
  the farthest candidate is at least as far as the largest bound of any other vector, it is the
  farthest of all, and the greedy choice is exact (lazy evaluation; Minoux 1978).
* Otherwise only the vectors whose bound is large enough to be chosen soon are measured against the
  newly chosen ones, with matrix products that fit the processor's cache. All smaller bounds stay
  stale until they are needed.

Matrix products lose small distances to cancellation, although the mean is subtracted first. They
only select the distances that may have shrunk, with an allowance for their rounding error; those
distances are then measured by direct difference.
"""

import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

FLOOR = 500  # vectors, the smallest coreset of a larger set
BLOCK_ROWS, BLOCK_CENTRES = 512, 512  # of one matrix product
_CANDIDATES = 2048
_UPDATE_FRACTION = 0.8  # of the largest squared distance, down to which bounds are updated


@dataclass(frozen=True)
class Coreset:
    """The rows chosen from a set of vectors, and how well they cover it.

    Attributes:
        chosen: int64 `[m]`, the rows in the order of choice.
        radius: covering radius, the largest distance of a vector of the set to its nearest chosen
            one; where the choice is composed of parts, an upper bound on it. In the unit of the
            vectors, up to the rounding of single precision, which does not hold squares below 1e-38
            well: vectors within 1e-19 of each other may count as equal.
    """

    chosen: np.ndarray
    radius: float

    @property
    def rows(self) -> np.ndarray:
        """int64 `[m]`, the chosen rows in ascending order."""
        return np.sort(self.chosen)


def coreset_size(vectors: int, rate: float, floor: int = FLOOR) -> int:
    """How many vectors a coreset keeps: the fraction `rate`, but not fewer than the floor.

    >>> coreset_size(100_000, 0.01)
    1000
    >>> coreset_size(2_000, 0.1)
    500
    >>> coreset_size(30, 0.1)
    30
    """
    return min(vectors, max(math.ceil(rate * vectors), floor))


def select_coreset(
    vectors: np.ndarray,
    size: int,
    seed: int,
    progress: Callable[[int], None] = lambda chosen: None,
    rows: np.ndarray | None = None,
) -> Coreset:
    """The greedy k-centre coreset of a set of vectors.

    Args:
        vectors: float32 or float16 `[n, d]`, finite; may be mapped from a file.
        size: how many vectors to choose, at least 1.
        seed: determines the first vector.
        progress: called now and then with the number of vectors chosen so far, at last with `size`.
        rows: int64 `[m]`, choose among these rows of `vectors` only; None for all.

    Returns:
        The coreset, `size` rows of `vectors`. All rows, in the order given, where there are no more
        than `size`; fewer where all others are exact copies of chosen vectors.

    >>> corners_and_middle = np.array([[0, 0], [0, 8], [8, 0], [8, 8], [4, 3]], np.float32)
    >>> coreset = select_coreset(corners_and_middle, size=4, seed=1)
    >>> coreset.rows
    array([0, 1, 2, 3])
    >>> coreset.radius
    5.0
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    if size >= len(rows):
        progress(size)
        return Coreset(rows, 0.0)
    # The products are small: more threads would wait for each other.
    with threadpool_limits(1, user_api="blas"):
        greedy = Greedy(vectors, rows, size)
        greedy.add(first_choice(len(rows), seed))
        greedy.choose(size, progress)
        progress(size)
        return Coreset(greedy.chosen_rows, greedy.covering_radius())


def first_choice(n: int, seed: int) -> int:
    """The position of the vector that is chosen first among n."""
    return int(np.random.default_rng(seed).integers(n))


class Greedy:
    """A greedy selection in progress among some rows of a set of vectors.

    Positions count the rows that take part; rows count all vectors.
    """

    def __init__(self, vectors: np.ndarray, rows: np.ndarray, size: int) -> None:
        """Start with nothing chosen.

        Args:
            vectors: float32 or float16 `[N, d]`.
            rows: int64 `[n]`, which of the vectors take part.
            size: the most that will be chosen.
        """
        self._vectors, self._rows = vectors, rows
        self._mean = _mean(vectors, rows)
        self._largest_norm = 0.0  # squared, of those chosen
        # An upper bound on each row's squared distance to those chosen, which takes the first
        # `_compared` of them into account.
        self._bound = np.full(len(rows), np.inf, dtype=np.float32)
        self._compared = np.zeros(len(rows), dtype=np.int32)
        self._chosen = np.empty(size, dtype=np.int64)
        self._centres = np.empty((size, vectors.shape[1]), dtype=np.float32)
        self._norms = np.empty(size, dtype=np.float32)
        self._count = 0

    @property
    def chosen_rows(self) -> np.ndarray:
        """int64 `[m]`, the rows chosen so far, in the order of choice."""
        return self._rows[self._positions]

    @property
    def _positions(self) -> np.ndarray:
        return self._chosen[: self._count]

    def add(self, position: int) -> None:
        """Choose the row at a position."""
        (vector,) = self._load(np.array([position]))
        self._append(position, vector)

    def extend(self, rows: np.ndarray, squared: np.ndarray) -> None:
        """Let more rows take part.

        Args:
            rows: int64 `[m]`.
            squared: float32 `[m]`, their squared distances to the nearest row chosen so far.
        """
        self._rows = np.concatenate([self._rows, rows])
        self._bound = np.concatenate([self._bound, squared])
        compared = np.full(len(rows), self._count, dtype=np.int32)
        self._compared = np.concatenate([self._compared, compared])

    def covering_radius(self) -> float:
        """The largest distance of a row that takes part to the nearest chosen one."""
        self._candidates(np.inf)
        return math.sqrt(self._bound.max())

    def choose(self, size: int, progress: Callable[[int], None]) -> None:
        """Choose the farthest row until `size` are chosen, or only copies of those are left."""
        threshold = 0.0
        while self._count < size:
            candidates = self._candidates(threshold)
            farthest = self._choose_among(candidates, size)
            progress(self._count)
            if farthest <= 0:
                return
            threshold = _UPDATE_FRACTION * farthest

    def _candidates(self, threshold: float) -> np.ndarray:
        """Positions with the largest bounds, all up to date; the rest above the threshold, too."""
        n = len(self._bound)
        count = min(n, _CANDIDATES)
        while True:
            self._update(np.flatnonzero(self._bound >= threshold))
            largest = np.argpartition(self._bound, n - count)[n - count :]
            if (self._compared[largest] == self._count).all():
                return np.sort(largest)
            threshold = self._bound[largest].min()

    def _choose_among(self, candidates: np.ndarray, size: int) -> float:
        """Choose while the farthest candidate is the farthest row; return the largest bound."""
        is_outside = np.ones(len(self._bound), dtype=bool)
        is_outside[candidates] = False
        outside = self._bound[is_outside].max(initial=0)
        members, distance = self._load(candidates), self._bound[candidates]
        norms = _squared_norms(members)
        slack = norms - self._rounding_error(norms)
        while self._count < size:
            best = int(distance.argmax())
            if distance[best] < outside or distance[best] <= 0:
                break
            chosen = members[best]
            self._append(int(candidates[best]), chosen)
            lower_bound = members @ (-2 * chosen)
            lower_bound += slack
            lower_bound += norms[best]
            nearer = np.flatnonzero(lower_bound < distance)
            measured = _squared_norms(members[nearer] - chosen)
            distance[nearer] = np.minimum(distance[nearer], measured)
            distance[best] = 0
        self._bound[candidates], self._compared[candidates] = distance, self._count
        return max(float(distance.max()), float(outside))

    def _update(self, positions: np.ndarray) -> None:
        """Bring the bounds at some positions up to date with all that were chosen."""
        positions = positions[self._compared[positions] < self._count]
        order = np.argsort(self._compared[positions], kind="stable")
        for start in range(0, len(positions), BLOCK_ROWS):
            self._update_block(positions[order[start : start + BLOCK_ROWS]])
        self._compared[positions] = self._count
        self._bound[self._positions] = 0  # however the product rounds, none is chosen twice

    def _update_block(self, positions: np.ndarray) -> None:
        """`_update` of one block, in ascending order of how many they were compared with."""
        vectors, bound = self._load(positions), self._bound[positions]
        norms = _squared_norms(vectors)
        slack = norms - self._rounding_error(norms)
        each = np.arange(len(positions))
        for start in range(self._compared[positions[0]], self._count, BLOCK_CENTRES):
            some = slice(start, min(start + BLOCK_CENTRES, self._count))
            centres = self._centres[some]
            relative = vectors @ (-2 * centres).T
            relative += self._norms[some]
            nearest = relative.argmin(axis=1)
            nearer = np.flatnonzero(relative[each, nearest] + slack < bound)
            measured = _squared_norms(vectors[nearer] - centres[nearest[nearer]])
            bound[nearer] = np.minimum(bound[nearer], measured)
        self._bound[positions] = bound

    def _load(self, positions: np.ndarray) -> np.ndarray:
        """The centred vectors at some positions, float32 `[m, d]`."""
        return load(self._vectors, self._rows[positions]) - self._mean

    def _append(self, position: int, vector: np.ndarray) -> None:
        self._chosen[self._count] = position
        self._centres[self._count] = vector
        self._norms[self._count] = vector @ vector
        self._largest_norm = max(self._largest_norm, float(self._norms[self._count]))
        self._count += 1

    def _rounding_error(self, norms: np.ndarray) -> np.ndarray:
        """How much a squared distance by matrix product may exceed the true one, `[n]`."""
        unit = np.float32((self._centres.shape[1] + 8) * 2.0**-24)
        return unit * (norms + max(self._largest_norm, float(norms.max())))


def load(vectors: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Some rows of vectors as float32 `[m, d]`, without keeping a mapped file in memory.

    Args:
        vectors: float32 or float16 `[n, d]`, in memory or mapped from a file.
        rows: indices or a slice.
    """
    loaded = vectors[rows].astype(np.float32)
    if isinstance(vectors, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
        # Pages that were read count as this process's memory until they are given back.
        vectors._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
    return loaded


def _mean(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    total = np.zeros(vectors.shape[1])
    for start in range(0, len(rows), 4096):
        total += load(vectors, rows[start : start + 4096]).sum(axis=0, dtype=np.float64)
    return (total / len(rows)).astype(np.float32)


def _squared_norms(differences: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", differences, differences)
