"""Threads that share a search: as many as PyTorch uses, each computing alone."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import torch

Item = TypeVar("Item")


@lru_cache(maxsize=1)
def _pool() -> tuple[ThreadPoolExecutor, int]:
    count = torch.get_num_threads()
    ready = threading.Barrier(count + 1)

    def compute_alone() -> None:
        torch.set_num_threads(1)  # of this thread; and of threads to come, which is put right below
        ready.wait()

    pool = ThreadPoolExecutor(count, "search", compute_alone)
    for _ in range(count):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(count)
    return pool, count


if hasattr(os, "register_at_fork"):  # a forked process has no threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def share(work: Callable[[Iterator[Item]], None], items: Iterable[Item]) -> None:
    """Run `work` on every thread; each takes its next item from the one iterator it is given."""
    pool, count = _pool()
    remaining = _Shared(items)
    for done in [pool.submit(work, remaining) for _ in range(count)]:
        done.result()


def share_rows(work: Callable[[tuple[int, int]], None], rows: int) -> None:
    """Run `work` on every thread, each on its own part of so many rows."""
    pool, count = _pool()
    edges = [rows * i // count for i in range(count + 1)]
    for done in [pool.submit(work, part) for part in pairwise(edges)]:
        done.result()


class _Shared(Iterator[Item]):
    """An iterator that several threads may take from."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __next__(self) -> Item:
        with self._lock:
            return next(self._items)
