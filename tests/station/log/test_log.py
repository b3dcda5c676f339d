"""The log gives back what it was given, in SQLite and in PostgreSQL."""

import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from patchcore_dual.errors import StationError
from patchcore_dual.station.log import Decision, Log, Query, open_database
from station.log.makers import START, edit, inspection
from station.log.processes import environment
from station.log.reference import chosen_by

DECISION = Decision(label="defect", by="ada", at=START, why="a crack", taught_version=7)


@pytest.fixture
def filled(log):
    """A log with 120 inspections, of which some are decided, and these, the newest first."""
    records = [inspection(seed) for seed in range(120)]
    for record in records:
        log.add(record)
    for index in range(0, 120, 7):
        records[index] = log.decide(records[index].id, DECISION)
    records[5] = log.request_review(records[5].id)
    return log, records[::-1]


def test_what_is_added_is_there_after_a_restart(log, url, tmp_path):
    records = [inspection(seed) for seed in range(10)]
    for record in records:
        log.add(record)
    log.add_edit(edit(1))
    log.close()
    again = Log(open_database(url), tmp_path / "spool")
    assert [again.get(record.id) for record in records] == records
    assert len(again.edits().items) == 1
    assert again.new_id() > max(record.id for record in records)
    again.close()


def test_a_record_that_is_added_twice_is_there_once(log):
    record = inspection(3)
    log.add(record)
    log.add(replace(record, score=9.0))
    assert log.list(Query()).items == (record,)


def test_names_are_kept_as_they_are(log):
    for name in ("'; DROP TABLE inspections; --", "a\0b", "\udcff", "日本 🚀", "x" * 10_000):
        record = inspection(name=name)
        log.add(record)
        assert log.get(record.id) == record


@pytest.mark.parametrize("id", ["", "nothing", "0" * 26, "../../etc/passwd", "a\0b", "x" * 10_000])
def test_there_is_nothing_under_other_ids(log, id):
    log.add(inspection())
    assert log.get(id) is None
    with pytest.raises(StationError, match=r"no inspection|not the id"):
        log.decide(id, DECISION)


def test_pages_follow_each_other(filled):
    log, records = filled
    for limit in (1, 7, 119, 120, 500):
        page = log.list(Query(), limit)
        seen = list(page.items)
        while page.next is not None:
            assert len(page.items) == limit
            page = log.list(Query(), limit, page.next)
            seen += page.items
        assert seen == records


def test_a_page_is_the_same_while_others_are_added(filled):
    log, records = filled
    page = log.list(Query(), 10)
    log.add(inspection(500))
    assert list(log.list(Query(), 10, page.next).items) == records[10:20]


QUERIES = {
    "model": [None, "brackets", "gears", "other", "a\0b"],
    "verdict": [(), {"reject"}, {"pass", "review"}, ["reject", "reject"], {"other"}],
    "review": [None, "open", "done"],
    "since": [None, START, START + timedelta(minutes=60), START + timedelta(days=9)],
    "until": [None, START, START + timedelta(minutes=90)],
    "min_score": [None, 0.7, float("-inf")],
    "max_score": [None, 1.3, float("inf")],
    "name": [None, "", "PART", "_1%", "part_", "TÜR 3", "\\", "a\0b"],
    "has_region": [None, True, False],
    "region": [
        None,
        (0, 0, 200, 200),
        (300, 0, 1, 400),
        (639, 479, 9, 9),
        (-(10**30), 0, 10**40, 99),
    ],
}
ONE_EACH = [{key: value} for key, values in QUERIES.items() for value in values]


def test_each_filter_chooses_as_the_reference_does(filled):
    log, records = filled
    for given in ONE_EACH:
        query = Query(**given)
        expected = [one for one in records if chosen_by(query, one)]
        assert list(log.list(query, 500).items) == expected, given


def test_filters_together_choose_as_the_reference_does(filled):
    log, records = filled
    draw, found = random.Random(1), 0
    for _ in range(150):
        given = {key: draw.choice(QUERIES[key]) for key in draw.sample(list(QUERIES), 3)}
        query = Query(**given)
        expected = [one for one in records if chosen_by(query, one)]
        assert list(log.list(query, 500).items) == expected, given
        found += bool(expected)
    assert found > 50


def test_an_export_reads_more_than_one_page(filled, monkeypatch):
    monkeypatch.setattr("patchcore_dual.station.log.log._STREAMED", 11)
    log, records = filled
    assert list(log.iterate(Query())) == records


@pytest.mark.parametrize(
    "cursor",
    ["", "0", "0" * 25, "0" * 27, "é" * 26, "\0", "' OR 1=1 --", "8" * 26, "0" * 25 + "\n"],
)
def test_a_damaged_cursor_is_refused(log, cursor):
    with pytest.raises(StationError, match="cursor is damaged"):
        log.list(Query(), 10, cursor)
    with pytest.raises(StationError, match="cursor is damaged"):
        log.edits(None, 10, cursor)


@pytest.mark.parametrize(
    "time", [datetime(2026, 11, 26), datetime.min, datetime.fromisoformat("0001-01-01T00:00+14:00")]
)
def test_a_time_that_cannot_be_is_refused(log, time):
    for query in (Query(since=time), Query(until=time)):
        with pytest.raises(StationError, match=r"no time zone|out of range"):
            log.list(query)
    with pytest.raises(StationError, match=r"no time zone|out of range"):
        log.counts(time)


def test_the_first_and_the_last_time_of_all_can_be_asked_for(filled):
    log, records = filled
    first, last = (time.replace(tzinfo=UTC) for time in (datetime.min, datetime.max))
    assert len(log.list(Query(since=first, until=last), 500).items) == len(records)


def test_decisions_are_taken_and_taken_back(log):
    record = inspection(0, verdict="reject")
    log.add(record)
    assert log.decide(record.id, DECISION) == replace(record, decision=DECISION)
    other = replace(DECISION, label="good", taught_version=None)
    assert log.decide(record.id, other).decision == other
    assert log.get(record.id).review == "done"
    assert log.undecide(record.id) == record
    assert log.list(Query(review="open")).items == (record,)


def test_a_part_that_passed_can_be_put_into_the_review_queue(log):
    record = inspection(0, verdict="pass")
    log.add(record)
    assert log.list(Query(review="open")).items == ()
    assert log.request_review(record.id).review == "open"
    assert log.list(Query(review="open")).items == (log.get(record.id),)
    assert log.images_in_review() == {record.image}
    log.decide(record.id, DECISION)
    assert log.list(Query(review="open")).items == ()
    assert log.images_in_review() == set()
    assert log.undecide(record.id) == record


def test_verdicts_are_counted(filled):
    log, records = filled
    since = START + timedelta(minutes=30)
    for model in (None, "gears", "other", "a\0b"):
        expected = {"pass": 0, "review": 0, "reject": 0}
        for record in records:
            if record.at >= since and model in (None, record.model):
                expected[record.verdict] += 1
        assert log.counts(since, model) == expected


def test_edits_are_listed(log):
    edits = [edit(n, model="gears" if n % 3 else "brackets") for n in range(10)]
    for one in edits:
        log.add_edit(one)
        log.add_edit(one)
    page = log.edits(None, 4)
    assert list(page.items) == edits[:-5:-1]
    assert list(log.edits(None, 100, page.next).items) == edits[5::-1]
    assert list(log.edits("brackets").items) == edits[::-3]
    assert log.list(Query()).items == ()


def test_the_newest_is_first_although_the_clock_jumped_back(log, monkeypatch):
    now = time.time_ns()
    added = []
    for clock in (now, now - 10**15, now + 10**15, now):
        monkeypatch.setattr(time, "time_ns", lambda clock=clock: clock)
        at = datetime.fromtimestamp(clock / 1e9, UTC)
        added.append(inspection(id=log.new_id(), at=at))
        log.add(added[-1])
    assert list(log.list(Query()).items) == added[::-1]
    since = datetime.fromtimestamp(now / 1e9 - 1, UTC)
    assert list(log.list(Query(since=since)).items) == [added[3], added[2], added[0]]


def test_one_thread_writes_while_others_read(log):
    records, seen, failures = [inspection(seed) for seed in range(150)], [], []
    is_done = threading.Event()

    def read():
        try:
            while not is_done.is_set():
                seen.append(len(log.list(Query(), 500).items))
                log.counts(START)
        except Exception as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for record in records:
        log.add(record)
        assert log.get(record.id) == record
    is_done.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert list(log.list(Query(), 500).items) == records[::-1]
    assert len(set(seen)) > 3  # they read between the writes
    assert log.is_available


ADDING = """
import sys
from pathlib import Path
from patchcore_dual.station.log import Log, open_database
from station.log.makers import inspection
log = Log(open_database(sys.argv[1]), Path(sys.argv[2]))
for seed in range(100):
    record = inspection(seed, id=log.new_id())
    log.add(record)
    print(record.id)
log.close()
"""


def test_processes_that_share_a_database_lose_nothing(url, tmp_path):
    """They start at once too, so that they make the tables at once."""
    call = [sys.executable, "-c", ADDING, url, str(tmp_path / "spool")]
    running = [
        subprocess.Popen(call, env=environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    added = [id for process in running for id in process.communicate()[0].split()]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(added) == 300
    log = Log(open_database(url), tmp_path / "spool")
    assert [one.id for one in log.iterate(Query())] == sorted(added, reverse=True)
    log.close()
