"""Greedy k-centre coreset (thesis 4.3.4; Gonzalez 1985; Sener and Savarese 2018; PatchCore).

Starting from one seeded vector, the vector farthest from those chosen is added again and again.
The plain loop measures every vector after each choice. Here the choices are the same, up to the
rounding of single precision, but most vectors are measured late and many never to the end:

* A vector's distance to the chosen set only shrinks, so what was last measured is an upper bound.
* The next choices are made among the few thousand vectors with the largest bounds. As long as the
  farthest of these is at least as far as the largest bound outside, it is the farthest of all, and
  the greedy choice is exact (lazy evaluation; Minoux 1978).
* When it no longer is, only vectors whose bound could still matter soon are brought up to date, by
  matrix products that stay in the processor's cache. Bounds below that wait for their turn.

A matrix product, of vectors without their mean, loses digits to cancellation. It only tells which
distances may have shrunk, up to a bound of its rounding error; those are measured by difference.
"""

import math
import mmap
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

FLOOR = 500
_CANDIDATES = 2048
_ROWS, _CENTRES = 512, 512  # of one matrix product
_REACH = 0.8  # squared distances are brought up to date down to this share of the farthest one's


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
        vectors: float32 or float16 `[n, d]`.
        size: how many to choose, at most n.
        seed: picks the first vector.
        progress: told how many have been chosen so far.

    Returns:
        int64 `[size]`; fewer where only exact copies of chosen vectors are left.
    """
    n = len(vectors)
    if size >= n:
        return np.arange(n)
    # The products are small: more threads would wait for each other.
    with threadpool_limits(1, user_api="blas"):
        greedy = Greedy(vectors, np.arange(n), size)
        greedy.add(first_choice(n, seed))
        greedy.choose(size, progress)
    return greedy.chosen


def first_choice(n: int, seed: int) -> int:
    """Which of n vectors is chosen first."""
    return int(np.random.default_rng(seed).integers(n))


class Greedy:
    """Greedy selection in progress among some rows of `vectors`.

    Attributes:
        rows: int64 `[n]`, which of the vectors take part.
        bound: float32 `[n]`, at least each row's squared distance to those chosen.
        radius: distance of the last choice to those before it, which is at least the covering
            radius of those before it.
    """

    def __init__(self, vectors: np.ndarray, rows: np.ndarray, size: int) -> None:
        """`rows`: int64 `[n]`, which of `vectors` `[N, d]` take part; `size`: most to choose."""
        self._vectors, self.rows = vectors, rows
        self._centre = _mean(vectors, rows)
        self._largest = 0.0  # squared norm
        self.bound = np.full(len(rows), np.inf, dtype=np.float32)
        self._known = np.zeros(len(rows), dtype=np.int32)  # how many chosen `bound` knows
        self._chosen = np.empty(size, dtype=np.int64)
        self._centres = np.empty((size, vectors.shape[1]), dtype=np.float32)
        self._norms = np.empty(size, dtype=np.float32)
        self._count = 0
        self.radius = np.inf

    @property
    def chosen(self) -> np.ndarray:
        """int64 `[m]`, positions in `rows`, in the order of choice."""
        return self._chosen[: self._count]

    def add(self, position: int) -> None:
        """Choose a row by its position."""
        (vector,) = self._load(np.array([position]))
        self._append(position, vector)

    def extend(self, rows: np.ndarray, squared: np.ndarray) -> None:
        """Let more rows take part, whose squared distances to those chosen are known."""
        self.rows = np.concatenate([self.rows, rows])
        self.bound = np.concatenate([self.bound, squared])
        known = np.full(len(rows), self._count, dtype=np.int32)
        self._known = np.concatenate([self._known, known])

    def reached(self) -> float:
        """The covering radius of those chosen: the largest distance of a row to them."""
        self._candidates(np.inf)
        return math.sqrt(self.bound.max())

    def choose(self, size: int, progress: Callable[[int], None]) -> None:
        """Choose the farthest row until there are `size`, or only copies are left."""
        reach = 0.0
        while self._count < size:
            candidates = self._candidates(reach)
            farthest = self._choose_among(candidates, size)
            progress(self._count)
            if farthest <= 0:
                return
            reach = _REACH * farthest

    def _candidates(self, reach: float) -> np.ndarray:
        """Rows with the largest bounds, all up to date."""
        n = len(self.bound)
        count = min(n, _CANDIDATES)
        while True:
            self._measure_stale(np.flatnonzero(self.bound >= reach))
            largest = np.argpartition(self.bound, n - count)[n - count :]
            if (self._known[largest] == self._count).all():
                return np.sort(largest)
            reach = self.bound[largest].min()

    def _choose_among(self, candidates: np.ndarray, size: int) -> float:
        """Choose while the farthest candidate is the farthest of all; the largest bound left."""
        is_outside = np.ones(len(self.bound), dtype=bool)
        is_outside[candidates] = False
        outside = self.bound[is_outside].max(initial=0)
        members, distance = self._load(candidates), self.bound[candidates]
        norms = _squared(members)
        slack = norms - self._rounding(norms)
        while self._count < size:
            best = int(distance.argmax())
            if distance[best] < outside or distance[best] <= 0:
                break
            self.radius = math.sqrt(distance[best])
            chosen = members[best]
            self._append(int(candidates[best]), chosen)
            at_least = members @ (-2 * chosen)
            at_least += slack
            at_least += norms[best]
            nearer = np.flatnonzero(at_least < distance)
            measured = _squared(members[nearer] - chosen)
            distance[nearer] = np.minimum(distance[nearer], measured)
            distance[best] = 0
        self.bound[candidates], self._known[candidates] = distance, self._count
        return max(float(distance.max()), float(outside))

    def _measure_stale(self, positions: np.ndarray) -> None:
        """Bring the bounds of some rows up to date with all that were chosen."""
        positions = positions[self._known[positions] < self._count]
        order = np.argsort(self._known[positions], kind="stable")
        for start in range(0, len(positions), _ROWS):
            self._measure(positions[order[start : start + _ROWS]])
        self._known[positions] = self._count
        self.bound[self.chosen] = 0  # however the product rounds, none is chosen twice

    def _measure(self, rows: np.ndarray) -> None:
        vectors, bound = self._load(rows), self.bound[rows]
        norms = _squared(vectors)
        slack = norms - self._rounding(norms)
        each = np.arange(len(rows))
        for start in range(self._known[rows[0]], self._count, _CENTRES):
            some = slice(start, min(start + _CENTRES, self._count))
            centres = self._centres[some]
            relative = vectors @ (-2 * centres).T
            relative += self._norms[some]
            nearest = relative.argmin(axis=1)
            nearer = np.flatnonzero(relative[each, nearest] + slack < bound)
            measured = _squared(vectors[nearer] - centres[nearest[nearer]])
            bound[nearer] = np.minimum(bound[nearer], measured)
        self.bound[rows] = bound

    def _load(self, positions: np.ndarray) -> np.ndarray:
        """float32 `[m, d]`: rows without the mean."""
        return load(self._vectors, self.rows[positions]) - self._centre

    def _append(self, position: int, vector: np.ndarray) -> None:
        self._chosen[self._count] = position
        self._centres[self._count] = vector
        self._norms[self._count] = vector @ vector
        self._largest = max(self._largest, float(self._norms[self._count]))
        self._count += 1

    def _rounding(self, norms: np.ndarray) -> np.ndarray:
        """How far a squared distance by products may lie above the true one."""
        unit = np.float32((self._centres.shape[1] + 8) * 2.0**-24)
        return unit * (norms + max(self._largest, float(norms.max())))


def load(vectors: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """float32 `[m, d]`, some of vectors that may be of half precision or mapped from a file."""
    loaded = vectors[rows].astype(np.float32)
    if isinstance(vectors, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
        # What was read counts as this process's memory until it is given back.
        vectors._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
    return loaded


def _mean(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    total = np.zeros(vectors.shape[1])
    for start in range(0, len(rows), 4096):
        total += load(vectors, rows[start : start + 4096]).sum(axis=0, dtype=np.float64)
    return (total / len(rows)).astype(np.float32)


def _squared(differences: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", differences, differences)
