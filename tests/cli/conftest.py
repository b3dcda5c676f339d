"""Commands as a user runs them: exit codes, what is printed, what is written."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from patchcore_dual.cli.main import main


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        """Standard output, which has to be one JSON object and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `patchcore-dual` with some arguments, in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["patchcore-dual", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return Result(caught.value.code or 0, printed.out, printed.err)

    return run


@pytest.fixture
def fails(run):
    """Run something that has to end in one clear message, no traceback and exit code 2."""

    def fails(*arguments):
        result = run(*arguments)
        assert result.code == 2
        assert result.out == ""
        assert "Traceback" not in result.err
        assert result.err.count("error:") == 1
        return result.err

    return fails


@pytest.fixture(scope="session")
def no_file_beyond():
    """A context in which files cannot grow beyond so many bytes, which fails as a full disk does.

    Python ignores the signal that would come with it.
    """
    resource = pytest.importorskip("resource")

    @contextmanager
    def no_file_beyond(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return no_file_beyond


@pytest.fixture(scope="session")
def in_a_process():
    """Start `patchcore-dual` in a process of its own, with what `subprocess.run` takes."""

    def start(*arguments, environment=(), **options):
        code = "from patchcore_dual.cli.main import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "COLUMNS": "200", **dict(environment)},
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    return start
