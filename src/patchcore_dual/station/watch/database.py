"""`WatchDatabase`: a small SQLite file for what watched folders and outlets must not forget.

It is a file of its own beside the log, since it has to be at hand when the log's database is away.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patchcore_dual.errors import StationError

_VERSION = 1
_SCHEMA = """
CREATE TABLE file (
    folder BLOB NOT NULL,
    path BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    target BLOB,
    body TEXT,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (folder, path, sha256)
) WITHOUT ROWID;
CREATE INDEX unplaced ON file (folder) WHERE state = 'judged';
CREATE TABLE outlet (
    name TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE message (
    outlet TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (outlet, sequence)
) WITHOUT ROWID;
"""


class WatchDatabase:
    """The open file; every transaction is on disk when it ends.

    Args:
        path: made where it is not there.

    Raises:
        StationError: it cannot be opened, is damaged, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=10, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None
        if version > _VERSION:
            self.close()
            raise StationError(
                f"{path} was written by a newer version of patchcore-dual: update this one."
            )
        if version < _VERSION:
            with self.transaction() as connection:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is on disk after the block, or, with an error, nothing.

        Raises:
            StationError: it cannot be written or read, as on a full disk.
        """
        with self._lock:
            if self._connection.in_transaction:  # it is part of the one around it
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._unusable(error) from None

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _unusable(self, error: Exception) -> StationError:
        return StationError(
            f"{self.path}, which remembers the watched folders, cannot be used: {error}. "
            "Nothing is inspected there until it can."
        )
