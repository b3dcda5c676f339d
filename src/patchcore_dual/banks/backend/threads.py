"""The thread pool of a search: as many threads as the backend uses, each computing alone."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from patchcore_dual.banks.backend.compute import get_backend

Item = TypeVar("Item")


@lru_cache(maxsize=1)
def _pool() -> tuple[ThreadPoolExecutor, int]:
    backend = get_backend()
    count = backend.thread_count()
    ready = threading.Barrier(count + 1)

    def compute_alone() -> None:
        backend.set_thread_count(1)
        ready.wait()

    pool = ThreadPoolExecutor(count, "search", compute_alone)
    for _ in range(count):
        pool.submit(int)
    ready.wait()
    backend.set_thread_count(count)  # threads started later would otherwise compute alone, too
    return pool, count


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run_on_threads(work: Callable[[Iterator[Item]], None], items: Iterable[Item]) -> None:
    """Call `work` once on every thread and wait for all; the threads share the items.

    Args:
        work: called with an iterator. All threads draw from the same items: each is given to one.
        items: what there is to do.

    Raises:
        Exception: the first that `work` raised.

    >>> squares = [0] * 5
    >>> def square(numbers):
    ...     for n in numbers:
    ...         squares[n] = n * n
    >>> run_on_threads(square, range(5))
    >>> squares
    [0, 1, 4, 9, 16]
    """
    pool, count = _pool()
    shared = _SharedIterator(items)
    for done in [pool.submit(work, shared) for _ in range(count)]:
        done.result()


def run_on_row_blocks(work: Callable[[tuple[int, int]], None], rows: int) -> None:
    """Call `work` once on every thread, each with its own block of rows, and wait for all.

    Args:
        work: called with `(start, stop)`, the bounds of its block.
        rows: how many rows there are in all.

    Raises:
        Exception: the first that `work` raised.
    """
    pool, count = _pool()
    edges = [rows * i // count for i in range(count + 1)]
    for done in [pool.submit(work, block) for block in pairwise(edges)]:
        done.result()


class _SharedIterator(Iterator[Item]):
    """An iterator that several threads may draw from."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __next__(self) -> Item:
        with self._lock:
            return next(self._items)
