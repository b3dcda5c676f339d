"""Inspections as CSV and as JSON lines, one line after the other."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from patchcore_dual.station.log.records import InspectionRecord
from patchcore_dual.utils.cells import cell

_COLUMNS = (
    "id",
    "at",
    "model",
    "version",
    "fingerprint",
    "source",
    "name",
    "image",
    "width",
    "height",
    "verdict",
    "score",
    "threshold",
    "review_threshold",
    "uncertainty",
    "is_foreign",
    "note",
    "review",
)
_OF_DECISIONS = ("label", "by", "at", "why", "taught_version")


def to_json_lines(records: Iterable[InspectionRecord]) -> Iterator[bytes]:
    """Each inspection as a line of JSON in UTF-8, with everything that `to_json` gives."""
    for record in records:
        yield (json.dumps(record.to_json(), ensure_ascii=False) + "\n").encode()


def to_csv(records: Iterable[InspectionRecord]) -> Iterator[bytes]:
    """A table in UTF-8: a line with the names of its columns, then one for each inspection.

    Regions are JSON in one column. A text that a spreadsheet would take for a formula begins with
    an apostrophe.

    >>> next(to_csv([])).decode().split(",")[:3]
    ['id', 'at', 'model']
    """
    decided = [f"decision_{name}" for name in _OF_DECISIONS]
    yield _line([*_COLUMNS, "regions", "nearest_normal", "nearest_defect", *decided])
    for record in records:
        values = record.to_json()
        decision = values["decision"] or {}
        yield _line(
            [
                *(values[name] for name in _COLUMNS),
                json.dumps(record.regions, ensure_ascii=False),
                (record.nearest_normal or {}).get("image"),
                (record.nearest_defect or {}).get("image"),
                *(decision.get(name) for name in _OF_DECISIONS),
            ]
        )


def _line(values: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow([cell(value) for value in values])
    return text.getvalue().encode()
