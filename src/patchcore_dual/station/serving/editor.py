"""`Editor`: a process in which models are edited, so that inspections go on meanwhile."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from patchcore_dual.errors import StationError

P = ParamSpec("P")
T = TypeVar("T")
WAITING = 8  # edits that may wait for another
_NICER = 5  # inspections go first


class EditorBusy(StationError):
    """More edits wait than are allowed."""


class Editor:
    """Runs one edit after the other in a process that ends with this one.

    It is started by the first edit. A model on disk is changed whole or not at all, so that the
    process may be killed at any time.
    """

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()
        self._running = 0

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a function of a module run with values that can be pickled, and wait for it.

        Raises:
            EditorBusy: at once, where too many wait.
            StationError: where the process was killed, as for want of memory.
        """
        with self._lock:
            if self._running > WAITING:
                raise EditorBusy(f"{WAITING} changes are waiting already. Try again in a moment.")
            self._running += 1
        pool = None
        try:
            with self._lock:
                pool = self._pool = self._pool or _pool_of_one()
                future = pool.submit(work, *args, **kwargs)
            return future.result()
        except BrokenProcessPool:
            self._end(pool)
            raise StationError(
                "the change was cut short: its process was ended, perhaps for want of memory. The "
                "model is as it was, or changed; see its versions."
            ) from None
        finally:
            with self._lock:
                self._running -= 1

    def close(self) -> None:
        """End the process, whatever it does."""
        self._end(self._pool)

    def _end(self, pool: ProcessPoolExecutor | None) -> None:
        """End a pool, but not the one that another thread has started since."""
        if pool is None:
            return
        with self._lock:
            if self._pool is pool:
                self._pool = None
        if self._running:  # a change that was begun is whole or not at all
            for process in list((pool._processes or {}).values()):
                process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


def _pool_of_one() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """In the new process: leave Ctrl-C to the station, give way to it, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICER)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
