"""`locked`: one process at a time, and a killed one holds nothing."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from patchcore_dual.errors import DataError
from patchcore_dual.utils.locking import locked

HOLDER = """
import sys, time
from pathlib import Path
from patchcore_dual.utils.locking import locked
with locked(Path(sys.argv[1]), "fit", ""):
    print("locked", flush=True)
    time.sleep(60)
"""


def hold(folder):
    """A process that holds the lock of a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    return process


def test_another_process_is_named_with_the_folder(tmp_path):
    process = hold(tmp_path / "model")
    try:
        with (
            pytest.raises(
                DataError,
                match=rf"model is in use: another fit .*process {process.pid} .*Another name\.",
            ),
            locked(tmp_path / "model", "fit", "Another name."),
        ):
            pass
        with locked(tmp_path / "other", "fit", ""):
            pass
    finally:
        process.kill()
        process.communicate()


def test_a_killed_process_holds_nothing(tmp_path):
    process = hold(tmp_path / "model")
    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate()
    assert (tmp_path / ".model.lock").exists()
    with locked(tmp_path / "model", "fit", ""):
        pass
    assert not list(tmp_path.iterdir())


def test_the_lock_is_released_and_removed_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError, match="work"), locked(tmp_path / "model", "fit", ""):
            raise ValueError("work")
        assert not list(tmp_path.iterdir())


def test_two_names_of_one_folder_are_one(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "line").symlink_to(tmp_path / "model")
    with (
        locked(tmp_path / "model", "fit", ""),
        pytest.raises(DataError, match="in use"),
        locked(tmp_path / "line", "fit", ""),
    ):
        pass


def test_of_many_threads_one_at_a_time(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with locked(tmp_path / "model", "fit", "", wait=60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1


def test_a_read_only_disk_is_one_clear_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with (
        pytest.raises(DataError, match=rf"cannot write into {tmp_path}: Read-only file system\."),
        locked(tmp_path / "model", "fit", ""),
    ):
        pass


def test_a_disk_that_knows_no_locks_is_worked_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("patchcore_dual.utils.locking._lock", refuse)
    with locked(tmp_path / "model", "fit", ""):
        assert "cannot be locked" in caplog.text
