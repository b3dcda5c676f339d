"""`FileInspection`: from a complete file to a result that is in the log and in the journal."""

import hashlib
import json
import logging
import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from patchcore_dual.data.listing import printable
from patchcore_dual.errors import ImageError, PatchCoreDualError, UnavailableError
from patchcore_dual.station.log import InspectionRecord
from patchcore_dual.station.serving.inspector import TooSlow
from patchcore_dual.station.settings import WatchedFolder
from patchcore_dual.station.watch.arrivals import Arrivals
from patchcore_dual.station.watch.folder import UNREADABLE
from patchcore_dual.station.watch.journal import Entry, Journal
from patchcore_dual.station.watch.listing import Signature
from patchcore_dual.station.watch.outlets.files import path_beside
from patchcore_dual.station.watch.outlets.queue import Message
from patchcore_dual.station.watch.placing import target_of
from patchcore_dual.station.watch.reading import (
    NotComplete,
    TooLarge,
    looks_unfinished,
    read_complete,
)

_log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
"""How often a file may end in a fault of the program before it is given up."""
LONGEST_WAIT = 30.0
"""Seconds until what cannot be done now is tried again, at most."""


class Log(Protocol):
    """What a watcher needs of the station's log."""

    def new_id(self) -> str: ...
    def get(self, id: str) -> InspectionRecord | None: ...


class Station(Protocol):
    """What a watcher needs of the station."""

    @property
    def log(self) -> Log: ...

    def inspect(
        self, model_name: str, content: bytes, *, name: str, source: str, id: str | None = None
    ) -> InspectionRecord:
        """Inspect an image; its record is in the log, under `id`, when this returns.

        Raises:
            ImageError: it is no image that can be inspected.
            PatchCoreDualError: the station cannot inspect now.
        """


class FileInspection:
    """Inspects the files of one watched folder, each once.

    Before a file is inspected its path, its content's hash and the id of its inspection are
    written to the journal. Whenever the process is killed, the next one finds there how far the
    file has come: it asks the log for that id, and inspects the file only if it is not there.

    Args:
        station: inspects.
        watched: the folder.
        journal: of the folder.
        arrivals: of the folder; a file that has to wait is put off there.

    Attributes:
        counts: files by verdict, and those that have come again as "repeated".
    """

    def __init__(
        self, station: Station, watched: WatchedFolder, journal: Journal, arrivals: Arrivals
    ) -> None:
        self._station = station
        self._watched = watched
        self._journal = journal
        self._arrivals = arrivals
        self.counts: Counter[str] = Counter()
        self._unopened: Counter[bytes] = Counter()
        self._tried: set[str] = set()  # ids of files that were begun before

    def take(self, path: bytes, signature: Signature) -> Entry | None:
        """Inspect a complete file.

        Args:
            path: in the watched folder.
            signature: as it was seen.

        Returns:
            Its entry, with the result; None where there is nothing more to do with it now.

        Raises:
            PatchCoreDualError: the station cannot inspect now; nothing is lost.
        """
        try:
            full = os.path.join(os.fsencode(self._watched.folder), path)
            content = read_complete(full, signature, self._watched.max_bytes)
        except NotComplete:
            return None
        except TooLarge as error:
            return self._not_read(path, signature, str(error))
        except OSError as error:
            self._unopened[path] += 1
            if self._unopened[path] < MAX_ATTEMPTS:
                self._put_off(path, self._watched.patience)
                return None
            return self._not_read(path, signature, f"it cannot be opened: {error.strerror}")
        self._unopened.pop(path, None)
        if looks_unfinished(content) and self._be_patient(path):
            return None
        digest = hashlib.sha256(content).hexdigest()
        entry = self._journal.find(path, digest)
        if entry is not None and entry.state == "done":
            beside = path_beside(Path(os.fsdecode(full)))
            if self._watched.then == "mark" and os.path.lexists(beside):
                self._journal.done(entry, signature)
                self._arrivals.done(path, signature)
                return None
            try:
                record = self._station.log.get(entry.id)
            except UnavailableError:
                self._put_off(path, LONGEST_WAIT)
                return None
            if record is not None:
                return self._again(entry, signature, record)
            self._journal.drop(entry)
            entry = None
        if entry is not None and entry.state == "judged":
            return entry
        if entry is not None and self._is_suspect(entry):
            self._put_off(path, 2.0**entry.attempts)
            return None
        return self._inspect(self._begin(path, digest, signature), content)

    def _begin(self, path: bytes, digest: str, signature: Signature) -> Entry:
        return self._journal.begin(path, digest, signature, self._station.log.new_id())

    def _inspect(self, entry: Entry, content: bytes) -> Entry | None:
        """Inspect a file that was begun, and note the result; None to try it again later."""
        record = self._recorded(entry) if entry.attempts > 1 else None
        if record is None and entry.attempts > MAX_ATTEMPTS:
            return self._give_up(
                entry, f"its inspection ended in a fault of the program {MAX_ATTEMPTS} times"
            )
        try:
            record = record or self._station.inspect(
                self._watched.model,
                content,
                name=_name(entry.path),
                source=self._watched.source,
                id=entry.id,
            )
        except ImageError as error:
            self._journal.uncount(entry)
            return None if self._be_patient(entry.path) else self._give_up(entry, str(error))
        except TooSlow as error:  # by this file's fault or not: it shows when it is tried again
            _log.warning("%s: %s", _name(entry.path), error)
            self._put_off(entry.path, 2.0**entry.attempts)
            return None
        except PatchCoreDualError:
            self._journal.uncount(entry)
            raise
        except Exception:
            _log.exception("A fault while inspecting %s", _name(entry.path))
            self._put_off(entry.path, 2.0**entry.attempts)
            return None
        self.counts[record.verdict] += 1
        return self._judged(entry, record.to_json(), "inspection")

    def _is_suspect(self, entry: Entry) -> bool:
        """Whether the process died twice or more while it inspected this file; said once.

        Such a file comes after the others. If it was by chance, they are not held up, and if it is
        the file's fault, no other one is inspected when it happens again.
        """
        is_suspect = entry.attempts >= 2 and entry.id not in self._tried
        self._tried.add(entry.id)
        return is_suspect

    def _recorded(self, entry: Entry) -> InspectionRecord | None:
        """The inspection of a file that was begun before, if the log has it and can be read."""
        try:
            return self._station.log.get(entry.id)
        except UnavailableError:
            return (
                None  # inspected once more, under the same id, it is in the log once all the same
            )

    def _again(self, entry: Entry, signature: Signature, record: InspectionRecord) -> Entry:
        """Take a file that was inspected before, and is here as it was then."""
        self.counts["repeated"] += 1
        _log.info("%s has come again: it is inspection %s.", _name(entry.path), entry.id)
        target = target_of(self._watched, entry.path, record.verdict, entry.id)
        entry = self._journal.begin(entry.path, entry.sha256, signature, entry.id)
        body = json.dumps(record.to_json(), ensure_ascii=False)
        return self._journal.judged(entry, target, body, None)

    def _not_read(self, path: bytes, signature: Signature, reason: str) -> Entry:
        """Give up a file whose content is not known."""
        self._unopened.pop(path, None)
        digest = f"{signature.size} bytes of {signature.modified}"
        return self._give_up(self._begin(path, digest, signature), reason)

    def _give_up(self, entry: Entry, reason: str) -> Entry:
        """Note that a file cannot be inspected."""
        self.counts[UNREADABLE] += 1
        name = _name(entry.path)
        _log.warning("%s in %s cannot be inspected: %s", name, self._watched.folder, reason)
        values = {
            "id": entry.id,
            "at": datetime.now(UTC).isoformat(),
            "model": self._watched.model,
            "source": self._watched.source,
            "name": name,
            "verdict": UNREADABLE,
            "error": reason,
        }
        return self._judged(entry, values, "unreadable")

    def _judged(self, entry: Entry, values: dict[str, Any], kind: str) -> Entry:
        self._tried.discard(entry.id)
        target = target_of(self._watched, entry.path, values["verdict"], entry.id)
        body = json.dumps(values, ensure_ascii=False)
        return self._journal.judged(entry, target, body, Message(entry.id, kind, body))

    def _be_patient(self, path: bytes) -> bool:
        """Put a file off that has not been still for long; False where it has."""
        now = time.monotonic()
        remaining = self._watched.patience - self._arrivals.still_for(path, now)
        if remaining > 0:
            self._arrivals.put_off(path, now + remaining)
        return remaining > 0

    def _put_off(self, path: bytes, seconds: float) -> None:
        self._arrivals.put_off(path, time.monotonic() + seconds)


def _name(path: bytes) -> str:
    return printable(os.fsdecode(path))
