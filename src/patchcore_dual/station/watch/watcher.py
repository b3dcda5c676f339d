"""`Watcher`: looks at one folder for as long as the station runs."""

import json
import logging
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from patchcore_dual.data.listing import printable, why_left_out
from patchcore_dual.errors import DataError, PatchCoreDualError, StationError
from patchcore_dual.station.serving.inspector import QueueFull
from patchcore_dual.station.settings import WatchedFolder
from patchcore_dual.station.watch.arrivals import Arrivals
from patchcore_dual.station.watch.database import WatchDatabase
from patchcore_dual.station.watch.file_inspection import LONGEST_WAIT, FileInspection, Station
from patchcore_dual.station.watch.journal import Entry, Journal
from patchcore_dual.station.watch.listing import Found, Signature, list_files
from patchcore_dual.station.watch.outlets.queue import OutletQueue
from patchcore_dual.station.watch.placing import is_taken, place, target_of
from patchcore_dual.utils.locking import locked

_log = logging.getLogger(__name__)

REMEMBERED = 7 * 86_400.0
"""Seconds for which a file that was moved is known, should the same come again."""
_HOUR = 3600.0
_MOST_SAID = 1000


class Watcher:
    """A thread that looks at a folder time and again, and puts what is inspected into its place.

    Args:
        station: inspects.
        watched: the folder.
        database: holds the journal.
        queue: takes the results for the outlets.
    """

    def __init__(
        self,
        station: Station,
        watched: WatchedFolder,
        database: WatchDatabase,
        queue: OutletQueue,
    ) -> None:
        self._watched = watched
        self._root = os.fsencode(watched.folder)
        self._journal = Journal(database, watched, queue)
        self._arrivals = Arrivals(watched.settle)
        if watched.then == "mark":
            for path, signature in self._journal.signatures().items():
                self._arrivals.done(path, signature)
        self._files = FileInspection(station, watched, self._journal, self._arrivals)
        self._lock = ExitStack()
        self._is_held = False
        self._is_away = False
        self._said: set[bytes] = set()
        self._failure = ""
        self._unplaced = 0
        self._pause = watched.every
        self._place_after = self._forget_after = 0.0
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"watch-{watched.model}", daemon=True
        )

    def start(self) -> None:
        """Begin to look; called once."""
        self._thread.start()

    def close(self, timeout: float = 30.0) -> None:
        """End after the file that is being inspected."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if not self._thread.is_alive():
            self._release()

    def state(self) -> dict[str, Any]:
        """How it goes, as plain values.

        Returns:
            `folder`, `model`; `is_reachable`; `waiting`, the files that were seen and are not
            inspected yet; `unplaced`, those that are and cannot be moved or marked; `counts` by
            verdict, "unreadable" and "repeated" since the start; `failure`, why nothing is
            inspected or moved now, "" otherwise.
        """
        return {
            "folder": printable(self._watched.folder),
            "model": self._watched.model,
            "is_reachable": not self._is_away,
            "waiting": self._arrivals.waiting,
            "unplaced": self._unplaced,
            "counts": dict(self._files.counts),
            "failure": self._failure,
        }

    def look(self) -> None:
        """Look at the folder once, and inspect what is complete.

        Raises:
            PatchCoreDualError: the station cannot inspect now; nothing is lost.
        """
        begun = time.monotonic()
        try:
            found = list_files(self._watched.folder)
        except OSError as error:
            self._away(error)
            return
        # On a slow share, looking takes a fifth of the time at most.
        self._pause = max(self._watched.every, 4 * (time.monotonic() - begun))
        self._hold()
        self._back()
        self._say_left_out(found)
        self._place_those_left()
        if (now := time.monotonic()) >= self._forget_after:
            self._forget_after = now + _HOUR
            if self._watched.then == "move":
                self._journal.forget(time.time() - REMEMBERED, found.images)
        for path in self._arrivals.complete(found.images, now):
            if self._is_stopping.is_set():
                return
            if (entry := self._files.take(path, found.images[path])) is not None:
                self._place(entry)

    def _run(self) -> None:
        wait, failures = 0.0, 0
        while not self._is_stopping.wait(wait):
            try:
                self.look()
            except QueueFull:
                wait = self._watched.every
            except Exception as error:
                # No fault may end the thread, since then nothing would be inspected any more.
                is_known = isinstance(error, PatchCoreDualError)
                self._fails(str(error) if is_known else f"{type(error).__name__}: {error}")
                if not is_known:
                    _log.exception("A fault while watching %s", self._watched.folder)
                failures += 1
                wait = min(self._watched.every * 2 ** min(failures, 10), LONGEST_WAIT)
            else:
                wait, failures = self._pause, 0
                if not self._unplaced and not self._is_away:
                    self._works()

    def _place_those_left(self) -> None:
        """Put files into their place that were inspected before, and could not be put there."""
        if time.monotonic() < self._place_after:
            return
        entries = self._journal.unplaced()
        for number, entry in enumerate(entries):
            if not self._place(entry):
                self._unplaced = len(entries) - number
                return
        self._unplaced = 0

    def _place(self, entry: Entry) -> bool:
        """Put a judged file into its place; False to try it again later."""
        target, body = entry.target or entry.path, entry.body or ""
        try:
            if is_taken(self._watched, entry.path, target):
                verdict = json.loads(body)["verdict"]
                target = target_of(self._watched, entry.path, verdict, entry.id)
                entry = self._journal.retarget(entry, target)
            if place(self._watched, entry.path, target, entry.signature, body):
                self._in_place(entry, target)
            else:  # somebody has removed or replaced it
                self._journal.done(entry)
                self._arrivals.forget(entry.path)
        except (OSError, DataError, StationError) as error:
            self._unplaced += 1
            self._place_after = time.monotonic() + LONGEST_WAIT
            self._arrivals.done(entry.path, entry.signature)  # it is not read again meanwhile
            name = _name(entry.path)
            self._fails(f"{name} is inspected and cannot be put into its place: {error}")
            return False
        return True

    def _in_place(self, entry: Entry, target: bytes) -> None:
        if target != entry.path:
            self._journal.done(entry)
            self._arrivals.forget(entry.path)
            return
        now = Signature.of(os.stat(self._join(entry.path), follow_symlinks=False))
        now = now if now[:2] == entry.signature[:2] else entry.signature
        self._journal.done(entry, now)
        self._arrivals.done(entry.path, now)

    def _hold(self) -> None:
        """Keep other stations from watching the same folder."""
        if self._is_held:
            return
        try:
            name = self._watched.folder / "patchcore-dual"
            self._lock.enter_context(locked(name, "station", ""))
        except DataError as error:
            raise StationError(
                f"{printable(self._watched.folder)} cannot be watched: {error}"
            ) from None
        self._is_held = True

    def _release(self) -> None:
        self._is_held = False
        try:
            self._lock.close()
        except OSError as error:  # of a share that is away
            _log.info("The lock in %s is lost: %s", self._watched.folder, error)

    def _away(self, error: OSError) -> None:
        if not self._is_away:
            self._is_away = True
            self._release()
            self._fails(f"{printable(self._watched.folder)} cannot be read: {error.strerror}.")

    def _back(self) -> None:
        if self._is_away:
            self._is_away = False
            _log.warning("%s can be read again.", printable(self._watched.folder))

    def _fails(self, failure: str) -> None:
        if failure != self._failure:
            _log.warning("Watching %s: %s", printable(self._watched.folder), failure)
        self._failure = failure

    def _works(self) -> None:
        if self._failure:
            _log.warning("Watching %s goes on.", printable(self._watched.folder))
        self._failure = ""

    def _say_left_out(self, found: Found) -> None:
        """Log once what may be images and is not inspected."""
        for path, reason in found.left_out.items():
            if path not in self._said and len(self._said) < _MOST_SAID:
                self._said.add(path)
                _log.warning("%s is left out: %s.", printable(self._path(path)), reason)
        for suffix, path in found.others.items():
            if suffix not in self._said:
                self._said.add(suffix)
                if why := why_left_out(self._path(path)):
                    _log.warning("%s is left out: %s.", printable(self._path(path)), why)

    def _join(self, path: bytes) -> bytes:
        return os.path.join(self._root, path)

    def _path(self, path: bytes) -> Path:
        return Path(os.fsdecode(self._join(path)))


def _name(path: bytes) -> str:
    return printable(os.fsdecode(path))
