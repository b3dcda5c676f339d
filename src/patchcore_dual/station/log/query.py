"""`Query`: which inspections are asked for; `Page`: some of them, and where to go on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import ColumnElement, Select, Table, exists, select

from patchcore_dual.errors import StationError
from patchcore_dual.station.log.ids import is_id
from patchcore_dual.station.log.records import EditRecord, InspectionRecord, plain
from patchcore_dual.station.log.rows import clamped
from patchcore_dual.station.log.tables import inspections, regions

T = TypeVar("T", bound=InspectionRecord | EditRecord)


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some records, the newest first.

    Attributes:
        items: the records.
        next: the cursor that gives those after them; None where there are no more.
    """

    items: tuple[T, ...]
    next: str | None

    @classmethod
    def of(cls, records: Sequence[T], limit: int) -> "Page[T]":
        """The page of the records found, one more than its limit where others follow."""
        last = records[limit - 1].id if len(records) > limit else None
        return cls(tuple(records[:limit]), last)


@dataclass(frozen=True)
class Query:
    """Which inspections are asked for: those that all of this holds for.

    Attributes:
        model: the model's name.
        verdict: one of these; empty for any.
        review: "open" for the review queue, "done" for those that were decided on.
        since, until: the time, from `since` on and before `until`, with a time zone.
        min_score, max_score: the score, both included.
        name: a part of what the sender called the image, whatever its capitals.
        has_region: whether there is a suspicious region.
        region: x, y, width and height in pixels of a box that a suspicious region touches.

    >>> Query(model="brackets", verdict={"reject"}, region=(0, 0, 100, 50)).review is None
    True
    """

    model: str | None = None
    verdict: Collection[str] = frozenset()
    review: Literal["open", "done"] | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_score: float | None = None
    max_score: float | None = None
    name: str | None = None
    has_region: bool | None = None
    region: tuple[int, int, int, int] | None = None

    def select(self, limit: int, cursor: str | None = None) -> Select[Any]:
        """The statement that selects them, the newest first.

        Args:
            limit: how many at most.
            cursor: `Page.next` of those before.

        Raises:
            StationError: for a damaged cursor, and a time that is out of range or has no zone.
        """
        newest_first = inspections.c.id.desc()
        # Their ids come from an index that holds all that is filtered by; then those rows are read.
        chosen = (
            select(inspections.c.id)
            .where(*self._conditions(), *after(inspections, cursor))
            .order_by(newest_first)
            .limit(limit)
            .subquery()
        )
        rows = select(inspections).join(chosen, chosen.c.id == inspections.c.id)
        return rows.order_by(newest_first)

    def _conditions(self) -> list[ColumnElement[bool]]:
        column = inspections.c
        conditions: list[ColumnElement[bool]] = []
        if self.model is not None:
            conditions.append(column.model == plain(self.model))
        if self.verdict:
            conditions.append(column.verdict.in_(sorted(map(plain, self.verdict))))
        if self.review is not None:
            conditions.append(column.review == self.review)
        if self.since is not None:
            conditions.append(column.at >= in_utc(self.since))
        if self.until is not None:
            conditions.append(column.at < in_utc(self.until))
        if self.min_score is not None:
            conditions.append(column.score >= self.min_score)
        if self.max_score is not None:
            conditions.append(column.score <= self.max_score)
        if self.name:
            name = plain(self.name).casefold()
            conditions.append(column.folded_name.contains(name, autoescape=True))
        if self.has_region is not None:
            conditions.append(column.has_region == self.has_region)
        if self.region is not None:
            conditions += [column.has_region == True, _touches(*self.region)]  # noqa: E712
        return conditions


def in_utc(time: datetime) -> datetime:
    """A time of a query in UTC.

    Raises:
        StationError: where it has no time zone, or is out of range.
    """
    if time.tzinfo is None:
        raise StationError(f"{time.isoformat()} has no time zone: add Z or as +01:00.")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise StationError(f"{time.isoformat()} is out of range.") from None


def after(table: Table, cursor: str | None) -> list[ColumnElement[bool]]:
    """The condition for the records of a table that follow a cursor.

    Raises:
        StationError: for a text that is no cursor.
    """
    if cursor is None:
        return []
    if not is_id(cursor):
        raise StationError("the cursor is damaged: give the text of `next` as it came.")
    return [table.c.id < cursor]


def _touches(x: int, y: int, width: int, height: int) -> ColumnElement[bool]:
    return exists().where(
        regions.c.inspection == inspections.c.id,
        regions.c.left < clamped(x + width),
        regions.c.top < clamped(y + height),
        regions.c.right > clamped(x),
        regions.c.bottom > clamped(y),
    )
