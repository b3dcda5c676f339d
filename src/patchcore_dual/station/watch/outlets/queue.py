"""`OutletQueue`: results on their way to a receiver, on disk until it has confirmed them."""

import json
import logging
import threading
from dataclasses import dataclass
from typing import Any

from patchcore_dual.station.watch.database import WatchDatabase

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """One result.

    Attributes:
        id: of the inspection; a receiver knows by it what it has already.
        kind: "inspection", or "unreadable" for a file that could not be inspected.
        body: the result as a JSON object: of an inspection what `InspectionRecord.to_json` gives.
        sequence: 1, 2, 3 … for each outlet; 0 before it is queued. A gap means that messages were
            lost, since the queue was full.
    """

    id: str
    kind: str
    body: str
    sequence: int = 0

    @property
    def values(self) -> dict[str, Any]:
        """The result as plain values."""
        values: dict[str, Any] = json.loads(self.body)
        return values


class OutletQueue:
    """The queues of several outlets, each in order and with a bound.

    When a queue is full the oldest message makes room, so that inspecting goes on: the log has
    every result, and the receiver sees a gap in `sequence`. The first loss is logged as an error.

    Args:
        database: where they lie.
        outlets: names of the outlets that there are; each message goes to all.
        limit: most messages that one outlet keeps.
    """

    def __init__(self, database: WatchDatabase, outlets: list[str], limit: int = 100_000) -> None:
        self._database = database
        self._outlets = outlets
        self._limit = limit
        self._is_losing = dict.fromkeys(outlets, False)
        self.changed = {name: threading.Event() for name in outlets}
        with database.transaction() as connection:
            for name in outlets:
                connection.execute(
                    "INSERT INTO outlet (name) VALUES (?) ON CONFLICT DO NOTHING", (name,)
                )

    def put(self, message: Message) -> None:
        """Queue a message for every outlet; on disk when the transaction around it is.

        Raises:
            StationError: it cannot be written.
        """
        with self._database.transaction() as connection:
            for name in self._outlets:
                connection.execute(
                    "UPDATE outlet SET sequence = sequence + 1 WHERE name = ?", (name,)
                )
                connection.execute(
                    "INSERT INTO message (outlet, sequence, id, kind, body) "
                    "SELECT name, sequence, ?, ?, ? FROM outlet WHERE name = ?",
                    (message.id, message.kind, message.body, name),
                )
                self._keep_to_limit(name)
        for name in self._outlets:
            self.changed[name].set()

    def oldest(self, outlet: str) -> Message | None:
        """The message that is next; None if there is none."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT id, kind, body, sequence FROM message WHERE outlet = ? "
                "ORDER BY sequence LIMIT 1",
                (outlet,),
            ).fetchone()
        return Message(*row) if row else None

    def delivered(self, outlet: str, message: Message) -> None:
        """Take out a message that the receiver has confirmed."""
        self._remove(outlet, message)

    def refused(self, outlet: str, message: Message) -> None:
        """Take out a message that the receiver will never take, and count it."""
        with self._database.transaction() as connection:
            self._remove(outlet, message)
            connection.execute("UPDATE outlet SET refused = refused + 1 WHERE name = ?", (outlet,))

    def counts(self, outlet: str) -> dict[str, int]:
        """How many messages are `queued`, and were ever `lost` or `refused`."""
        with self._database.transaction() as connection:
            queued = self._n_queued(outlet)
            lost, refused = connection.execute(
                "SELECT lost, refused FROM outlet WHERE name = ?", (outlet,)
            ).fetchone()
        return {"queued": queued, "lost": lost, "refused": refused}

    def _n_queued(self, outlet: str) -> int:
        # Messages leave at the front only, so the sequence numbers have no holes.
        with self._database.transaction() as connection:
            first, last = connection.execute(
                "SELECT min(sequence), max(sequence) FROM message WHERE outlet = ?", (outlet,)
            ).fetchone()
        return 0 if first is None else last - first + 1

    def _keep_to_limit(self, outlet: str) -> None:
        excess = self._n_queued(outlet) - self._limit
        if excess <= 0:
            self._is_losing[outlet] = False
            return
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM message WHERE outlet = ? AND sequence <= "
                "(SELECT min(sequence) FROM message WHERE outlet = ?) + ? - 1",
                (outlet, outlet, excess),
            )
            connection.execute("UPDATE outlet SET lost = lost + ? WHERE name = ?", (excess, outlet))
        if not self._is_losing[outlet]:
            self._is_losing[outlet] = True
            _log.error(
                "The queue for the %s is full with %d results: the oldest are lost to it. The log "
                "has them all. Look why its receiver takes none.",
                outlet,
                self._limit,
            )

    def _remove(self, outlet: str, message: Message) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM message WHERE outlet = ? AND sequence = ?", (outlet, message.sequence)
            )
