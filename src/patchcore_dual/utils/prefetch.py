"""Prefetching: the next images are read and decoded while the present one is computed on."""

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

    Results and exceptions come in the order of the items; an exception is raised in place of its
    result and ends the iteration, as with `map`. When the caller stops early or closes the
    iterator, calls that have not begun are cancelled and the thread ends.

    Args:
        function: what to apply, for example `read_image`.
        items: its arguments. They are taken in the caller's thread, `depth` of them before the
            first result: for items that have to be waited for, as from a camera, set `depth` to 0.
        depth: the most results that are ready or being computed while the caller works on one;
            0 is `map` itself, without a thread.

    >>> list(prefetch(len, ["a", "bb", "ccc"]))
    [1, 2, 3]
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
