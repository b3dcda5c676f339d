"""Killed at any instant, no file is inspected twice and none is forgotten."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchcore_dual.errors import ImageError
from patchcore_dual.station.log import ImageStore, InspectionRecord, Log, Query, open_database
from patchcore_dual.station.settings import WatchedFolder
from patchcore_dual.station.watch.database import WatchDatabase
from patchcore_dual.station.watch.outlets import OutletQueue
from patchcore_dual.station.watch.watcher import Watcher
from station.watch.conftest import files, put, wait_until

SUFFIX = ".inspection.json"
KILLS = int(os.environ.get("PATCHCORE_DUAL_KILLS", "8"))
SERVE = "from patchcore_dual.cli.main import main; main()"


def serve(model, data, folder, url):
    """The station in a process of its own, with one watched folder and a webhook."""
    options = f"--port 0 --data {data} --watch {folder} --settle 0.05 --webhook {url}"
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", str(model), *options.split()],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("Serving "):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process
    raise AssertionError("it did not start")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_kills_while_files_come(part_model, images, data, folder, receiver):
    chance = random.Random(0)
    sent = {}

    def send():
        # A few trailing bytes make each file's content its own.
        name = f"{chance.choice(['', 'monday/', 'line 2/'])}{len(sent):04}.png"
        is_broken = chance.random() < 0.1
        content = b"broken" if is_broken else chance.choice(images)
        sent[name] = content + len(sent).to_bytes(4)
        put(folder, name, sent[name])

    arguments = part_model, data, folder, receiver.url
    for kill in range(KILLS):
        for _ in range(6):
            send()
        receiver.answers = [chance.choice([200, 200, 503, 0]) for _ in range(3)]
        process = serve(*arguments)
        # Some die before anything happened, most in the midst of it.
        before = len(receiver.ids)
        if kill % 5:
            wait_until(lambda before=before: len(receiver.ids) > before or not _left(folder))
        time.sleep(chance.uniform(0, 0.3))
        send()
        process.kill()
        process.wait()
    receiver.answers = []
    process = serve(*arguments)
    wait_until(lambda: not _left(folder), 60)
    log = Log(open_database(f"sqlite:///{data / 'station.db'}"), data / "other-spool")
    records = list(log.iterate(Query()))
    broken = {name for name, content in sent.items() if content.startswith(b"broken")}
    wait_until(lambda: len(set(receiver.ids)) == len(sent), 60)
    process.terminate()  # it closes in order
    assert process.wait(30) == 0
    assert not [path for path in folder.iterdir() if path.name.endswith(".lock")]
    # The log has each file once, and its image.
    assert Counter(record.name for record in records) == Counter(sent.keys() - broken)
    images_kept = ImageStore(data / "images")
    assert all(images_kept.read(r.image) == sent[r.name] for r in records)
    # Each file lies once in its place, with its result.
    results = {p: json.loads((folder / p).read_bytes()) for p in files(folder) if SUFFIX in p}
    assert len(results) == len(sent)
    assert {r["name"] for r in results.values() if r["verdict"] == "unreadable"} == broken
    for path, result in results.items():
        image = folder / path.removesuffix(SUFFIX)
        assert image.read_bytes() == sent[result["name"]]
        assert image.relative_to(folder).as_posix().partition("/")[2] == result["name"]
    assert len(files(folder)) == 2 * len(sent)
    assert not _left(folder)
    # The receiver has each result; one that came twice did so before the next.
    assert sorted(set(receiver.ids)) == sorted(r["id"] for r in results.values())
    assert list(dict.fromkeys(receiver.ids)) == [
        id for id, before in zip(receiver.ids, [None, *receiver.ids], strict=False) if id != before
    ]
    sequences = [message["sequence"] for message in receiver.taken]
    assert sorted(set(sequences)) == list(range(1, len(sent) + 1))
    log.close()


def _left(folder):
    """Files that are not in their place yet."""
    places = ("inspected", "review", "rejected", "unreadable")
    return [path for path in files(folder) if path.partition("/")[0] not in places]


class Judge:
    """A station with a real log, whose verdicts need no network: for a process that is forked."""

    def __init__(self, data):
        data.mkdir(exist_ok=True)
        self.log = Log(open_database(f"sqlite:///{data / 'station.db'}"), data / "spool")

    def inspect(self, model_name, content, *, name, source, id):
        if content.startswith(b"broken"):
            raise ImageError("it is no image.")
        record = InspectionRecord(
            **{"id": id, "at": datetime.now(UTC), "model": model_name, "fingerprint": "0" * 16},
            **{"source": source, "name": name, "image": "0" * 64, "width": 1, "height": 1},
            **{"verdict": "reject" if content.startswith(b"bad") else "pass", "score": 1.0},
            **{"threshold": 1.0, "review_threshold": 1.0},
        )
        self.log.add(record)
        return record


def look(folder, data, then):
    """One look by a new process's watcher."""
    database = WatchDatabase(data / "watch.db")
    watched = WatchedFolder(folder, "part", then=then, settle=0, patience=0)
    judge = Judge(data)
    one = Watcher(judge, watched, database, OutletQueue(database, ["outlet"]))
    one.look()
    one.close()
    judge.log.close()
    database.close()


def killed_at(step, folder, data, then):
    """Whether a look in a child was killed at its n-th dealing with the disk."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    remaining = step

    def count():
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(function):
        def dies(*arguments, **options):
            count()
            result = function(*arguments, **options)
            count()
            return result

        return dies

    transaction = WatchDatabase.transaction

    @contextmanager
    def dying_transaction(self):
        with transaction(self) as connection:
            yield connection
            count()
        count()

    try:
        for name in ("replace", "rename", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        Log.add = dying(Log.add)
        WatchDatabase.transaction = dying_transaction
        look(folder, data, then)
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("then", ["move", "mark"])
def test_killed_at_any_step_the_next_look_completes_it(tmp_path, then):
    sent = {"good.png": b"good", "below/bad.png": b"bad", "text.png": b"broken"}
    died, step = True, 0
    Judge(tmp_path / "new").log.close()
    while died:
        step += 1
        folder, data = tmp_path / f"{step}/camera", tmp_path / f"{step}/data"
        folder.mkdir(parents=True)
        shutil.copytree(tmp_path / "new", data)
        for name, content in sent.items():
            put(folder, name, content)
        died = killed_at(step, folder, data, then)
        look(folder, data, then)
        look(folder, data, then)
        log = Judge(data).log
        assert Counter(r.name for r in log.iterate(Query())) == Counter(
            ["good.png", "below/bad.png"]
        )
        log.close()
        results = {p: json.loads((folder / p).read_bytes()) for p in files(folder) if SUFFIX in p}
        assert sorted(result["name"] for result in results.values()) == sorted(sent)
        for path, result in results.items():
            assert (folder / path.removesuffix(SUFFIX)).read_bytes() == sent[result["name"]]
        assert len(files(folder)) == 2 * len(sent)
        assert bool(_left(folder)) == (then == "mark")
        database = WatchDatabase(data / "watch.db")
        queue, ids = OutletQueue(database, ["outlet"]), []
        while message := queue.oldest("outlet"):
            ids.append(message.id)
            queue.delivered("outlet", message)
        database.close()
        assert Counter(ids) == Counter(result["id"] for result in results.values())
    assert step > 20


def test_files_that_were_left_when_the_folder_was_not_watched_are_inspected(tmp_path):
    for name in ("b.png", "a.png"):
        put(tmp_path / "camera", name, name.encode())
    look(tmp_path / "camera", Path(tmp_path / "data"), "move")
    assert [p for p in files(tmp_path / "camera") if SUFFIX not in p] == [
        *("inspected/a.png", "inspected/b.png")
    ]
