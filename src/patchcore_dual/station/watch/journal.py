"""`Journal`: what was done with each file of a watched folder, on disk before it counts."""

import os
import time
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any, Literal

from patchcore_dual.station.settings import WatchedFolder
from patchcore_dual.station.watch.database import WatchDatabase
from patchcore_dual.station.watch.listing import Signature
from patchcore_dual.station.watch.outlets.queue import Message, OutletQueue

State = Literal["begun", "judged", "done"]
_COLUMNS = "path, sha256, id, state, attempts, target, body, size, modified, changed"


@dataclass(frozen=True)
class Entry:
    """A file, as its path and content, and how far it has come.

    Attributes:
        path: in the watched folder.
        sha256: hex digest of its content.
        id: of its inspection, given before it is inspected.
        state: "begun": its inspection may be in the log or not. "judged": it is, or the file
            is given up; the outlets' queues have it. "done": it is in its place, too.
        attempts: how many times its inspection was begun.
        target: path in the watched folder that it is to be at in the end.
        body: what the JSON file beside it holds; forgotten once that is written.
        signature: of the file that was read.
    """

    path: bytes
    sha256: str
    id: str
    state: State
    attempts: int
    target: bytes | None
    body: str | None
    signature: Signature


class Journal:
    """The files of one watched folder.

    Args:
        database: holds the journals of all watched folders.
        watched: the folder, known by its path as it is given.
        queue: of the messages to outlets.
    """

    def __init__(self, database: WatchDatabase, watched: WatchedFolder, queue: OutletQueue) -> None:
        self._database = database
        self._folder = os.fsencode(watched.folder)
        self._queue = queue

    def find(self, path: bytes, sha256: str) -> Entry | None:
        """The entry of a file, by path and content."""
        entries = self._select("path = ? AND sha256 = ?", path, sha256)
        return entries[0] if entries else None

    def unplaced(self) -> list[Entry]:
        """Files that are judged and not yet known to be in their place."""
        return self._select("state = 'judged' ORDER BY at")

    def signatures(self) -> dict[bytes, Signature]:
        """Of files that are done and were left where they appeared."""
        done = self._select("state = 'done' ORDER BY at")
        return {entry.path: entry.signature for entry in done}

    def begin(self, path: bytes, sha256: str, signature: Signature, new_id: str) -> Entry:
        """Note that a file is about to be inspected, once more if it was begun before.

        Args:
            new_id: of its inspection; one that was begun before keeps its own.
        """
        values = (self._folder, path, sha256, new_id, *signature, time.time())
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO file (folder, path, sha256, id, state, size, modified, changed, at) "
                "VALUES (?, ?, ?, ?, 'begun', ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                values,
            )
            connection.execute(
                "UPDATE file SET attempts = attempts + 1, size = ?, modified = ?, changed = ?, "
                "at = ? WHERE folder = ? AND path = ? AND sha256 = ?",
                (*signature, time.time(), self._folder, path, sha256),
            )
            entry = self.find(path, sha256)
        assert entry is not None
        return entry

    def uncount(self, entry: Entry) -> None:
        """Leave the last attempt out of the count: it failed by no fault of the file."""
        self._update(entry, attempts=entry.attempts - 1)

    def judged(self, entry: Entry, target: bytes, body: str, message: Message | None) -> Entry:
        """Note the result of a file, and queue it for the outlets, both or neither.

        Args:
            entry: the file.
            target, body: see `Entry`.
            message: for the outlets; None where they have had it.
        """
        with self._database.transaction():
            self._update(entry, state="judged", target=target, body=body)
            if message is not None:
                self._queue.put(message)
        return replace(entry, state="judged", target=target, body=body)

    def retarget(self, entry: Entry, target: bytes) -> Entry:
        """Note another place for a file, since there is a file at the one that was chosen."""
        self._update(entry, target=target)
        return replace(entry, target=target)

    def done(self, entry: Entry, signature: Signature | None = None) -> None:
        """Note that a file is in its place.

        Args:
            signature: as it is now, where it was left where it appeared.
        """
        size, modified, changed = signature or entry.signature
        self._update(
            entry,
            **{"state": "done", "body": None, "at": time.time()},
            **{"size": size, "modified": modified, "changed": changed},
        )

    def drop(self, entry: Entry) -> None:
        """Forget a file."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM file WHERE folder = ? AND path = ? AND sha256 = ?",
                (self._folder, entry.path, entry.sha256),
            )

    def forget(self, before: float, there: Container[bytes]) -> int:
        """Forget files of which nothing was heard since a time, other than those still there.

        Args:
            before: seconds since 1970.
            there: paths of the files in the folder.

        Returns:
            How many were forgotten.
        """
        old = self._select("state != 'judged' AND at < ?", before)
        old = [entry for entry in old if entry.path not in there]
        with self._database.transaction():  # one for all: each is a wait for the disk
            for entry in old:
                self.drop(entry)
        return len(old)

    def _select(self, condition: str, *values: Any) -> list[Entry]:
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM file WHERE folder = ? AND {condition}",
                (self._folder, *values),
            ).fetchall()
        return [_entry(*row) for row in rows]

    def _update(self, entry: Entry, **values: Any) -> None:
        changes = ", ".join(f"{name} = ?" for name in values)
        with self._database.transaction() as connection:
            connection.execute(
                f"UPDATE file SET {changes} WHERE folder = ? AND path = ? AND sha256 = ?",
                (*values.values(), self._folder, entry.path, entry.sha256),
            )


def _entry(
    path: bytes,
    sha256: str,
    id: str,
    state: State,
    attempts: int,
    target: bytes | None,
    body: str | None,
    *signature: int,
) -> Entry:
    """An entry of a row."""
    return Entry(path, sha256, id, state, attempts, target, body, Signature(*signature))
