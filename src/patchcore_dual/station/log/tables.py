"""The tables of the log. `migrations/` makes them; a test compares the two."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A time with its zone, UTC. SQLite has no such type, and keeps it as text without the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Compared byte by byte, whatever the language of the database.
Id = String(26).with_variant(String(26, collation="C"), "postgresql")

FILTERED = ("model", "verdict", "review", "score", "has_region", "folded_name")

metadata = MetaData()

# A column for each attribute of `InspectionRecord`, and three that filters need.
inspections = Table(
    "inspections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("model", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("review", String),
    Column("score", Float, nullable=False),
    Column("has_region", Boolean, nullable=False),
    Column("folded_name", String, nullable=False),  # without capitals
    Column("name", String, nullable=False),
    Column("version", Integer),
    Column("fingerprint", String, nullable=False),
    Column("source", String, nullable=False),
    Column("image", String(64), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("review_threshold", Float, nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("is_foreign", Boolean, nullable=False),
    Column("note", String, nullable=False),
    Column("is_review_requested", Boolean, nullable=False),
    Column("decision", JSON(none_as_null=True)),
    Column("regions", JSON, nullable=False),
    Column("nearest_normal", JSON(none_as_null=True)),
    Column("nearest_defect", JSON(none_as_null=True)),
    Column("milliseconds", JSON, nullable=False),
    # These hold all that is filtered by, so that no filter has to read the rows it leaves out.
    Index("inspections_by_id", "id", "at", *FILTERED),
    Index("inspections_by_time", "at", "id", *FILTERED),
    Index("inspections_by_review", "review", "id"),
)

# The boxes of the regions once more, to be searched; in pixels, ends excluded.
regions = Table(
    "regions",
    metadata,
    Column("inspection", Id, ForeignKey("inspections.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("left", Integer, nullable=False),
    Column("top", Integer, nullable=False),
    Column("right", Integer, nullable=False),
    Column("bottom", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# A column for each attribute of `EditRecord`.
edits = Table(
    "edits",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("model", String, nullable=False),
    Column("version", Integer),
    Column("fingerprint", String, nullable=False),
    Column("action", String, nullable=False),
    Column("by", String, nullable=False),
    Column("why", String, nullable=False),
    Column("inspection", String(26)),
    Column("images", JSON, nullable=False),
    Column("effects", JSON, nullable=False),
    Index("edits_by_model", "model", "id"),
)
