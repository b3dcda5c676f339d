"""`Executor`: one function on many items, in this process, in others or on other machines.

Whoever has work to share out writes it once against this protocol. Workers may die at any time;
what is done about it is the same wherever they run, and stands in `shared_out`.
"""

import pickle
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from patchcore_dual.errors import WorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")
Make = Callable[[], Callable[[Item], Result]]
"""Is called once in each worker, as to load a model, and gives the function of an item."""

TRIES = 3  # of an item whose worker dies, and of starting a worker


@dataclass(frozen=True)
class Lost:
    """What stands in place of the result of an item whose worker died each time it was tried.

    Attributes:
        reason: how the last worker ended.
    """

    reason: str


class Executor(Protocol):
    """Runs a function on many items, on one or more workers.

    Attributes:
        workers: how many items are worked on at a time.
    """

    workers: int

    def map(
        self, make: Make[Item, Result], items: Iterable[Item]
    ) -> Iterator[tuple[int, Result | Lost]]:
        """Results with the numbers of their items, from 0, in the order in which they are ready.

        Items are taken one by one as workers become free, so that there may be any number of them.
        Leaving the iterator early stops the workers.

        Args:
            make: see `Make`. What it closes over is pickled, and so are items and results.
            items: what the function is called with.

        Raises:
            WorkerError: workers die before they have an item, time and again.
            Exception: the first that `make` or the function raised.
        """
        ...


class InThisProcess:
    """The executor that needs no other process.

    >>> def make():
    ...     return str.upper
    >>> list(InThisProcess().map(make, ["a", "b"]))
    [(0, 'A'), (1, 'B')]
    """

    workers = 1

    def map(
        self, make: Make[Item, Result], items: Iterable[Item]
    ) -> Iterator[tuple[int, Result | Lost]]:
        """See `Executor.map`."""
        function = None
        for index, item in enumerate(items):
            function = function or make()
            yield index, function(item)


class Ready:
    """A worker has started, and is free."""


@dataclass(frozen=True)
class Done:
    """A worker has the result of its item, and is free."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """A worker's function raised."""

    error: Exception


@dataclass(frozen=True)
class Died:
    """A worker is no more."""

    reason: str


Event = Ready | Done | Failed | Died


def outcome(function: Callable[..., Any], *arguments: Any) -> Done | Failed:
    """What a call in a worker gives or raises. An error carries the worker's traceback as a note.

    >>> outcome(int, "7")
    Done(value=7)
    >>> outcome(int, "seven")
    Failed(error=ValueError("invalid literal for int() with base 10: 'seven'"))
    """
    try:
        return Done(function(*arguments))
    except Exception as error:
        error.add_note("In a worker: " + "".join(traceback.format_exception(error)).rstrip())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return Failed(RuntimeError(f"{type(error).__name__}: {error}"))
        return Failed(error)


class Crew(Protocol):
    """Workers that an executor starts; each takes one item at a time."""

    def start(self) -> None:
        """Begin to start one more worker."""
        ...

    def give(self, worker: Any, item: Any) -> None:
        """Hand an item to a free worker."""
        ...

    def dismiss(self, worker: Any) -> None:
        """End a worker that is not needed any more."""
        ...

    def events(self) -> Sequence[tuple[Hashable, Event]]:
        """Wait until something has happened, and say what, with the worker it happened to."""
        ...


def shared_out(crew: Crew, size: int, items: Iterable[Item]) -> Iterator[tuple[int, Any]]:
    """Have a crew of at most `size` workers do some items, and give results as `Executor.map` does.

    A worker that dies is replaced, and another tries its item, `TRIES` times in all.
    """
    waiting = _Waiting(items)
    starting = failed_starts = 0
    busy: dict[Hashable, _Task[Item]] = {}
    while True:
        while starting + len(busy) < size and starting < waiting.count(size):
            crew.start()
            starting += 1
        if not busy and not waiting.count(1):
            return
        for worker, event in crew.events():
            task = busy.pop(worker, None)
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Died):
                if task is None:
                    starting, failed_starts = starting - 1, failed_starts + 1
                    if failed_starts >= TRIES * size:
                        raise WorkerError(f"no worker can be started: {event.reason}.")
                elif task.tries < TRIES:
                    waiting.again(task)
                else:
                    yield task.index, Lost(event.reason)
                continue
            if isinstance(event, Ready):
                starting, failed_starts = starting - 1, 0
            following = waiting.take()
            if following is None:
                crew.dismiss(worker)
            else:
                busy[worker] = following
                crew.give(worker, following.item)
            if task is not None and isinstance(event, Done):
                yield task.index, event.value


@dataclass
class _Task(Generic[Item]):
    index: int
    item: Item
    tries: int = 0


class _Waiting(Generic[Item]):
    """The items that no worker has: those to be tried again before those not yet tried."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._fresh = enumerate(items)
        self._ahead: deque[_Task[Item]] = deque()

    def count(self, at_most: int) -> int:
        """How many there are, as far as one need know."""
        while len(self._ahead) < at_most and (fresh := next(self._fresh, None)):
            self._ahead.append(_Task(*fresh))
        return min(len(self._ahead), at_most)

    def again(self, task: _Task[Item]) -> None:
        self._ahead.appendleft(task)

    def take(self) -> _Task[Item] | None:
        if not self.count(1):
            return None
        task = self._ahead.popleft()
        task.tries += 1
        return task
