"""Coresets of large sets: composed of the coresets of parts, which several banks share.

Composable core-sets (Indyk et al. 2014; for k-centre: Malkomes et al. 2015): choose greedily within
each part, then greedily from the union of what the parts chose, the candidates. The first round is
done once for all banks that contain the same parts. Vectors not selected within their part may be
farther from the final coreset than any candidate, so a last pass finds all vectors that the choice
leaves uncovered, and the last tenth of the coreset is chosen greedily from those.

No vector of the bank is farther from the coreset than the radius that is returned. The first nine
tenths are pairwise separated by at least their covering radius on the candidates, as in plain
greedy selection (Gonzalez 1985). The final covering radius is close to that of plain greedy
selection in our measurements, without a guarantee.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import cpu_count
from threading import Lock

import numpy as np
from threadpoolctl import threadpool_limits

from patchcore_dual.banks.coreset.coverage import Cells, find_uncovered
from patchcore_dual.banks.coreset.greedy import Coreset, Greedy, first_choice, select_coreset
from patchcore_dual.utils.spread import Spread

EXACT = 2_500_000_000  # vectors times choices, up to which plain greedy selection is used
PART = 50_000  # vectors of a part, about
_OVERSAMPLING = 2  # a part chooses this many times its share of the coreset
_FROM_CANDIDATES = 0.9  # of the coreset; the rest may come from vectors that are left uncovered


def select_coresets(
    vectors: np.ndarray,
    fold: np.ndarray,
    left_out: Sequence[int | None],
    *,
    size_of: Callable[[int], int],
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    exact: int = EXACT,
    spread: Spread | None = None,
) -> list[Coreset]:
    """The greedy k-centre coresets of several banks, each of all vectors but those of one fold.

    Small sets are chosen from directly, as `select_coreset` does; large ones by parts. Either way a
    bank's coreset depends on the vectors of its own folds alone.

    Args:
        vectors: float32 or float16 `[n, d]`, projected patch features; may be mapped from a file.
        fold: unsigned integer `[n]`, the fold of each vector.
        left_out: for each bank the fold that it leaves out; None to leave out none.
        size_of: how many vectors to choose from a given number.
        seed: determines the first vector of each selection.
        progress: called with the number of steps done and their total.
        exact: the largest number of vectors times choices of a bank for which it is chosen from
            directly.
        spread: has workers that choose within parts; threads of this process do by default.

    Returns:
        A coreset for each entry of `left_out`, whose rows are rows of `vectors`.

    >>> vectors = np.random.default_rng(0).random((300, 2), np.float32)
    >>> fold = np.repeat(np.arange(3, dtype=np.uint8), 100)
    >>> everything, without_fold_2 = select_coresets(
    ...     vectors, fold, [None, 2], size_of=lambda n: n // 10, seed=0
    ... )
    >>> len(everything.rows), len(without_fold_2.rows)
    (30, 20)
    >>> int(without_fold_2.rows.max()) < 200
    True
    """
    total = np.bincount(fold)
    counts = [len(fold) - (int(total[f]) if f is not None else 0) for f in left_out]
    sizes = [size_of(count) for count in counts]
    largest = max(count * size for count, size in zip(counts, sizes, strict=True))

    # The products are small: more threads would wait for each other.
    threads = min(cpu_count() or 1, 4)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        if largest <= exact:
            steps = _SharedProgress(sum(sizes), progress)

            def choose(f: int | None, size: int) -> Coreset:
                rows = None if f is None else np.flatnonzero(fold != f)
                return select_coreset(vectors, size, seed, steps.counter(), rows)

            return list(pool.map(choose, left_out, sizes))
        parts = [part for f in np.unique(fold) for part in _split(np.flatnonzero(fold == f), PART)]
        rate = max(size / count for count, size in zip(counts, sizes, strict=True))
        part_sizes = [
            min(len(part), int(np.ceil(_OVERSAMPLING * rate * len(part)))) for part in parts
        ]
        steps = _SharedProgress(sum(part_sizes) + 2 * sum(sizes), progress)

        def choose_in_part(part: np.ndarray, size: int) -> np.ndarray:
            return select_coreset(vectors, size, seed, steps.counter(), part).rows

        if spread is None:
            chosen = list(pool.map(choose_in_part, parts, part_sizes))
        else:
            items = ((vectors[part], size) for part, size in zip(parts, part_sizes, strict=True))
            of_parts = spread.in_order(partial(_choose, seed), items, here=_choose(seed))
            chosen = []
            for part, size, rows in zip(parts, part_sizes, of_parts, strict=True):
                chosen.append(part[rows])
                steps.counter()(size)
        candidates = np.concatenate(chosen)
        cells = Cells.around_pivots(vectors, pool)

        def compose(f: int | None, size: int) -> Coreset:
            report = steps.counter()
            own = candidates if f is None else candidates[fold[candidates] != f]
            greedy = Greedy(vectors, own, size)
            greedy.add(first_choice(len(own), seed))
            greedy.choose(max(1, int(_FROM_CANDIDATES * size)), report)
            radius = greedy.covering_radius()
            others = np.ones(len(fold), dtype=bool) if f is None else fold != f
            others[candidates] = False  # their distances are known
            uncovered = find_uncovered(vectors, others, cells, greedy.chosen_rows, radius)
            report(size)
            greedy.extend(*uncovered)
            greedy.choose(size, lambda done: report(size + done))
            report(2 * size)
            # Vectors that were covered before the last tenth are within `radius` still.
            return Coreset(greedy.chosen_rows, max(radius, greedy.covering_radius()))

        return list(pool.map(compose, left_out, sizes))


def _choose(seed: int) -> Callable[[tuple[np.ndarray, int]], np.ndarray]:
    """What a worker does with the vectors of a part and the number of them to choose."""
    return lambda part: select_coreset(part[0], part[1], seed).rows


def _split(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows in consecutive parts of about the given size."""
    return np.array_split(rows, max(1, round(len(rows) / size)))


class _SharedProgress:
    """Progress of several threads, reported as one count."""

    def __init__(self, total: int, progress: Callable[[int, int], None]) -> None:
        self._total, self._progress = total, progress
        self._done, self._lock = 0, Lock()

    def counter(self) -> Callable[[int], None]:
        """A callback for one thread, to be called with how many of its own steps are done."""
        before = 0

        def report(done: int) -> None:
            nonlocal before
            with self._lock:
                self._done += done - before
                before = done
                self._progress(self._done, self._total)

        return report
