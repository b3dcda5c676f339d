"""Exports hold every inspection, as programs and spreadsheets read them."""

import csv
import io
import json

from patchcore_dual.station.log import Decision
from patchcore_dual.station.log.export import to_csv, to_json_lines
from station.log.makers import START, inspection

DECISION = Decision(
    label="defect", by="ada", at=START, why="a crack, in the corner", taught_version=7
)


def test_json_lines_hold_everything():
    records = [inspection(seed, decision=DECISION if seed % 2 else None) for seed in range(6)]
    lines = b"".join(to_json_lines(records)).decode().splitlines()
    assert [json.loads(line) for line in lines] == [record.to_json() for record in records]


def test_a_table_has_a_row_for_each_inspection():
    records = [
        inspection(seed, name=f'a "{seed}",\nb', decision=DECISION if seed % 2 else None)
        for seed in range(6)
    ]
    text = b"".join(to_csv(records)).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 6
    for record, row in zip(records, rows, strict=True):
        assert row["id"] == record.id
        assert row["name"] == record.name
        assert float(row["score"]) == record.score
        assert row["is_foreign"] == str(record.is_foreign).lower()
        assert json.loads(row["regions"]) == record.regions
        assert row["nearest_normal"] == "normal/07.png"
        assert row["decision_label"] == ("defect" if record.decision else "")
        assert row["decision_why"] == ("a crack, in the corner" if record.decision else "")
    assert None not in rows[0]


def test_a_name_is_no_formula_in_a_spreadsheet():
    for sign in "=+-@\t\r\n＝＋－＠":
        name = f'{sign}HYPERLINK("http://x","y")'
        text = b"".join(to_csv([inspection(name=name)])).decode()
        (row,) = csv.DictReader(io.StringIO(text, newline=""))
        assert row["name"] == f"'{name}"
    record = inspection(name='=HYPERLINK("http://x","y")', score=-1.0, verdict="pass")
    rows = list(csv.DictReader(io.StringIO(b"".join(to_csv([record])).decode())))
    assert rows[0]["name"].startswith("'=")
    assert rows[0]["score"] == "-1.0"
    assert json.loads(next(to_json_lines([record])))["name"] == record.name


def test_it_is_streamed():
    def endless():
        while True:
            yield inspection()

    lines = to_csv(endless())
    assert [len(next(lines)) > 50 for _ in range(5)] == [True] * 5
