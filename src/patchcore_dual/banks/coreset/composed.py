"""Coresets of large sets in two rounds, shared by several banks, and one pass over everything.

Composable core-sets (Indyk et al. 2014; for k-centre: Malkomes et al. 2015): choose greedily in
each part, then in the union of what the parts chose. The first round is done once for all banks
that are made of the same parts. What the parts left out may lie farther from the final choice
than what they chose, so a last pass finds what the choice does not cover, and the last tenth of
the choice goes to the farthest of that.

No vector of the bank is farther from the choice than the radius that is returned. The first nine
tenths are at least as far from each other as the radius they reach in the union, as in the plain
greedy choice (Gonzalez 1985); how near the whole choice comes to that one's radius is measured, not
promised.

The pass only asks whether some chosen vector lies within the radius. Vectors are visited in cells
round random pivots, and try the chosen ones in the order of their distance to the pivot; most find
one among the first few. The cells decide how long this takes, never its answer.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from threading import Lock

import numpy as np
from threadpoolctl import threadpool_limits

from patchcore_dual.banks.coreset.greedy import _CENTRES, _ROWS, Greedy, first_choice, load

EXACT = 2_500_000_000  # vectors times choices, up to which the plain greedy choice is made
PART = 50_000  # vectors of a part, about
_SHARE = 2  # a part chooses this much more than its share
_KEPT = 0.9  # of the choice comes from the union, the rest may go to what that leaves uncovered
_PIVOTS = 4096
_AXES = 32  # principal axes in which the nearest pivot is looked for
_TRIED = (64, 512, 2048)  # chosen vectors tried, by distance to the pivot; then all


@dataclass(frozen=True)
class Coreset:
    """Rows that were chosen, int64 sorted, and the covering radius they reached.

    In single precision, which does not hold squares under 1e-38 well: what lies within 1e-19 may
    count as covered.
    """

    rows: np.ndarray
    radius: float


def select_coresets(
    vectors: np.ndarray,
    fold: np.ndarray,
    left_out: Sequence[int | None],
    rate_size: Callable[[int], int],
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    exact: int = EXACT,
) -> list[Coreset]:
    """A coreset of all rows that are not of one fold, for each fold to be left out.

    Args:
        vectors: float32 or float16 `[n, d]`, projected.
        fold: int `[n]`, of each row.
        left_out: for each bank the fold that it does without; None for none.
        rate_size: how many to choose of so many.
        seed: of the first choices.
        progress: told the steps done and their number.
        exact: vectors times choices of a bank, up to which it is chosen from directly.

    Banks are chosen side by side, each from its own folds' rows alone.
    """
    total = np.bincount(fold)
    counts = [len(fold) - (int(total[f]) if f is not None else 0) for f in left_out]
    sizes = [rate_size(count) for count in counts]
    largest = max(count * size for count, size in zip(counts, sizes, strict=True))

    def members(f: int | None) -> np.ndarray:
        return np.arange(len(fold)) if f is None else np.flatnonzero(fold != f)

    # The products are small: more threads would wait for each other.
    threads = min(cpu_count() or 1, 4)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        if largest <= exact:
            steps = _Steps(sum(sizes), progress)

            def choose(f: int | None, size: int) -> Coreset:
                return _choose(vectors, members(f), size, seed, steps.of())

            return list(pool.map(choose, left_out, sizes))
        parts = [part for f in np.unique(fold) for part in _split(np.flatnonzero(fold == f), PART)]
        share = max(size / count for count, size in zip(counts, sizes, strict=True))
        first = [min(len(part), int(np.ceil(_SHARE * share * len(part)))) for part in parts]
        steps = _Steps(sum(first) + 2 * sum(sizes), progress)
        chosen = list(
            pool.map(
                lambda part, size: _choose(vectors, part, size, seed, steps.of()).rows, parts, first
            )
        )
        union = np.concatenate(chosen)
        cell, pivots = _cells(vectors, pool)

        def compose(f: int | None, size: int) -> Coreset:
            told = steps.of()
            of_bank = union if f is None else union[fold[union] != f]
            greedy = Greedy(vectors, of_bank, size)
            greedy.add(first_choice(len(of_bank), seed))
            greedy.choose(max(1, int(_KEPT * size)), told)
            radius = greedy.reached()
            kept = of_bank[greedy.chosen]
            rest = np.ones(len(fold), dtype=bool) if f is None else fold != f
            rest[union] = False  # the union's own distances are known
            uncovered, distance = _uncovered(vectors, rest, cell, pivots, kept, radius)
            told(size)
            greedy.extend(uncovered, distance)
            greedy.choose(size, lambda done: told(size + done))
            told(2 * size)
            rows = greedy.rows[greedy.chosen]
            return Coreset(np.sort(rows), max(radius, greedy.reached()))

        return list(pool.map(compose, left_out, sizes))


def _choose(
    vectors: np.ndarray, rows: np.ndarray, size: int, seed: int, told: Callable[[int], None]
) -> Coreset:
    """The plain greedy choice."""
    if size >= len(rows):
        told(size)
        return Coreset(rows, 0.0)
    greedy = Greedy(vectors, rows, size)
    greedy.add(first_choice(len(rows), seed))
    greedy.choose(size, told)
    told(size)
    return Coreset(np.sort(rows[greedy.chosen]), greedy.reached())


def _split(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return np.array_split(rows, max(1, round(len(rows) / size)))


def _cells(vectors: np.ndarray, pool: ThreadPoolExecutor) -> tuple[np.ndarray, np.ndarray]:
    """The cell of every row, uint16 `[n]`, and the cells' pivots, float32 `[p, d]`."""
    n = len(vectors)
    drawn = np.sort(np.random.default_rng(0).choice(n, min(n, _PIVOTS), replace=False))
    pivots = load(vectors, drawn)
    centre = pivots.mean(axis=0)
    _, axes = np.linalg.eigh((pivots - centre).T @ (pivots - centre))
    axes = np.ascontiguousarray(axes[:, ::-1][:, :_AXES], dtype=np.float32)
    places = (pivots - centre) @ axes
    to_places, squared_norms = (-2 * places).T, np.einsum("pd,pd->p", places, places)
    cell = np.empty(n, dtype=np.uint16)

    def assign(start: int) -> None:
        rows = slice(start, start + 256)
        relative = ((load(vectors, rows) - centre) @ axes) @ to_places
        relative += squared_norms
        cell[rows] = relative.argmin(axis=1)

    list(pool.map(assign, range(0, n, 256)))
    return cell, pivots


def _uncovered(
    vectors: np.ndarray,
    rest: np.ndarray,
    cell: np.ndarray,
    pivots: np.ndarray,
    chosen: np.ndarray,
    radius: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `rest` (bool `[n]`) farther than `radius` from all chosen, and their distances²."""
    rows = np.flatnonzero(rest)
    rows = rows[np.argsort(cell[rows], kind="stable")]
    ends = np.searchsorted(cell[rows], np.arange(len(pivots)), side="right")
    centres = load(vectors, chosen)
    centre = centres.mean(axis=0, dtype=np.float64).astype(np.float32)
    centres -= centre
    norms = np.einsum("nd,nd->n", centres, centres)
    squared = radius * radius
    left = []
    for p, end in enumerate(ends):
        own = rows[ends[p - 1] if p else 0 : end]
        if len(own):
            near = _by_distance(norms - 2 * (centres @ (pivots[p] - centre)), _TRIED[-1])
            some = centres[near]
            for start in range(0, len(own), _ROWS):
                block = own[start : start + _ROWS]
                members = load(vectors, block) - centre
                left.append(block[_tried(members, some, norms[near], _TRIED, squared)[0]])
    remaining = np.concatenate([rows[:0], *left])
    # Few are left, of many cells: they try all that were chosen.
    ends_of_all = range(_CENTRES, len(chosen) + _CENTRES, _CENTRES)
    found, distances = [], []
    for start in range(0, len(remaining), _ROWS):
        block = remaining[start : start + _ROWS]
        members = load(vectors, block) - centre
        kept, distance = _tried(members, centres, norms, ends_of_all, squared)
        found.append(block[kept])
        distances.append(distance)
    empty = np.empty(0, dtype=np.float32)
    return np.concatenate([rows[:0], *found]), np.concatenate([empty, *distances])


def _by_distance(distance: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` smallest, in order."""
    if count >= len(distance):
        return np.argsort(distance)
    smallest = np.argpartition(distance, count)[:count]
    return smallest[np.argsort(distance[smallest])]


def _tried(
    members: np.ndarray, centres: np.ndarray, norms: np.ndarray, ends: Iterable[int], limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Members farther than √limit from all centres, and their squared distances to the nearest.

    Centres are tried in order, up to one of `ends` after the other.
    """
    kept = np.arange(len(members))
    nearest = np.full(len(members), np.inf, dtype=np.float32)
    start = 0
    for end in ends:
        some, start = slice(start, end), end
        if not len(kept) or not len(norms[some]):
            break
        relative = members @ (-2 * centres[some]).T
        relative += norms[some]
        difference = members - centres[some][relative.argmin(axis=1)]
        nearest = np.minimum(nearest, np.einsum("nd,nd->n", difference, difference))
        left = nearest > limit
        kept, members, nearest = kept[left], members[left], nearest[left]
    return kept, nearest


class _Steps:
    """Progress of several threads, counted together."""

    def __init__(self, total: int, progress: Callable[[int, int], None]) -> None:
        self._total, self._progress = total, progress
        self._done, self._lock = 0, Lock()

    def of(self) -> Callable[[int], None]:
        """For one thread: to be told how many of its own steps are done."""
        before = 0

        def told(done: int) -> None:
            nonlocal before
            with self._lock:
                self._done += done - before
                before = done
                self._progress(self._done, self._total)

        return told
