"""Which vectors a coreset leaves uncovered, that is, farther from it than a given radius.

It is enough to know of each vector whether some chosen one lies within the radius. Vectors are
grouped into cells around random pivots and compared with the chosen ones in the order of their
distance to the pivot; most find one within the radius among the first few. The cells determine how
long this takes, never the result.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from patchcore_dual.banks.coreset.greedy import BLOCK_CENTRES, BLOCK_ROWS, load

_PIVOTS = 4096
_AXES = 32  # principal axes in which the nearest pivot is searched for
_COMPARED = (64, 512, 2048)  # chosen vectors to compare a cell with, step by step; then all


@dataclass(frozen=True)
class Cells:
    """A grouping of vectors by their nearest pivot.

    Attributes:
        of: uint16 `[n]`, the cell of each vector.
        pivots: float32 `[p, d]`, the vector in the middle of each cell.
    """

    of: np.ndarray
    pivots: np.ndarray

    @classmethod
    def around_pivots(cls, vectors: np.ndarray, pool: ThreadPoolExecutor) -> "Cells":
        """Cells of vectors float32 or float16 `[n, d]`, around vectors drawn with a fixed seed."""
        n = len(vectors)
        drawn = np.sort(np.random.default_rng(0).choice(n, min(n, _PIVOTS), replace=False))
        pivots = load(vectors, drawn)
        mean = pivots.mean(axis=0)
        _, axes = np.linalg.eigh((pivots - mean).T @ (pivots - mean))
        axes = np.ascontiguousarray(axes[:, ::-1][:, :_AXES], dtype=np.float32)
        along = (pivots - mean) @ axes
        to_pivots, squared_norms = (-2 * along).T, np.einsum("pd,pd->p", along, along)
        cell = np.empty(n, dtype=np.uint16)

        def assign(start: int) -> None:
            rows = slice(start, start + 256)
            relative = ((load(vectors, rows) - mean) @ axes) @ to_pivots
            relative += squared_norms
            cell[rows] = relative.argmin(axis=1)

        list(pool.map(assign, range(0, n, 256)))
        return cls(cell, pivots)


def find_uncovered(
    vectors: np.ndarray, asked: np.ndarray, cells: Cells, chosen: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """The vectors farther than a radius from all chosen ones.

    Args:
        vectors: float32 or float16 `[n, d]`.
        asked: bool `[n]`, which vectors to ask about.
        cells: a grouping of all vectors.
        chosen: int64 `[m]`, rows of the chosen vectors.
        radius: in the unit of the vectors.

    Returns:
        int64 `[u]` and float32 `[u]`: the rows of `asked` that are not covered, in no particular
        order, and their squared distances to the nearest chosen vector.
    """
    rows = np.flatnonzero(asked)
    rows = rows[np.argsort(cells.of[rows], kind="stable")]
    ends = np.searchsorted(cells.of[rows], np.arange(len(cells.pivots)), side="right")
    centres = load(vectors, chosen)
    mean = centres.mean(axis=0, dtype=np.float64).astype(np.float32)
    centres -= mean
    norms = np.einsum("nd,nd->n", centres, centres)
    squared = radius * radius
    left = []
    for p, end in enumerate(ends):
        members_of_cell = rows[ends[p - 1] if p else 0 : end]
        if len(members_of_cell):
            to_pivot = norms - 2 * (centres @ (cells.pivots[p] - mean))
            nearest = _smallest(to_pivot, _COMPARED[-1])
            near = centres[nearest]
            for start in range(0, len(members_of_cell), BLOCK_ROWS):
                block = members_of_cell[start : start + BLOCK_ROWS]
                members = load(vectors, block) - mean
                left.append(
                    block[_not_covered(members, near, norms[nearest], _COMPARED, squared)[0]]
                )
    remaining = np.concatenate([rows[:0], *left])
    # Few are left, from many cells: these are compared with all chosen vectors.
    all_centres = range(BLOCK_CENTRES, len(chosen) + BLOCK_CENTRES, BLOCK_CENTRES)
    uncovered, distances = [], []
    for start in range(0, len(remaining), BLOCK_ROWS):
        block = remaining[start : start + BLOCK_ROWS]
        members = load(vectors, block) - mean
        kept, distance = _not_covered(members, centres, norms, all_centres, squared)
        uncovered.append(block[kept])
        distances.append(distance)
    empty = np.empty(0, dtype=np.float32)
    return np.concatenate([rows[:0], *uncovered]), np.concatenate([empty, *distances])


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` smallest values, in ascending order of the values."""
    if count >= len(values):
        return np.argsort(values)
    smallest = np.argpartition(values, count)[:count]
    return smallest[np.argsort(values[smallest])]


def _not_covered(
    members: np.ndarray,
    centres: np.ndarray,
    squared_norms: np.ndarray,
    ends: Iterable[int],
    limit: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Members with no centre within √limit, and their squared distance to the nearest centre.

    Members `[n, d]` are compared with the centres `[m, d]` in order, up to one of `ends` after the
    other; those that are covered drop out.
    """
    kept = np.arange(len(members))
    nearest = np.full(len(members), np.inf, dtype=np.float32)
    start = 0
    for end in ends:
        some, start = slice(start, end), end
        if not len(kept) or not len(squared_norms[some]):
            break
        relative = members @ (-2 * centres[some]).T
        relative += squared_norms[some]
        difference = members - centres[some][relative.argmin(axis=1)]
        nearest = np.minimum(nearest, np.einsum("nd,nd->n", difference, difference))
        left = nearest > limit
        kept, members, nearest = kept[left], members[left], nearest[left]
    return kept, nearest
