"""Databases for tests: SQLite files, and databases of a real PostgreSQL server."""

import os
import uuid

import pytest
from sqlalchemy import create_engine, make_url, text

from patchcore_dual.station.log import Log, open_database

SERVER = "PATCHCORE_DUAL_TEST_POSTGRES"


@pytest.fixture
def postgres_url():
    """The URL of an empty database, which is dropped afterwards."""
    server = os.environ.get(SERVER)
    if not server:
        pytest.skip(f"no PostgreSQL server: {SERVER} is not set, as tests/services.sh does")
    url = make_url(server).set(drivername="postgresql+psycopg")
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/station.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    """The URL of an empty database of each kind."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def log(url, tmp_path):
    """An empty log in a database of each kind."""
    log = Log(open_database(url), tmp_path / "spool")
    yield log
    log.close()
