"""A change that is killed at any instant leaves the version before or after, and a whole ledger.

`benchmarks/kill_edits.py` does this 200 times, with models that are larger.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from live.conftest import change, with_note, with_vectors
from patchcore_dual.errors import DataError
from patchcore_dual.live import editing, prune, tag, undo, verify
from patchcore_dual.model import load_with_fingerprint, read_fingerprint
from patchcore_dual.model.ledger import read_lines
from patchcore_dual.model.versions import history

TESTS = os.path.dirname(os.path.dirname(__file__))
# Changes a model for ever, and now and then goes back or removes versions.
BUSY = """
import sys
from pathlib import Path
from live.conftest import change, with_note, with_vectors
from patchcore_dual.live import prune, undo
folder, start, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("begun", flush=True)
for number in range(start, end):
    change(folder, with_vectors if number % 3 else with_note, number, why=str(number))
    if number % 5 == 4:
        undo(folder)
    if number % 11 == 10:
        prune(folder, 3)
"""


def busy(folder, start, end):
    path = os.pathsep.join([TESTS, os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(folder), str(start), str(end)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    return process


CHANGES = {
    "teach": lambda folder: change(folder, with_vectors, 9),
    "undo": undo,
    "tag": lambda folder: tag(folder, "approved"),
    "prune": lambda folder: prune(folder, 1),
    "first": lambda folder: change(folder, with_note, 9),
}


def killed_at(step, call, folder):
    """Whether `call(folder)` in a child was killed at its n-th dealing with the disk."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    remaining = step

    def dying(function):
        def dies(*arguments, **options):
            nonlocal remaining
            remaining -= 1
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return dies

    try:
        for name in ("fsync", "replace", "unlink", "mkdir", "chmod"):
            setattr(os, name, dying(getattr(os, name)))
        call(folder)
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("name", CHANGES)
def test_killed_at_any_step_it_is_the_version_before_or_after(small, tmp_path, name):
    whole = shutil.copytree(small, tmp_path / "whole")
    if name != "first":
        for note in (1, 2):
            change(whole, with_note, note)
    before = read_fingerprint(whole), len(history(whole))
    after = shutil.copytree(whole, tmp_path / "after")
    CHANGES[name](after)
    later = read_fingerprint(after), len(history(after))
    seen = []
    for step in range(1, 200):
        folder = shutil.copytree(whole, tmp_path / "model")
        died = killed_at(step, CHANGES[name], folder)
        assert not verify(folder)
        fingerprint = load_with_fingerprint(folder)[1]
        assert fingerprint in (before[0], later[0])
        with editing(folder):  # completes it
            pass
        seen.append((read_fingerprint(folder), len(history(folder))))
        assert seen[-1] in (before, later)
        assert (fingerprint, seen[-1][1]) != (later[0], before[1]) or before[0] == later[0]
        assert not verify(folder)
        change(folder, with_note, 10)
        prune(folder, 100)
        assert not list(folder.rglob(".*"))
        assert not verify(folder)
        shutil.rmtree(folder)
        if not died:
            break
    assert not died
    assert seen == sorted(seen, key=lambda one: one == later)
    assert {before, later} == set(seen)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_at_random_instants(model):
    lines = 0
    for number, delay in enumerate((0, 0.013, 0.05)):
        process = busy(model, 1000 * number, 1000 * number + 999)
        while len(read_lines(model)) == lines and process.poll() is None:
            pass
        time.sleep(delay)
        process.kill()
        process.wait()
        assert not verify(model)
        assert load_with_fingerprint(model)[1] == read_fingerprint(model)
        with editing(model):
            assert len(history(model)) > lines
        lines = len(history(model))


def test_two_processes_are_serialised_and_readers_see_whole_versions(model):
    processes = [busy(model, start, start + 8) for start in (0, 100)]
    seen = set()
    while any(process.poll() is None for process in processes):
        seen.add(load_with_fingerprint(model)[1])
    assert [process.returncode for process in processes] == [0, 0]
    assert not verify(model)
    ledger = history(model)
    assert seen <= {version.fingerprint for version in ledger.versions}
    why = [int(v.why) for v in ledger.versions if v.action == "teach"]
    assert sorted(why) == [*range(8), *range(100, 108)]  # none is lost
    assert [n for n in why if n < 100] == list(range(8))


def test_one_that_waits_too_long_is_told_who_has_it(model):
    with (
        editing(model),
        pytest.raises(DataError, match=f"is in use: .* .process {os.getpid()} "),
        editing(model, wait=0),
    ):
        raise AssertionError
