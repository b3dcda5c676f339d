"""`Processes`: the executor of one machine, whose workers are processes."""

import os
import pickle
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from patchcore_dual.utils.executor import (
    Died,
    Event,
    Failed,
    Item,
    Lost,
    Make,
    Ready,
    Result,
    outcome,
    shared_out,
)

# What decides, before a library is loaded, on how many threads it computes.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Processes:
    """Workers in processes of their own, which share this machine's cores among them.

    They are spawned, so that they inherit neither threads nor locks. They end with this process,
    however it ends.

    Args:
        workers: how many processes; None for one for each core.

    >>> Processes(2).workers
    2
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cores()

    def map(
        self, make: Make[Item, Result], items: Iterable[Item]
    ) -> Iterator[tuple[int, Result | Lost]]:
        """See `Executor.map`."""
        crew = _Crew(pickle.dumps(make), threads=max(1, cores() // self.workers))
        try:
            yield from shared_out(crew, self.workers, items)
        finally:
            crew.end()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Crew:
    """Processes, each known by the driver's end of the pipe to it."""

    def __init__(self, make: bytes, threads: int) -> None:
        self._make, self._threads = make, threads
        self._context = get_context("spawn")
        self._processes: dict[Connection, Any] = {}

    def start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._make), daemon=True)
        with _environment(dict.fromkeys(THREAD_VARIABLES, str(self._threads))):
            process.start()
        theirs.close()
        self._processes[ours] = process

    def give(self, worker: Connection, item: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it died: `events` will say so
            worker.send(item)

    def dismiss(self, worker: Connection) -> None:
        worker.close()
        del self._processes[worker]

    def events(self) -> Sequence[tuple[Connection, Event]]:
        ready = cast("list[Connection]", wait([*self._processes]))
        return [(worker, self._event(worker)) for worker in ready]

    def _event(self, worker: Connection) -> Event:
        try:
            event: Event = worker.recv()
        except (EOFError, OSError):
            process = self._processes.pop(worker)
            process.join()
            worker.close()
            return Died(_ending(process.exitcode))
        return event

    def end(self) -> None:
        for worker, process in self._processes.items():
            worker.close()
            process.kill()
            process.join()


def _work(driver: Connection, make: bytes) -> None:
    """What a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which ends the rest
    made = outcome(lambda: pickle.loads(make)())
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the driver needs no more
        driver.send(made if isinstance(made, Failed) else Ready())
        while not isinstance(made, Failed):
            item = driver.recv()
            driver.send(outcome(made.value, item))


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        hint = ", perhaps for want of memory" if -code == getattr(signal, "SIGKILL", 9) else ""
        return f"the process was ended by signal {-code}{hint}"
    return f"the process ended with exit code {code}"


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Environment variables for processes that are started in the block."""
    former = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
