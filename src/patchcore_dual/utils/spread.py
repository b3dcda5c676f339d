"""`Spread`: work of one process that is handed to an executor's workers, in order and measured."""

import os
import platform
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from patchcore_dual.utils.executor import Executor, Item, Lost, Make, Result
from patchcore_dual.utils.memory import peak


@dataclass
class Share:
    """What one worker has done.

    Attributes:
        node: the machine.
        process: its number there.
        items: how many it has done.
        seconds: that it took for these.
        memory: the most bytes that it held.
    """

    node: str
    process: int
    items: int = 0
    seconds: float = 0.0
    memory: int = 0


@dataclass
class Spread:
    """An executor, and what its workers have done so far.

    >>> from patchcore_dual.utils.executor import InThisProcess
    >>> spread = Spread(InThisProcess())
    >>> list(spread.in_order(lambda: str.upper, "ab", here=str.upper))
    ['A', 'B']
    >>> [share.items for share in spread.shares]
    [2]

    Attributes:
        executor: has the workers.
    """

    executor: Executor
    _shares: dict[tuple[str, int], Share] = field(default_factory=dict)

    @property
    def shares(self) -> list[Share]:
        """What each worker has done, by machine and process."""
        return [self._shares[key] for key in sorted(self._shares)]

    def in_order(
        self, make: Make[Item, Result], items: Iterable[Item], here: Callable[[Item], Result]
    ) -> Generator[Result]:
        """The results of all items, in their order.

        Args:
            make: see `Executor.map`.
            items: of which as many are held as are being worked on, or done before their turn.
            here: does in this process what no worker could.
        """
        held: dict[int, Item] = {}
        ready: dict[int, Result] = {}

        def handed_over() -> Iterator[Item]:
            for number, item in enumerate(items):
                held[number] = item
                yield item

        turn = 0
        for number, done in self.executor.map(partial(_measured, make), handed_over()):
            item = held.pop(number)
            ready[number] = here(item) if isinstance(done, Lost) else self._counted(done)
            while turn in ready:
                yield ready.pop(turn)
                turn += 1

    def _counted(self, done: "_Done") -> Any:
        key = done.node, done.process
        share = self._shares.setdefault(key, Share(*key))
        share.items += 1
        share.seconds += done.seconds
        share.memory = max(share.memory, done.memory)
        return done.result


class _Done(NamedTuple):
    result: Any
    node: str
    process: int
    seconds: float
    memory: int


def _measured(make: Make[Item, Result]) -> Callable[[Item], _Done]:
    function = make()

    def measured(item: Item) -> _Done:
        started = time.perf_counter()
        result = function(item)
        seconds = time.perf_counter() - started
        return _Done(result, platform.node(), os.getpid(), seconds, peak())

    return measured
