"""`Spool`: records that wait on the local disk until the database is back."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from patchcore_dual.errors import StationError
from patchcore_dual.station.log.durable import make_folder, remove_stale, write_durably
from patchcore_dual.station.log.ids import is_id
from patchcore_dual.station.log.records import EditRecord, InspectionRecord, Record

_log = logging.getLogger(__name__)
_KINDS: dict[type[Record], str] = {InspectionRecord: "inspection", EditRecord: "edit"}


class Spool:
    """A folder with a file for each record, one line of JSON, named by its id.

    Files appear whole or not at all, and sort in the order of the records. Several processes may
    share the folder: writing a record to the database twice leaves it there once.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made where it is missing.

        Raises:
            StationError: where it cannot be made.
        """
        self._folder = folder
        try:
            make_folder(folder)
            remove_stale(folder)
        except OSError as error:
            raise StationError(f"cannot use the folder {folder}: {error.strerror}.") from None

    def put(self, record: Record) -> None:
        """Keep a record; it is on the disk when this returns.

        Raises:
            UnavailableError: where it cannot be written, as on a full disk.
        """
        line = json.dumps(record.to_json(), ensure_ascii=False) + "\n"
        write_durably(self._path(record.id, _KINDS[type(record)]), line.encode())

    def inspection(self, id: str) -> InspectionRecord | None:
        """The inspection of an id; None where it does not wait here."""
        path = self._path(id, "inspection")
        record = self._read(path) if path.is_file() else None
        return record if isinstance(record, InspectionRecord) else None

    def inspections(self) -> Iterator[InspectionRecord]:
        """All inspections that wait."""
        return (r for r in map(self._read, self._paths()) if isinstance(r, InspectionRecord))

    def records(self) -> Iterator[Record]:
        """All records that wait, the oldest first."""
        return (record for record in map(self._read, self._paths()) if record is not None)

    def remove(self, record: Record) -> None:
        """Forget a record that the database has."""
        self._path(record.id, _KINDS[type(record)]).unlink(missing_ok=True)

    def set_aside(self, record: Record, why: str) -> None:
        """Keep a record that the database refuses out of the way of the others."""
        path = self._path(record.id, _KINDS[type(record)])
        _log.error("%s is renamed to end in .refused: %s", path, why)
        with suppress(FileNotFoundError):
            path.replace(path.with_suffix(".refused"))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return next(self._names(), None) is None

    @property
    def newest(self) -> str:
        """The greatest id that waits; "" where nothing does."""
        ids = (name.partition(".")[0] for name in self._names())
        return max(filter(is_id, ids), default="")

    def _path(self, id: str, kind: str) -> Path:
        return self._folder / f"{id}.{kind}.json"

    def _names(self) -> Iterator[str]:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    yield entry.name

    def _paths(self) -> list[Path]:
        return [self._folder / name for name in sorted(self._names())]

    def _read(self, path: Path) -> Record | None:
        """A record; None where another process has written it meanwhile, or it is damaged."""
        try:
            values = json.loads(path.read_bytes())
            kind = EditRecord if path.name.endswith(".edit.json") else InspectionRecord
            return kind.from_json(values)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.error("%s is damaged, and renamed to end in .damaged: %s", path, error)
            with suppress(FileNotFoundError):
                path.replace(path.with_suffix(".damaged"))
            return None
