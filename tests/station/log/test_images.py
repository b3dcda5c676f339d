"""Images are kept by their content, and removed by age and size unless something names them."""

import hashlib
import os
import random
import subprocess
import sys
import threading
import time

import pytest

from patchcore_dual.errors import ModelError, StationError, UnavailableError
from patchcore_dual.model.ledger import LEDGER_FILE, Edit, Ledger, TaughtImage
from patchcore_dual.station.log import (
    Decision,
    ImageStore,
    Log,
    Removed,
    open_database,
    retention,
)
from patchcore_dual.station.log.retention import named_images
from station.log.makers import START, edit, inspection
from station.log.processes import environment

DAY = 86_400


@pytest.fixture
def store(tmp_path):
    return ImageStore(tmp_path / "images")


def aged(store, content, days):
    """An image that was stored some days ago."""
    sha256 = store.put(content)
    then = time.time() - days * DAY
    os.utime(store.path(sha256), (then, then))
    return sha256


def left(store, *names):
    return [store.path(name).is_file() for name in names]


def test_an_image_is_kept_once_under_its_hash(store, tmp_path):
    content = b"\x89PNG" + bytes(range(256))
    name = store.put(content)
    assert name == hashlib.sha256(content).hexdigest()
    assert store.put(content) == name
    assert store.read(name) == content
    files = [path for path in (tmp_path / "images").rglob("*") if path.is_file()]
    assert files == [tmp_path / "images" / name[:2] / f"{name[2:]}.bin"]
    assert store.path(name) == files[0]


def test_an_image_whose_file_was_cut_off_is_written_again(store):
    name = store.put(b"x" * 100)
    store.path(name).write_bytes(b"x" * 50)
    store.put(b"x" * 100)
    assert store.read(name) == b"x" * 100


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "/" * 64]
)
def test_only_hashes_are_names(store, name):
    for call in (store.path, store.read, store.hold):
        with pytest.raises(StationError, match="64 hexadecimal digits"):
            call(name)


def test_one_that_was_removed_is_not_found(store):
    with pytest.raises(FileNotFoundError):
        store.read("ab" * 32)
    assert not store.hold("ab" * 32)


def test_retention_by_age(store):
    old, recent, new = aged(store, b"old", 8), aged(store, b"recent", 6), store.put(b"new")
    assert store.apply_retention(None, None, ()) == Removed(0, 0)
    assert store.apply_retention(7, None, ()) == Removed(1, 3)
    assert left(store, old, recent, new) == [False, True, True]


def test_retention_by_size_removes_the_oldest(store):
    names = [aged(store, bytes([n]) * 100, 10 - n) for n in range(5)]
    assert store.apply_retention(None, 250, ()) == Removed(3, 300)
    assert left(store, *names) == [False, False, False, True, True]
    assert store.apply_retention(None, 200, ()) == Removed(0, 0)


def test_retention_by_age_and_size(store):
    names = [aged(store, bytes([n]) * 100, 10 - n) for n in range(5)]
    assert store.apply_retention(8.5, 450, ()).count == 2
    assert left(store, *names) == [False, False, True, True, True]


def test_what_is_named_stays_whatever_its_age(store):
    names = [aged(store, bytes([n]) * 100, 100 - n) for n in range(4)]
    assert store.apply_retention(1, 0, {names[0], names[2]}).count == 2
    assert left(store, *names) == [True, False, True, False]
    assert store.apply_retention(1, 0, lambda: names).count == 0


def test_what_was_just_stored_or_held_stays(store):
    new, held, old = store.put(b"new"), aged(store, b"held", 9), aged(store, b"old", 9)
    assert store.hold(held)
    assert store.apply_retention(1, 0, ()).count == 1
    assert left(store, new, held, old) == [True, True, False]


def test_what_is_stored_again_while_retention_runs_stays(store):
    again, held, old = (aged(store, content, 9) for content in (b"again", b"held", b"old"))

    def keep():  # called once the images were listed
        store.put(b"again")
        store.hold(held)
        return ()

    assert store.apply_retention(1, None, keep).count == 1
    assert left(store, again, held, old) == [True, True, False]


def test_nothing_is_removed_where_it_is_not_known_what_is_named(store):
    def keep():
        raise UnavailableError("the database is away")

    old = aged(store, b"old", 9)
    with pytest.raises(UnavailableError):
        store.apply_retention(1, 0, keep)
    assert left(store, old) == [True]


def test_what_a_killed_retention_had_set_aside_is_put_back(store):
    name = aged(store, b"named", 9)
    store.path(name).rename(store.path(name).with_suffix(".removing"))
    assert store.apply_retention(1, 0, {name}).count == 0
    assert store.read(name) == b"named"


def test_what_killed_processes_left_half_written_is_removed(store):
    name = store.put(b"whole")
    old, new = (store.path(name).with_name(f".{n}.bin.tmp") for n in "ab")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.apply_retention(1, 0, ())
    assert (old.exists(), new.exists()) == (False, True)


def test_a_ledger_and_an_open_review_name_images(store, url, tmp_path):
    taught, other_model, in_review, edited, decided, passed = names = [
        aged(store, content, 9)
        for content in (b"taught", b"other", b"review", b"edited", b"done", b"pass")
    ]
    log = Log(open_database(url), tmp_path / "spool")
    for image, verdict in ((in_review, "reject"), (decided, "review"), (passed, "pass")):
        record = inspection(image=image, verdict=verdict)
        log.add(record)
        if image == decided:
            log.decide(record.id, Decision(label="skip", by="ada", at=START))
    log.add_edit(edit(images=[edited]))  # of a model that is served no more
    models = [tmp_path / "one", tmp_path / "other", tmp_path / "never changed"]
    for folder in models:
        folder.mkdir()
    for folder, image in zip(models, (taught, other_model), strict=False):
        taught_one = Edit("teach", (TaughtImage("part.png", image, "good"),))
        ledger = Ledger().adding(Edit("fit"), "0" * 16).adding(taught_one, "1" * 16)
        ledger = ledger.adding(Edit("undo", effects={"version": 1}), "0" * 16)
        (folder / LEDGER_FILE).write_bytes(ledger.text)
    assert store.apply_retention(1, 0, lambda: named_images(log, models)).count == 2
    assert left(store, *names) == [True, True, True, True, False, False]
    (models[0] / LEDGER_FILE).write_bytes(b"damaged\n")
    with pytest.raises(ModelError, match="damaged"):
        store.apply_retention(1, 0, lambda: named_images(log, models))
    models[0].rename(tmp_path / "away")
    with pytest.raises(ModelError, match="is away"):
        store.apply_retention(1, 0, lambda: named_images(log, models))
    log.close()


def test_a_clock_that_jumps_forward_is_not_believed_for_a_day(monkeypatch):
    wall, steady = time.time, retention._steady
    clock = retention.Clock()
    assert clock.is_believed()
    monkeypatch.setattr(time, "time", lambda: wall() - 9 * DAY)
    assert clock.is_believed(), "images are only younger then"
    monkeypatch.setattr(time, "time", wall)
    assert [clock.is_believed() for _ in range(2)] == [False, False]
    monkeypatch.setattr(retention, "_steady", lambda: steady() + 0.9 * DAY)
    monkeypatch.setattr(time, "time", lambda: wall() + 0.9 * DAY)
    assert not clock.is_believed()
    monkeypatch.setattr(retention, "_steady", lambda: steady() + 1.1 * DAY)
    monkeypatch.setattr(time, "time", lambda: wall() + 1.1 * DAY)
    assert clock.is_believed()


def test_threads_and_retention_at_once_lose_nothing_that_was_just_stored(store):
    contents = [bytes([n]) * 50 for n in range(20)]
    for content in contents:
        aged(store, content, 9)
    failures, is_done = [], threading.Event()

    def work(seed):
        draw = random.Random(seed)
        try:
            for _ in range(200):
                content = draw.choice(contents)
                name = store.put(content)
                # It may be aside for an instant, while retention looks whether it was used.
                for _ in range(100):
                    try:
                        assert store.read(name) == content
                        break
                    except FileNotFoundError:
                        time.sleep(0.01)
                else:
                    raise AssertionError(f"{name} is lost")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]

    def retain():
        while not is_done.is_set():
            store.apply_retention(1, 0, ())

    threads.append(threading.Thread(target=retain))
    for thread in threads:
        thread.start()
    for thread in threads[:-1]:
        thread.join()
    is_done.set()
    threads[-1].join()
    assert not failures


PUTTING = """
import sys
from pathlib import Path
from patchcore_dual.station.log import ImageStore
store = ImageStore(Path(sys.argv[1]))
while True:
    for number in range(256):
        store.put(bytes([number]) * 200_000)
        print(number, flush=True)
"""


def test_an_image_is_whole_or_absent_after_a_kill(store, tmp_path):
    for delay in (0.0, 0.01, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", PUTTING, str(tmp_path / "images")],
            env=environment(),
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        for path in (tmp_path / "images").glob("*/*.bin"):
            content = path.read_bytes()
            assert hashlib.sha256(content).hexdigest() == path.parent.name + path.stem
