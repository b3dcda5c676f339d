"""Databases are opened, brought up to date, or refused with a message that says what to do."""

import socket
import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, make_url, text

from patchcore_dual.errors import StationError
from patchcore_dual.station.log import Log, Query, open_database
from patchcore_dual.station.log.tables import metadata
from station.log.makers import inspection


def test_the_migrations_make_the_tables_that_the_code_has(url):
    engine = open_database(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_what_was_written_is_there_when_it_is_opened_again(url, tmp_path):
    record = inspection()
    for _ in range(2):
        log = Log(open_database(url), tmp_path / "spool")
        log.add(record)
        log.close()
    log = Log(open_database(url), tmp_path / "spool")
    assert log.list(Query()).items == (record,)
    log.close()


def test_a_newer_schema_is_refused_and_left_as_it_is(url):
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '999'"))
    with pytest.raises(StationError, match=r"schema 999.* a newer one has written it"):
        open_database(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "999"
    engine.dispose()


def test_a_migration_that_fails_leaves_nothing(url, monkeypatch):
    def fails(connection, *_, **__):
        raise StationError("the power failed")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_index", fails)
        with pytest.raises(StationError, match="the power failed"):
            open_database(url)
    engine = open_database(url)
    assert {"inspections", "regions", "edits"} < set(inspect(engine).get_table_names())
    engine.dispose()


def test_sqlite_writes_ahead_and_commits_to_disk(sqlite_url):
    engine = open_database(sqlite_url)
    with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL
    engine.dispose()


def test_the_folder_of_a_sqlite_file_is_made(tmp_path):
    open_database(f"sqlite:///{tmp_path}/new folder/100%/station.db").dispose()
    assert (tmp_path / "new folder" / "100%" / "station.db").is_file()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "station.db",
        "mysql://root@localhost/x",
        "sqlite://",
        "sqlite:///:memory:",
        "://",
        "a:b:c",
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(StationError, match="a database is sqlite:///FILE or postgresql://"):
        open_database(url)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "station.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StationError, match="file is not a database"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == b"no database at all" * 100


def test_a_file_where_there_can_be_none_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StationError, match="cannot make the folder"):
        open_database(f"sqlite:///{tmp_path}/file/station.db")
    with pytest.raises(StationError, match="unable to open database file"):
        open_database(f"sqlite:///{tmp_path}")


def test_a_server_that_cannot_be_reached_is_named_without_its_password():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StationError) as raised:
        open_database(f"postgresql://ada:secret@127.0.0.1:{port}/station")
    message = str(raised.value)
    assert "refused" in message
    assert f"127.0.0.1:{port}/station" in message
    assert "secret" not in message
    assert len(message.splitlines()) == 1


def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StationError, match="cannot be used"):
            open_database(f"postgresql://ada@127.0.0.1:{port}/station?connect_timeout=2")


def test_a_database_that_the_server_lacks_is_refused(postgres_url):
    absent = make_url(postgres_url).set(database="absent").render_as_string(hide_password=False)
    with pytest.raises(StationError, match='"absent" does not exist'):
        open_database(absent)


def test_a_sqlite_file_that_another_program_locks_is_refused(sqlite_url, monkeypatch):
    monkeypatch.setattr("patchcore_dual.station.log.database._BUSY", 0.1)
    open_database(sqlite_url).dispose()
    other = sqlite3.connect(make_url(sqlite_url).database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StationError, match="database is locked"):
        open_database(sqlite_url)
    other.close()
