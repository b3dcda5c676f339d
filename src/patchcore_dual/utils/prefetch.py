"""Reading ahead: the next images are read and decoded while the present one is computed on."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], depth: int = 2
) -> Iterator[Result]:
    """`map(function, items)`, with `function` run in a thread up to `depth` items ahead.

    Results come in order, and an exception where its result would have come, after which there is
    nothing more, as with `map`. While the caller has a result, at most `depth` others are ready or
    being made; with 0 it is `map` itself. When the caller stops early, or the iterator is closed,
    what has not begun is dropped and the thread ends.

    Items are taken in the caller's thread, `depth` of them before the first result: take 0 where
    they have to be waited for, as from a camera.
    """
    if depth == 0:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    coming: deque[Future[Result]] = deque()
    try:
        for item in items:
            coming.append(pool.submit(function, item))
            if len(coming) > depth:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
