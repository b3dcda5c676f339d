"""`Log`: every inspection, every decision on it and every edit of a model, in a database."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, case, func, select, update
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from patchcore_dual.errors import StationError, UnavailableError
from patchcore_dual.station.log.database import reason
from patchcore_dual.station.log.ids import Ids, is_id
from patchcore_dual.station.log.query import Page, Query, after, in_utc
from patchcore_dual.station.log.records import (
    Decision,
    EditRecord,
    InspectionRecord,
    Record,
    plain,
)
from patchcore_dual.station.log.rows import edit_of, find, insert, inspection_of
from patchcore_dual.station.log.spool import Spool
from patchcore_dual.station.log.tables import edits, inspections

_log = logging.getLogger(__name__)
_RETRY = 1.0  # seconds between two tries to reach the database
_AT_ONCE = 100  # spooled records in one transaction
_STREAMED = 500  # inspections read at once for an export


class Log:
    """The log of a station.

    What is added is durable when the call returns: in the database, or, while that is away, in the
    spool, from which a thread moves it as soon as the database is back. All methods may be called
    from any thread, and several processes may share a database and a spool.

    Methods that read raise `UnavailableError` while the database is away.
    """

    def __init__(self, engine: Engine, spool: Path) -> None:
        """Use a database, and a folder for the records that it cannot take for now.

        Args:
            engine: of `open_database`; closed with the log.
            spool: made where it is missing.

        Raises:
            StationError: where the folder or the database cannot be used.
        """
        self._engine = engine
        self._spool = Spool(spool)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._emptying: threading.Thread | None = None
        self._ids = Ids(after=max(self._newest(), self._spool.newest))
        if not self._spool.is_empty:
            with self._lock:
                self._begin_emptying()

    @property
    def is_available(self) -> bool:
        """False while records are spooled, because the database is away or was until now."""
        return self._emptying is None

    def new_id(self) -> str:
        """The id of a new record: greater than all in the log, even where the clock went back."""
        return self._ids.next()

    def add(self, record: InspectionRecord) -> None:
        """Keep an inspection; one whose id the log has already is kept once.

        Raises:
            UnavailableError: where neither database nor spool can take it, as on a full disk.
            StationError: where the database refuses it.
        """
        self._keep(record)

    def add_edit(self, edit: EditRecord) -> None:
        """Keep an edit of a model; see `add`."""
        self._keep(edit)

    def get(self, id: str) -> InspectionRecord | None:
        """The inspection of an id; None where there is none."""
        if not is_id(id):
            return None
        waiting = self._spool.inspection(id)  # first, since it may move to the database meanwhile
        try:
            with self._connection() as connection:
                return find(connection, id) or waiting
        except UnavailableError:
            if waiting is None:
                raise
            return waiting

    def list(
        self, query: Query, limit: int = 50, cursor: str | None = None
    ) -> Page[InspectionRecord]:
        """Inspections, the newest first.

        Args:
            query: which ones.
            limit: how many at most.
            cursor: `next` of the page before; None for the first page.

        Raises:
            StationError: for a damaged cursor.
        """
        statement = query.select(limit + 1, cursor)
        with self._connection() as connection:
            rows = connection.execute(statement).mappings().all()
        return Page.of([inspection_of(row) for row in rows], limit)

    def iterate(self, query: Query) -> Iterator[InspectionRecord]:
        """All inspections of a query, the newest first, in constant memory.

        They are read some hundreds at a time, so that a slow reader holds nothing up.
        """
        page = self.list(query, _STREAMED)
        yield from page.items
        while page.next is not None:
            page = self.list(query, _STREAMED, page.next)
            yield from page.items

    def decide(self, id: str, decision: Decision) -> InspectionRecord:
        """Record what a person decided on an inspection, and return it as it is now.

        Args:
            id: of the inspection.
            decision: replaces an earlier one.

        Raises:
            StationError: where there is no such inspection.
            UnavailableError: where it still waits in the spool.
        """
        return self._change(
            id, {"decision": decision.to_json(), "review": "done", "is_review_requested": False}
        )

    def undecide(self, id: str) -> InspectionRecord:
        """Take the decision on an inspection back; see `decide`."""
        review = case((inspections.c.verdict == "pass", None), else_="open")
        return self._change(id, {"decision": None, "review": review, "is_review_requested": False})

    def request_review(self, id: str) -> InspectionRecord:
        """Put an inspection into the review queue, whatever its verdict; see `decide`."""
        return self._change(id, {"review": "open", "is_review_requested": True})

    def counts(self, since: datetime, model: str | None = None) -> dict[str, int]:
        """How many inspections there are of each verdict; "not inspected" only where there are any.

        Args:
            since: from this time on.
            model: of this model alone.
        """
        column = inspections.c
        statement = select(column.verdict, func.count()).where(column.at >= in_utc(since))
        if model is not None:
            statement = statement.where(column.model == plain(model))
        with self._connection() as connection:
            found = connection.execute(statement.group_by(column.verdict)).all()
        return {"pass": 0, "review": 0, "reject": 0} | {row[0]: row[1] for row in found}

    def edits(
        self, model: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[EditRecord]:
        """Edits of a model, or of all, the newest first; see `list`."""
        statement = select(edits).where(*after(edits, cursor))
        if model is not None:
            statement = statement.where(edits.c.model == plain(model))
        with self._connection() as connection:
            rows = connection.execute(statement.order_by(edits.c.id.desc()).limit(limit + 1))
            return Page.of([edit_of(row) for row in rows.mappings()], limit)

    def images_in_review(self) -> set[str]:
        """Hex sha256 of the images of all inspections in the review queue."""
        # Those in the spool first: they may move to the database meanwhile, never back.
        waiting = {one.image for one in self._spool.inspections() if one.review == "open"}
        statement = select(inspections.c.image).where(inspections.c.review == "open")
        with self._connection() as connection:
            return waiting | set(connection.execute(statement).scalars())

    def images_in_edits(self) -> set[str]:
        """Hex sha256 of the images of all edits."""
        waiting = [one for one in self._spool.records() if isinstance(one, EditRecord)]
        with self._connection() as connection:
            lists = connection.execute(select(edits.c.images)).scalars().all()
        return {image for images in (*lists, *(one.images for one in waiting)) for image in images}

    def close(self) -> None:
        """End the thread and close the database. What is spooled stays for the next start."""
        self._closing.set()
        with self._lock:
            thread = self._emptying
        if thread is not None:
            thread.join()
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A transaction, committed at the end; what goes wrong is a `StationError`."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (DataError, IntegrityError) as error:
            raise StationError(f"the database refuses this: {reason(error)}.") from None
        except SQLAlchemyError as error:
            raise UnavailableError(
                f"the database {self._engine.url} is not available: {reason(error)}."
            ) from None

    def _newest(self) -> str:
        with self._connection() as connection:
            newest = (
                connection.scalar(select(func.max(table.c.id))) for table in (inspections, edits)
            )
            return max(id or "" for id in newest)

    def _keep(self, record: Record) -> None:
        if self.is_available:
            try:
                with self._connection() as connection:
                    insert(connection, [record])
                return
            except UnavailableError as error:
                _log.warning("%s Records are spooled until it is back.", error)
        with self._lock:
            self._spool.put(record)
            self._begin_emptying()

    def _change(self, id: str, values: dict[str, Any]) -> InspectionRecord:
        if not is_id(id):
            raise StationError("this is not the id of an inspection.")
        is_waiting = self._spool.inspection(id) is not None
        with self._connection() as connection:
            connection.execute(update(inspections).where(inspections.c.id == id).values(values))
            changed = find(connection, id)
        if changed is not None:
            return changed
        if is_waiting:
            raise UnavailableError(f"inspection {id} is not in the database yet. Try again soon.")
        raise StationError(f"there is no inspection {id}.")

    def _begin_emptying(self) -> None:
        """Start the thread that empties the spool; with the lock held."""
        if self._emptying is None and not self._closing.is_set():
            self._emptying = threading.Thread(target=self._empty, name="spool", daemon=True)
            self._emptying.start()

    def _empty(self) -> None:
        while not self._closing.is_set():
            pause = 0.0
            try:
                if self._write_spooled() <= _AT_ONCE and self._is_emptied():
                    return
            except UnavailableError:
                pause = _RETRY
            except Exception:  # a thread that dies would leave the spool for ever
                _log.exception("The spool could not be emptied; it is tried again.")
                pause = _RETRY
            self._closing.wait(pause)

    def _is_emptied(self) -> bool:
        """Write the last few while nothing is added: else there might be no end."""
        with self._lock:
            self._write_spooled()
            if not self._spool.is_empty:
                return False
            _log.warning("The database is available again, and has all records.")
            self._emptying = None  # whoever sees that it is available finds the message too
            return True

    def _write_spooled(self) -> int:
        """Move what waits into the database, and return how many these were."""
        count = 0
        waiting = self._spool.records()
        while records := tuple(islice(waiting, _AT_ONCE)):
            try:
                self._write(records)
            except UnavailableError:
                raise
            except StationError:  # one of them is refused
                for record in records:
                    try:
                        self._write((record,))
                    except UnavailableError:
                        raise
                    except StationError as error:
                        self._spool.set_aside(record, str(error))
            count += len(records)
            if self._closing.is_set():
                break
        return count

    def _write(self, records: tuple[Record, ...]) -> None:
        with self._connection() as connection:
            insert(connection, records)
        for record in records:
            self._spool.remove(record)
