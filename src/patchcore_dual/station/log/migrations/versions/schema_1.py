"""Inspections with their regions, and edits."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

ID = sa.String(26).with_variant(sa.String(26, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "inspections",
        sa.Column("id", ID, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("review", sa.String),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("has_region", sa.Boolean, nullable=False),
        sa.Column("folded_name", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("image", sa.String(64), nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("review_threshold", sa.Float, nullable=False),
        sa.Column("uncertainty", sa.Float, nullable=False),
        sa.Column("is_foreign", sa.Boolean, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("is_review_requested", sa.Boolean, nullable=False),
        sa.Column("decision", sa.JSON),
        sa.Column("regions", sa.JSON, nullable=False),
        sa.Column("nearest_normal", sa.JSON),
        sa.Column("nearest_defect", sa.JSON),
        sa.Column("milliseconds", sa.JSON, nullable=False),
    )
    filtered = ["model", "verdict", "review", "score", "has_region", "folded_name"]
    op.create_index("inspections_by_id", "inspections", ["id", "at", *filtered])
    op.create_index("inspections_by_time", "inspections", ["at", "id", *filtered])
    op.create_index("inspections_by_review", "inspections", ["review", "id"])
    op.create_table(
        "regions",
        sa.Column("inspection", ID, sa.ForeignKey("inspections.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("left", sa.Integer, nullable=False),
        sa.Column("top", sa.Integer, nullable=False),
        sa.Column("right", sa.Integer, nullable=False),
        sa.Column("bottom", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "edits",
        sa.Column("id", ID, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("why", sa.String, nullable=False),
        sa.Column("inspection", sa.String(26)),
        sa.Column("images", sa.JSON, nullable=False),
        sa.Column("effects", sa.JSON, nullable=False),
    )
    op.create_index("edits_by_model", "edits", ["model", "id"])
