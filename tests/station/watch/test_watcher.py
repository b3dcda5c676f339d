"""One watched folder: what becomes of each kind of file, with a real station behind it."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from patchcore_dual.errors import StationError, UnavailableError
from patchcore_dual.station.serving.inspector import QueueFull, TooSlow
from patchcore_dual.station.settings import WatchedFolder
from patchcore_dual.station.watch.database import WatchDatabase
from patchcore_dual.station.watch.file_inspection import MAX_ATTEMPTS
from patchcore_dual.station.watch.folder import check_apart
from patchcore_dual.station.watch.listing import Signature
from patchcore_dual.station.watch.outlets import OutletQueue
from patchcore_dual.station.watch.watcher import Watcher
from station.watch.conftest import files, logged, put, running, wait_until

SUFFIX = ".inspection.json"


@pytest.fixture
def watcher(station, folder, data):
    """A function that makes a watcher of `folder`, as after a restart."""
    opened = []

    def make(then="move", settle=0.0, patience=0.0, every=0.02, **options):
        watched = WatchedFolder(
            folder, "part", then=then, settle=settle, patience=patience, every=every, **options
        )
        while opened:
            opened.pop().close()
        database = WatchDatabase(data / "watch.db")
        one = Watcher(station, watched, database, OutletQueue(database, ["outlet"]))
        one.queue = OutletQueue(database, ["outlet"])
        one.database = database
        opened.append(one)
        opened.append(database)
        return one

    yield make
    while opened:
        opened.pop().close()


def results(folder):
    """What the JSON files beside the images say, by their path without the suffix."""
    return {
        path.removesuffix(SUFFIX): json.loads((folder / path).read_bytes())
        for path in files(folder)
        if path.endswith(SUFFIX)
    }


def test_images_are_inspected_once_and_moved_by_their_verdict(station, watcher, folder, images):
    for number, content in enumerate(images):
        put(folder, f"{number}.png", content)
    one = watcher()
    for _ in range(3):
        one.look()
    records = logged(station)
    assert [record.name for record in records] == [f"{n}.png" for n in range(len(images))]
    assert {record.source for record in records} == {f"watch:{folder}"}
    places = {"pass": "inspected", "review": "review", "reject": "rejected"}
    expected = {f"{places[r.verdict]}/{r.name}": r.to_json() for r in records}
    assert len({path.partition("/")[0] for path in expected}) > 1
    assert results(folder) == expected
    assert files(folder) == sorted([*expected, *(path + SUFFIX for path in expected)])
    for record in records:
        path = folder / places[record.verdict] / record.name
        assert path.read_bytes() == station.images.read(record.image)
    assert sum(one.state()["counts"].values()) == len(images)
    assert one.queue.counts("outlet")["queued"] == len(images)


def test_marked_images_stay_and_are_inspected_again_only_when_they_change(
    station, watcher, folder, images
):
    put(folder, "a.png", images[0])
    put(folder, "below/b.png", images[1])
    watcher("mark").look()
    assert set(results(folder)) == {"a.png", "below/b.png"}
    one = watcher("mark")  # a restart
    one.look()
    assert len(logged(station)) == 2
    os.utime(folder / "a.png")  # touched, its content is the same
    one.look()
    put(folder, "below/b.png", images[2])
    for _ in range(2):
        one.look()
    assert [record.name for record in logged(station)] == ["a.png", "below/b.png", "below/b.png"]
    assert results(folder)["below/b.png"]["id"] == logged(station)[-1].id
    (folder / f"a.png{SUFFIX}").unlink()  # its mark is written once more, when it is looked at
    os.utime(folder / "a.png")
    one.look()
    assert results(folder)["a.png"]["id"] == logged(station)[0].id
    assert one.queue.counts("outlet")["queued"] == 3


def test_files_that_are_being_written_are_left_alone(station, watcher, folder, images):
    content, half = images[0], len(images[0]) // 2
    with running(watcher(settle=0.3, every=0.05)) as one, (folder / "a.png").open("wb") as file:
        for start in range(0, half, half // 6):
            file.write(content[start : min(start + half // 6, half)])
            file.flush()
            time.sleep(0.1)
            assert files(folder) == ["a.png"]
        file.write(content[half:])
        file.flush()
        wait_until(lambda: len(logged(station)) == 1)
        assert one.state()["counts"].get("unreadable", 0) == 0


def test_a_slow_writer_that_pauses_is_waited_for(station, watcher, folder, images):
    content, half = images[0], len(images[0]) // 2
    with running(watcher(settle=0.05, patience=5.0)) as one:
        (folder / "a.png").write_bytes(content[:half])
        time.sleep(0.6)  # it was tried, and is no image yet
        assert files(folder) == ["a.png"]
        with (folder / "a.png").open("ab") as file:
            file.write(content[half:])
        wait_until(lambda: len(logged(station)) == 1)
        assert one.state()["counts"].get("unreadable", 0) == 0


def test_what_cannot_be_inspected_is_set_aside_with_the_reason(station, watcher, folder, images):
    put(folder, "half.png", images[0][: len(images[0]) // 2])
    put(folder, "text.png", b"no image at all")
    put(folder, "empty.jpg", b"")
    put(folder, "below/large.bmp", bytes(3000))
    one = watcher(max_bytes=2500 + len(images[0]))
    put(folder, "good.png", images[1])
    put(folder, "huge.tif", bytes(2501 + len(images[0])))
    for _ in range(3):
        one.look()
    names = {"half.png", "text.png", "empty.jpg", "below/large.bmp", "huge.tif"}
    errors = {k: v for k, v in results(folder).items() if v["verdict"] == "unreadable"}
    assert set(errors) == {f"unreadable/{name}" for name in names}
    assert "MiB" in errors["unreadable/huge.tif"]["error"]
    assert "no image" in errors["unreadable/text.png"]["error"]
    assert [record.name for record in logged(station)] == ["good.png"]
    assert one.queue.counts("outlet")["queued"] == 6  # the line learns of these, too
    before = files(folder)
    watcher().look()
    assert files(folder) == before
    put(folder, "text.png", b"no image at all")  # somebody tries it once more
    watcher().look()
    assert len(files(folder)) == len(before) + 2


def test_the_same_file_that_comes_again_is_the_same_inspection(station, watcher, folder, images):
    for _ in range(3):  # as a sync program delivers it
        put(folder, "a.png", images[0])
        watcher().look()
    (record,) = logged(station)
    assert len([path for path in files(folder) if path.endswith(".png")]) == 3
    assert {one["id"] for one in results(folder).values()} == {record.id}
    assert watcher().queue.counts("outlet")["queued"] == 1


def test_another_image_of_the_same_name_replaces_nothing(station, watcher, folder, images):
    one = watcher()
    for content in images[:4]:
        put(folder, "current.png", content)
        one.look()
    assert len(logged(station)) == 4
    kept = {p.read_bytes() for p in folder.rglob("*.png")}
    assert kept == set(images[:4])
    assert len({one["id"] for one in results(folder).values()}) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.png",
        "Teil-äöü-部品.png".encode(),
        b"a b;$(x).png",
        b"x" * 251 + b".png",
        b"n\nl.png",
    ],
)
def test_names_of_any_bytes(station, watcher, folder, images, name):
    put(folder, name, images[0])
    put(folder, b"caf\xe9-below/" + name, images[1])
    watcher().look()
    assert len(logged(station)) == 2
    found = {p.name for p in folder.rglob("*.png")}
    assert found == {os.fsdecode(name)}
    assert len(list(folder.rglob("*.json"))) == 2
    put(folder, name, images[2])  # there is one of that name now
    watcher().look()
    assert len(logged(station)) == 3
    assert len(list(folder.rglob("*.png"))) == 3
    json.dumps([record.to_json() for record in logged(station)]).encode()


def test_links_are_not_followed(station, watcher, folder, tmp_path, images):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(images[0])
    (folder / "link.png").symlink_to(outside / "secret.png")
    (folder / "below").symlink_to(outside)
    one = watcher()
    one.look()
    assert logged(station) == []
    assert files(outside) == ["secret.png"]


def test_places_that_lead_out_of_the_folder_are_not_used(
    station, watcher, folder, tmp_path, images
):
    (tmp_path / "outside").mkdir()
    for place in ("inspected", "review", "rejected", "unreadable"):
        (folder / place).symlink_to(tmp_path / "outside")
    put(folder, "a.png", images[0])
    put(folder, "b.png", b"no image")
    one = watcher()
    one.look()
    assert files(tmp_path / "outside") == []
    assert "is a link" in one.state()["failure"]
    assert one.state()["unplaced"] == 2
    for place in ("inspected", "review", "rejected", "unreadable"):
        (folder / place).unlink()
    one = watcher()
    for _ in range(2):
        one.look()
    assert len(logged(station)) == 1
    assert len(results(folder)) == 2
    assert one.state()["unplaced"] == 0


def test_a_folder_that_becomes_a_link_gets_no_result(
    station, watcher, folder, tmp_path, images, monkeypatch
):
    put(folder, "below/a.png", images[0])
    put(tmp_path / "outside", "a.png", images[0])
    inspect = station.inspect

    def swapped(*arguments, **options):
        record = inspect(*arguments, **options)
        (folder / "below").rename(folder / "was")
        (folder / "below").symlink_to(tmp_path / "outside")
        return record

    monkeypatch.setattr(station, "inspect", swapped)
    one = watcher("mark")
    one.look()
    assert files(tmp_path / "outside") == ["a.png"]
    assert "leads out of the watched folder" in one.state()["failure"]


def test_a_file_that_comes_again_while_the_database_is_away_holds_nothing_up(
    station, watcher, folder, images, monkeypatch
):
    put(folder, "a.png", images[0])
    one = watcher()
    one.look()
    put(folder, "a.png", images[0])
    put(folder, "b.png", images[1])
    with monkeypatch.context() as patched:
        patched.setattr(station.log, "get", lambda id: _raise(UnavailableError("away")))
        one.look()
    assert [record.name for record in logged(station)] == ["a.png", "b.png"]
    assert "a.png" in files(folder)
    one._arrivals.put_off(b"a.png", 0.0)
    one.look()
    assert "a.png" not in files(folder)
    assert len(logged(station)) == 2


def test_a_share_that_goes_away_and_comes_back(station, watcher, folder, tmp_path, images):
    put(folder, "a.png", images[0])
    with running(watcher(settle=0.05)) as one:
        wait_until(lambda: len(logged(station)) == 1 and len(results(folder)) == 1)
        folder.rename(tmp_path / "away")
        wait_until(lambda: not one.state()["is_reachable"])
        assert "cannot be read" in one.state()["failure"]
        folder.mkdir()  # the empty place that it is mounted at
        wait_until(lambda: one.state()["is_reachable"])
        for path in [*folder.iterdir()]:
            path.unlink()
        folder.rmdir()
        (tmp_path / "away").rename(folder)
        put(folder, "b.png", images[1])
        wait_until(lambda: len(logged(station)) == 2)
        wait_until(lambda: one.state()["failure"] == "")
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_file_that_is_replaced_while_it_is_inspected_is_inspected_too(
    station, watcher, folder, images, monkeypatch
):
    put(folder, "current.png", images[0])
    inspect = station.inspect

    def replaced(*arguments, **options):
        record = inspect(*arguments, **options)
        monkeypatch.undo()
        put(folder, "current.png", images[1] + bytes(10))
        return record

    monkeypatch.setattr(station, "inspect", replaced)
    one = watcher()
    for _ in range(3):
        one.look()
    assert [r.image for r in logged(station)] == [
        station.images.put(images[0]),
        station.images.put(images[1] + bytes(10)),
    ]
    (path,) = folder.rglob("*.png")
    assert path.read_bytes() == images[1] + bytes(10)


@pytest.mark.parametrize(
    "error", [QueueFull(8, 1.0), UnavailableError("the disk is full."), StationError("stopping.")]
)
def test_a_station_that_cannot_inspect_now_loses_nothing(
    station, watcher, folder, images, monkeypatch, error
):
    put(folder, "a.png", images[0])
    one = watcher()
    with monkeypatch.context() as patched:
        patched.setattr(station, "inspect", lambda *_, **__: _raise(error))
        for _ in range(3 * MAX_ATTEMPTS):
            with pytest.raises(type(error)):
                one.look()
        assert files(folder) == ["a.png"]
    one.look()
    assert len(logged(station)) == 1
    assert len(results(folder)) == 1


@pytest.mark.parametrize("error", [TooSlow("30 s"), RuntimeError("a fault of the program")])
def test_a_file_at_which_the_program_fails_is_given_up_and_holds_nothing_up(
    station, watcher, folder, images, monkeypatch, error
):
    put(folder, "poison.png", images[0])
    time.sleep(0.01)
    put(folder, "good.png", images[1])
    inspect, calls = station.inspect, []

    def fails(model, content, **options):
        if content == images[0]:
            calls.append(1)
            raise error
        return inspect(model, content, **options)

    monkeypatch.setattr(station, "inspect", fails)
    for _ in range(MAX_ATTEMPTS + 3):
        one = watcher()  # a restart each time, as if it had died
        one.look()
        one._arrivals.put_off(b"poison.png", 0.0)  # it is suspect: its time comes later
        one.look()
    assert len(calls) == MAX_ATTEMPTS
    assert [record.name for record in logged(station)] == ["good.png"]
    assert "fault" in results(folder)["unreadable/poison.png"]["error"]


def test_a_file_at_which_the_process_dies_comes_after_the_others(station, watcher, folder, images):
    put(folder, "suspect.png", images[0])
    time.sleep(0.01)
    put(folder, "other.png", images[1])
    one = watcher()
    signature = Signature.of((folder / "suspect.png").stat())
    digest = hashlib.sha256(images[0]).hexdigest()
    for _ in range(2):  # as processes that died in its inspection have left it
        one._journal.begin(b"suspect.png", digest, signature, station.log.new_id())
    one.look()
    assert [record.name for record in logged(station)] == ["other.png"]
    one._arrivals.put_off(b"suspect.png", 0.0)  # the time has come
    one.look()
    assert {record.name for record in logged(station)} == {"other.png", "suspect.png"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_a_file_without_rights_is_given_up_in_the_end(station, watcher, folder, images):
    put(folder, "a.png", images[0]).chmod(0)
    one = watcher()
    for _ in range(MAX_ATTEMPTS):
        one.look()
    assert "Permission denied" in results(folder)["unreadable/a.png"]["error"]


def test_two_stations_do_not_watch_one_folder(watcher, folder, station, tmp_path):
    database = WatchDatabase(tmp_path / "other" / "watch.db")
    other = Watcher(station, WatchedFolder(folder, "part"), database, OutletQueue(database, []))
    other.look()
    with pytest.raises(StationError, match=f"cannot be watched: .*.process {os.getpid()} "):
        watcher().look()
    other.close()
    watcher().look()
    database.close()


def test_folders_in_one_another_are_refused(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    one = WatchedFolder(tmp_path / "a", "part")
    check_apart([one, WatchedFolder(tmp_path / "ab", "part")])
    for other in ("a", "a/b", "link", "link/b", "a/../a"):
        with pytest.raises(StationError, match="watched both"):
            check_apart([one, WatchedFolder(tmp_path / other, "part")])


def test_a_full_disk_is_said_and_nothing_is_lost(watcher, folder, station, images):
    resource = pytest.importorskip("resource")
    put(folder, "a.png", images[0])
    one = watcher()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StationError):
            one.look()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(folder) == ["a.png"]
    one.look()
    assert len(logged(station)) == 1
    assert len(results(folder)) == 1


def test_a_journal_of_a_newer_version_or_damaged_is_refused(data):
    database = WatchDatabase(data / "watch.db")
    with database.transaction() as connection:
        connection.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StationError, match="newer version"):
        WatchDatabase(data / "watch.db")
    (data / "damaged.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StationError, match=r"damaged\.db"):
        WatchDatabase(data / "damaged.db")


def test_old_entries_are_forgotten(station, watcher, folder, images):
    put(folder, "a.png", images[0])
    one = watcher()
    one.look()
    assert one._journal.forget(time.time() - 60, {}) == 0
    assert one._journal.forget(time.time() + 60, {}) == 1
    put(folder, "a.png", images[0])
    one.look()
    assert len(logged(station)) == 2


def test_the_time_of_a_result_has_a_zone(watcher, folder):
    put(folder, "a.png", b"no image")
    watcher().look()
    (result,) = results(folder).values()
    assert abs((datetime.now(UTC) - datetime.fromisoformat(result["at"])).total_seconds()) < 60


def test_memory_and_threads_do_not_grow_with_looks(watcher, folder):
    one = watcher()
    before = threading.active_count()
    for _ in range(200):
        one.look()
    assert threading.active_count() == before


def _raise(error):
    raise error


def test_importing_it_loads_no_torch():
    code = "import sys, patchcore_dual.station.watch; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
