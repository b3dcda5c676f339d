"""Records as rows of the tables, and back."""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from patchcore_dual.station.log.records import Decision, EditRecord, InspectionRecord, Record
from patchcore_dual.station.log.tables import edits, inspections, regions

_LARGEST = 2**31 - 1  # of a column of integers


def insert(connection: Connection, records: Sequence[Record]) -> None:
    """Write records that the database does not have yet, by their ids; each id is there once.

    Takes the same few round trips for many records as for one: those of a server that is far away
    must not hold the spool up.
    """
    _insert(connection, edits, [_values(one) for one in records if isinstance(one, EditRecord)])
    found = [one for one in records if isinstance(one, InspectionRecord)]
    new = _insert(connection, inspections, [_values(one) | _computed(one) for one in found])
    if boxes := [box for one in found if one.id in new for box in _boxes(one)]:
        connection.execute(regions.insert(), boxes)


def find(connection: Connection, id: str) -> InspectionRecord | None:
    """The inspection of an id; None where there is none."""
    rows = connection.execute(select(inspections).where(inspections.c.id == id)).mappings()
    row = rows.one_or_none()
    return inspection_of(row) if row is not None else None


def inspection_of(row: RowMapping) -> InspectionRecord:
    """The record of a row of `inspections`."""
    names = (one.name for one in fields(InspectionRecord))
    values: dict[str, Any] = {name: row[name] for name in names}
    if values["decision"] is not None:
        values["decision"] = Decision.from_json(values["decision"])
    return InspectionRecord(**values)


def edit_of(row: RowMapping) -> EditRecord:
    """The record of a row of `edits`."""
    return EditRecord(**row)


def clamped(pixels: float) -> int:
    """A coordinate as a column of integers holds it."""
    return int(min(max(pixels, -_LARGEST), _LARGEST))


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> set[str]:
    """The ids of the rows that were new."""
    if not rows:
        return set()
    return set(connection.scalars(_insertion(table, connection.dialect.name), rows))


@cache
def _insertion(table: Table, dialect: str) -> Any:
    """The statement that inserts rows and gives the ids of those that were not there already."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table).on_conflict_do_nothing(index_elements=["id"])
    return statement.returning(table.c.id)


def _values(record: Record) -> dict[str, Any]:
    return {one.name: getattr(record, one.name) for one in fields(record)}


def _computed(record: InspectionRecord) -> dict[str, Any]:
    return {
        "decision": record.decision.to_json() if record.decision else None,
        "review": record.review,
        "has_region": bool(record.regions),
        "folded_name": record.name.casefold(),
    }


def _boxes(record: InspectionRecord) -> list[dict[str, Any]]:
    return [
        {
            "inspection": record.id,
            "number": number,
            "left": clamped(region["x"]),
            "top": clamped(region["y"]),
            "right": clamped(region["x"] + region["width"]),
            "bottom": clamped(region["y"] + region["height"]),
        }
        for number, region in enumerate(record.regions)
    ]
