"""`Inspector`: one worker that inspects one image after the other, and a queue that has an end."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from patchcore_dual.errors import StationError, UnavailableError

T = TypeVar("T")


class QueueFull(StationError):
    """More images wait than are allowed.

    Attributes:
        retry_after: seconds after which there is probably room again.
    """

    def __init__(self, waiting: int, retry_after: float) -> None:
        super().__init__(
            f"the queue is full: as many images as may wait ({waiting}) are waiting. Send this one "
            "again in a moment, or send fewer at a time."
        )
        self.retry_after = retry_after


class TooSlow(StationError):
    """An image that waited longer than is allowed."""


class Inspector:
    """Runs one piece of work at a time, in the order in which it was given.

    Inspecting uses all cores for one image, so that two at once would only make both slower.

    >>> inspector = Inspector(limit=2, max_seconds=10)
    >>> inspector.submit(lambda: 6 * 7).result()
    42
    >>> inspector.close()

    Args:
        limit: pieces of work that may wait.
        max_seconds: for which one may wait.
    """

    def __init__(self, limit: int, max_seconds: float) -> None:
        self.limit, self.max_seconds = limit, max_seconds
        self.seconds = 0.05  # that one takes, as of late
        self._waiting: queue.Queue[tuple[Callable[[], Any], Future[Any], float] | None]
        self._waiting = queue.Queue(limit)
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="inspector", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting.qsize()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Have some work done, in its turn.

        Returns:
            What it gives or raises; `TooSlow` where its turn came too late.

        Raises:
            QueueFull: at once, where too many wait.
            UnavailableError: where the station is stopping.
        """
        if self._is_closed:
            raise UnavailableError("the station is stopping. Send the image again when it is back.")
        future: Future[T] = Future()
        try:
            self._waiting.put_nowait((work, future, time.monotonic()))
        except queue.Full:
            seconds = self.seconds * self.limit / 2
            raise QueueFull(self.limit, max(1.0, seconds)) from None
        return future

    def close(self) -> None:
        """Finish what waits, and stop."""
        self._is_closed = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            work, future, since = job
            if not future.set_running_or_notify_cancel():
                continue
            begun = time.monotonic()
            if begun - since > self.max_seconds:
                future.set_exception(
                    TooSlow(f"the image waited for longer than {self.max_seconds:g} s. Send fewer.")
                )
                continue
            try:
                result = work()
            except BaseException as error:  # whatever it is, it belongs to whoever asked
                future.set_exception(error)
            else:
                future.set_result(result)
            self.seconds += 0.1 * (time.monotonic() - begun - self.seconds)
            del job, work, future  # the image is not held while the next is waited for
