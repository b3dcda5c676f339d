"""While the database is away inspections are spooled; then each is there exactly once."""

import json
import random
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, event, make_url, text

from patchcore_dual.errors import StationError, UnavailableError
from patchcore_dual.station.log import Decision, Log, Query, open_database
from patchcore_dual.station.log.rows import insert
from station.log.makers import START, edit, inspection
from station.log.wire import Wire

DECISION = Decision(label="good", by="ada", at=START)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("patchcore_dual.station.log.log._RETRY", 0.05)
    monkeypatch.setattr("patchcore_dual.station.log.database._BUSY", 0.1)


class Postgres:
    """A server behind a wire that can be cut."""

    def __init__(self, url):
        parsed = make_url(url)
        self.wire = Wire(parsed.host, parsed.port)
        self.url = parsed.set(port=self.wire.port).render_as_string(hide_password=False)

    @contextmanager
    def away(self):
        self.wire.cut()
        yield
        self.wire.mend()


class Sqlite:
    """A file that another program locks."""

    def __init__(self, url):
        self.url = url

    @contextmanager
    def away(self):
        other = sqlite3.connect(make_url(self.url).database, isolation_level=None)
        other.execute("PRAGMA busy_timeout = 5000")
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.close()


@pytest.fixture(params=[Sqlite, Postgres])
def database(request):
    kind = "sqlite_url" if request.param is Sqlite else "postgres_url"
    return request.param(request.getfixturevalue(kind))


@pytest.fixture
def log(database, tmp_path):
    log = Log(open_database(database.url), tmp_path / "spool")
    yield log
    log.close()


def wait_for(log):
    deadline = time.monotonic() + 20
    while not log.is_available:
        assert time.monotonic() < deadline, "the spool was not emptied"
        time.sleep(0.01)


def test_what_is_added_meanwhile_is_written_when_it_is_back(log, database, tmp_path, caplog):
    records = [inspection(seed) for seed in range(230)]
    for record in records[:3]:
        log.add(record)
    assert log.is_available
    with database.away():
        for record in records[3:]:
            log.add(record)
        log.add_edit(edit(1))
        assert not log.is_available
        assert [log.get(record.id) for record in records[3:]] == records[3:]
        with pytest.raises(UnavailableError):
            log.decide(records[9].id, DECISION)
    wait_for(log)
    assert "available again" in caplog.text
    assert list(log.iterate(Query())) == records[::-1]
    assert len(log.edits().items) == 1
    assert list((tmp_path / "spool").iterdir()) == []
    assert log.decide(records[9].id, DECISION).decision == DECISION


def test_reading_says_that_it_is_away(tmp_path, postgres_url):
    database = Postgres(postgres_url)
    log = Log(open_database(database.url), tmp_path / "spool")
    with database.away():
        for read in (
            lambda: log.list(Query()),
            lambda: log.counts(START),
            lambda: log.edits(),
            lambda: log.get(log.new_id()),
            lambda: log.images_in_review(),
            lambda: list(log.iterate(Query())),
        ):
            with pytest.raises(UnavailableError, match="is not available"):
                read()
    assert log.list(Query()).items == ()
    log.close()


def test_what_waits_is_written_by_the_next_process(log, database, tmp_path):
    record = inspection()
    with database.away():
        log.add(record)
        log.close()
    (tmp_path / "spool" / "notes.json").write_text("of somebody else")
    again = Log(open_database(database.url), tmp_path / "spool")
    wait_for(again)
    assert again.list(Query()).items == (record,)
    assert again.new_id() > record.id
    again.close()


def test_images_that_wait_in_the_spool_are_in_review(log, database):
    record = inspection(verdict="reject")
    log.add(inspection(verdict="pass"))
    with database.away():
        log.add(record)
        if isinstance(database, Postgres):
            with pytest.raises(UnavailableError):
                log.images_in_review()
        else:
            assert log.images_in_review() == {record.image}
    wait_for(log)
    assert log.images_in_review() == {record.image}


def test_one_that_is_in_the_database_and_in_the_spool_is_there_once(log, database, tmp_path):
    """As after a kill between the two, or where the answer to a commit was lost."""
    record = inspection(verdict="reject")
    log.add(record)
    decided = log.decide(record.id, DECISION)
    with database.away():
        log.add(record)
    wait_for(log)
    assert log.list(Query()).items == (decided,)


def test_a_database_that_comes_and_goes_gets_each_exactly_once(tmp_path, postgres_url):
    database, draw = Postgres(postgres_url), random.Random(3)
    log = Log(open_database(database.url), tmp_path / "spool")
    records = []
    for _ in range(12):
        with database.away():
            for _ in range(draw.randrange(4)):
                records.append(inspection(len(records)))
                log.add(records[-1])
        for _ in range(draw.randrange(30)):
            records.append(inspection(len(records)))
            log.add(records[-1])
    wait_for(log)
    assert list(log.iterate(Query())) == records[::-1]
    log.close()


def test_the_spool_becomes_empty_although_more_is_added_all_the_time(log, database, monkeypatch):
    monkeypatch.setattr("patchcore_dual.station.log.log._RETRY", 0.5)
    records = []

    def add():
        records.append(inspection(len(records)))
        log.add(records[-1])

    with database.away():
        for _ in range(100):
            add()
    deadline = time.monotonic() + 60
    while not log.is_available:
        assert time.monotonic() < deadline
        time.sleep(0.005)  # an inspection
        add()
    assert list(log.iterate(Query())) == records[::-1]


@pytest.mark.parametrize("count", [1, 100])
def test_many_records_take_the_round_trips_of_one(url, tmp_path, count):
    """Else a spool would not become empty over a slow network."""
    engine, statements = open_database(url), []
    records = [inspection(seed) for seed in range(7 + count)]
    with engine.begin() as connection:
        insert(connection, records[:7])
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with engine.begin() as connection:
        insert(connection, [*records, edit(1)])
    assert len(statements) <= 3
    log = Log(engine, tmp_path / "spool")
    assert list(log.iterate(Query())) == records[::-1]
    log.close()


def test_a_server_that_was_restarted_is_not_taken_for_one_that_is_away(tmp_path, postgres_url):
    database = Postgres(postgres_url)
    log = Log(open_database(database.url), tmp_path / "spool")
    log.add(inspection())
    with database.away():
        pass
    log.add(inspection())
    assert log.is_available
    assert len(log.list(Query()).items) == 2
    log.close()


def test_a_server_that_ends_our_connections_and_refuses_new_ones(tmp_path, postgres_url):
    log = Log(open_database(postgres_url), tmp_path / "spool")
    log.add(inspection())
    name = make_url(postgres_url).database
    server = make_url(postgres_url).set(drivername="postgresql+psycopg", database="postgres")
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        log.add(inspection())
        assert not log.is_available
        connection.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
    wait_for(log)
    assert len(log.list(Query()).items) == 2
    log.close()
    admin.dispose()


def test_what_the_database_refuses_is_not_acknowledged(log):
    with pytest.raises(StationError, match="refuses this"):
        log.add(replace(inspection(), score=None))
    assert log.is_available


def test_a_spooled_record_that_is_refused_holds_nothing_up(log, database, tmp_path, caplog):
    records = [inspection(seed) for seed in range(5)]
    with database.away():
        for record in records:
            log.add(replace(record, score=None) if record is records[2] else record)
    wait_for(log)
    assert list(log.list(Query()).items) == [r for r in records[::-1] if r is not records[2]]
    (left,) = (tmp_path / "spool").iterdir()
    assert left.name == f"{records[2].id}.inspection.refused"
    assert json.loads(left.read_text())["name"] == records[2].name
    assert "refused" in caplog.text


def test_a_spooled_record_that_is_damaged_holds_nothing_up(log, database, tmp_path):
    records = [inspection(seed) for seed in range(3)]
    with database.away():
        for record in records:
            log.add(record)
        damaged = inspection(3).id
        (tmp_path / "spool" / f"{damaged}.inspection.json").write_text("{")
    wait_for(log)
    assert list(log.list(Query()).items) == records[::-1]
    (left,) = (tmp_path / "spool").iterdir()
    assert left.name == f"{damaged}.inspection.damaged"


def test_a_spool_that_cannot_be_used_is_refused(sqlite_url, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StationError, match="cannot use the folder"):
        Log(open_database(sqlite_url), tmp_path / "file" / "spool")
