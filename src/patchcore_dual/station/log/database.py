"""`open_database`: SQLite or PostgreSQL, its schema up to date."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from patchcore_dual.errors import StationError
from patchcore_dual.utils.dependencies import missing

_MIGRATIONS = "patchcore_dual.station.log:migrations"
_MIGRATION_LOCK = 2118450  # of PostgreSQL: any number that other programs do not use
_BUSY = 10  # seconds that SQLite waits for another process
# A server that does not answer must not hold up inspections, which are spooled then. What the URL
# says goes first.
_POSTGRESQL = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "options": "-c lock_timeout=5s",
    "application_name": "patchcore-dual",
}


def open_database(url: str) -> Engine:
    """The database of a URL, its schema brought up to date.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`. A file is made where
            there is none; a PostgreSQL database has to exist.

    Raises:
        StationError: where it cannot be reached or used, or is of a newer version of the program.
        MissingDependencyError: for PostgreSQL without psycopg.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     engine = open_database(f"sqlite:///{folder}/station.db")
    ...     engine.dispose()
    """
    parsed = _parse(url)
    engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    try:
        with engine.connect() as connection:
            _bring_up_to_date(connection)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StationError(
            f"the database {parsed} cannot be used: {reason(error)}. "
            "Name another one with --database, or mend this one."
        ) from None
    except BaseException:
        engine.dispose()
        raise
    return engine


def reason(error: SQLAlchemyError) -> str:
    """What the database said, in one line."""
    said = str(getattr(error, "orig", None) or error).strip()
    return " ".join(said.splitlines()[0].split()).rstrip(".") if said else type(error).__name__


def _parse(url: str) -> URL:
    allowed = "a database is sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StationError(f"{allowed}.") from None  # the text may hold a password
    name = parsed.get_backend_name()
    if name not in ("sqlite", "postgresql"):
        raise StationError(f"{allowed}, not {name}.")
    if name == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StationError(f"{allowed}; one in memory would lose every inspection.")
    return parsed.set(drivername="sqlite" if name == "sqlite" else "postgresql+psycopg")


def _sqlite(url: URL) -> Engine:
    try:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StationError(f"cannot make the folder of {url}: {error.strerror}.") from None
    engine = create_engine(url, connect_args={"timeout": _BUSY})

    @event.listens_for(engine, "connect")
    def commits_are_on_disk(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _postgresql(url: URL) -> Engine:
    options = {name: value for name, value in _POSTGRESQL.items() if name not in url.query}
    try:
        # Pinged, so that a server that was restarted is not taken for one that is away.
        return create_engine(url, connect_args=options, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise missing("psycopg", "a PostgreSQL database") from None


def _bring_up_to_date(connection: Connection) -> None:
    """Run the migrations that are missing, all or none, one process at a time."""
    if connection.dialect.name == "sqlite":
        _use_wal(connection)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current not in {None, *(revision.revision for revision in script.walk_revisions())}:
        raise StationError(
            f"the database {connection.engine.url} has schema {current}, which this version of the "
            "program does not know: a newer one has written it. Install that version, or name "
            "another database with --database."
        )
    if current != script.get_current_head():
        command.upgrade(config, "head")
    connection.commit()


def _use_wal(connection: Connection) -> None:
    mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar()
    connection.rollback()
    if mode != "wal":
        raise StationError(
            f"{connection.engine.url.database} lies where SQLite cannot write ahead (a network "
            "drive?). Put it on a disk of this machine, or use PostgreSQL."
        )
