"""Records hold what JSON and databases can hold, and say whether they are in the review queue."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from patchcore_dual.station.log import Decision, EditRecord, InspectionRecord
from station.log.makers import START, edit, inspection

GOOD = Decision(label="good", by="ada", at=START, why="dust", taught_version=4)


@pytest.mark.parametrize("seed", range(5))
def test_an_inspection_is_the_same_after_json(seed):
    record = inspection(seed, decision=GOOD if seed % 2 else None)
    assert InspectionRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_an_edit_is_the_same_after_json():
    record = edit()
    assert EditRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_what_no_database_can_hold_is_replaced():
    record = inspection(
        name="a\0b\udcff" + "ü" * 300,
        regions=[{"x": 1, "y": 1, "width": 1, "height": 1, "peak": float("nan")}],
        nearest_normal={"image": "\ud800.png"},
    )
    assert record.name == ("a\N{REPLACEMENT CHARACTER}b?" + "ü" * 300)[:255]
    assert record.regions[0]["peak"] is None
    assert record.nearest_normal == {"image": "?.png"}
    json.dumps(record.to_json(), allow_nan=False).encode()


def test_times_are_utc_and_need_a_zone():
    zone = timezone(timedelta(hours=1))
    assert inspection(at=datetime(2026, 11, 26, 7, tzinfo=zone)).at == START
    with pytest.raises(ValueError, match="no time zone"):
        inspection(at=datetime(2026, 11, 26, 7))


@pytest.mark.parametrize(
    ("verdict", "decision", "requested", "review"),
    [
        ("pass", None, False, None),
        ("pass", None, True, "open"),
        ("pass", GOOD, False, "done"),
        ("review", None, False, "open"),
        ("reject", None, False, "open"),
        ("reject", GOOD, False, "done"),
        ("reject", GOOD, True, "open"),
    ],
)
def test_the_review_queue(verdict, decision, requested, review):
    record = inspection(verdict=verdict, decision=decision, is_review_requested=requested)
    assert record.review == review
