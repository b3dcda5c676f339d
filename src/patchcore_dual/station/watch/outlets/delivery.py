"""`Delivery`: takes results from the queue to one receiver, for as long as it takes."""

import logging
import random
import threading
import time
from typing import Any, Protocol

from patchcore_dual.errors import PatchCoreDualError
from patchcore_dual.station.watch.outlets.queue import Message, OutletQueue

_log = logging.getLogger(__name__)


LONGEST_ASKED = 3600.0
"""Seconds that a receiver may ask to be left alone for; a longer wait would be its mistake."""


class Undelivered(Exception):
    """A receiver did not take a message now, but may later.

    Attributes:
        wait: seconds after which the receiver asked to be tried again; None if it did not say.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Refused(Exception):
    """A receiver will never take this message, whatever happens."""


class Outlet(Protocol):
    """A receiver of results."""

    name: str

    def open(self) -> None:
        """Begin to reach the receiver, without waiting for it."""

    def send(self, message: Message) -> None:
        """Return when the receiver has confirmed the message.

        Raises:
            Undelivered, Refused
        """

    def close(self) -> None:
        """Leave the receiver."""


class Delivery:
    """A thread that sends the messages of one outlet in order, each until it is confirmed.

    After a failure it waits, twice as long each time, and by chance up to a quarter less, so that
    many stations do not return all at once to a receiver that is back.

    Args:
        outlet: the receiver.
        queue: where the messages lie; a message is taken out only once it is confirmed, so a
            restart may send one twice, but loses none.
        first_wait, longest_wait: seconds after the first failure, and at most.
    """

    def __init__(
        self,
        outlet: Outlet,
        queue: OutletQueue,
        first_wait: float = 1.0,
        longest_wait: float = 60.0,
    ) -> None:
        self._outlet = outlet
        self._queue = queue
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._is_stopping = threading.Event()
        self._failure = ""
        self._failing_since: float | None = None
        self._delivered = 0
        self._thread = threading.Thread(target=self._run, name=f"outlet-{outlet.name}", daemon=True)

    def start(self) -> None:
        """Begin to send; called once."""
        self._outlet.open()
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """End after the message that is under way; what is queued stays on disk."""
        self._is_stopping.set()
        self._queue.changed[self._outlet.name].set()
        self._thread.join(timeout)
        self._outlet.close()

    def state(self) -> dict[str, Any]:
        """How the receiver does, as plain values.

        Returns:
            `name`; `queued`, `lost`, `refused` as `OutletQueue.counts` has them; `delivered` since
            the start; `failure`, "" if the last message was taken, and `failing_for`, in seconds.
        """
        since = self._failing_since
        return {
            "name": self._outlet.name,
            **self._queue.counts(self._outlet.name),
            "delivered": self._delivered,
            "failure": self._failure,
            "failing_for": 0.0 if since is None else time.monotonic() - since,
        }

    def _run(self) -> None:
        changed = self._queue.changed[self._outlet.name]
        failures = 0
        while not self._is_stopping.is_set():
            changed.clear()
            try:
                message = self._queue.oldest(self._outlet.name)
                if message is None:
                    changed.wait(60)
                    continue
                self._deliver(message)
            except Undelivered as error:
                wait = self._wait_after(failures)
                if error.wait is not None:  # not before it asked for, and not all at once
                    wait = min(error.wait, LONGEST_ASKED) * random.uniform(1, 1.25)
                self._fails(str(error))
            except PatchCoreDualError as error:  # the queue cannot be read or written now
                wait = self._wait_after(failures)
                self._fails(str(error))
            except Exception as error:
                # No fault here may end the thread, since nobody would see it.
                wait = self._wait_after(30)
                self._fails(f"{type(error).__name__}: {error}")
                _log.exception("A fault in the %s", self._outlet.name)
            else:
                failures = 0
                self._works()
                continue
            failures = min(failures + 1, 30)
            self._is_stopping.wait(wait)

    def _wait_after(self, failures: int) -> float:
        wait = min(self._first_wait * 2**failures, self._longest_wait)
        return wait * random.uniform(0.75, 1)

    def _deliver(self, message: Message) -> None:
        try:
            self._outlet.send(message)
        except Refused as error:
            _log.error(
                "The outlet %s refuses the result %s: %s", self._outlet.name, message.id, error
            )
            self._queue.refused(self._outlet.name, message)
        else:
            self._queue.delivered(self._outlet.name, message)
            self._delivered += 1

    def _fails(self, failure: str) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            _log.warning(
                "The outlet %s takes no results: %s Inspecting goes on, and they are kept.",
                self._outlet.name,
                failure,
            )
        self._failure = failure

    def _works(self) -> None:
        if self._failing_since is not None:
            _log.warning("The outlet %s takes results again.", self._outlet.name)
        self._failure, self._failing_since = "", None
