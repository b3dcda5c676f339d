"""From a file in a watched folder to all that learn its result."""

import hashlib
import json

import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import StationError
from patchcore_dual.station.settings import StationSettings, WatchedFolder
from patchcore_dual.station.watch import Watch, Webhook, watch_of
from station.watch.conftest import files, logged, put, running, wait_until


def test_from_the_camera_to_the_line(station, part_model, folder, data, tmp_path, images, receiver):
    second = tmp_path / "second"
    second.mkdir()
    quick = {"settle": 0.05, "every": 0.02}
    folders = [WatchedFolder(folder, "part", **quick)]
    folders.append(WatchedFolder(second, "part", then="mark", **quick))
    receiver.answers = [503]
    with running(Watch(station, folders, [Webhook(receiver.url)], data)) as watch:
        for number, content in enumerate(images):
            put([folder, second][number % 2], f"{number:02}.png", content)
        wait_until(lambda: len(logged(station)) == len(images))
        wait_until(lambda: watch.state()["outlets"][0]["delivered"] == len(images))
        state = watch.state()
    detector = PatchCoreDual.load(part_model)
    expected = {f"{n:02}.png": detector.inspect(content) for n, content in enumerate(images)}
    records = {record.name: record for record in logged(station)}
    for name, inspection in expected.items():
        assert records[name].verdict == inspection.verdict
        assert records[name].score == pytest.approx(inspection.score, rel=1e-5)
    taken = {message["data"]["name"]: message["data"] for message in receiver.taken}
    assert taken == {name: record.to_json() for name, record in records.items()}
    assert files(second) == sorted(
        path for name in list(expected)[1::2] for path in (name, f"{name}.inspection.json")
    )
    for number, content in enumerate(images[1::2]):
        beside = json.loads((second / f"{2 * number + 1:02}.png.inspection.json").read_bytes())
        assert beside == records[f"{2 * number + 1:02}.png"].to_json()
        assert beside["image"] == hashlib.sha256(content).hexdigest()
    assert [one["folder"] for one in state["folders"]] == [str(folder), str(second)]
    assert sum(sum(one["counts"].values()) for one in state["folders"]) == len(images)
    assert state["outlets"][0]["delivered"] == len(images)


def test_what_was_queued_goes_out_after_a_restart(station, folder, data, images, receiver):
    receiver.answers = [503] * 1000
    folders = [WatchedFolder(folder, "part", settle=0.0, every=0.02)]
    with running(Watch(station, folders, [Webhook(receiver.url)], data)):
        put(folder, "a.png", images[0])
        wait_until(lambda: receiver.seen)
        wait_until(lambda: len(files(folder)) == 2)
    assert receiver.taken == []
    receiver.answers = []
    with running(Watch(station, folders, [Webhook(receiver.url)], data)):
        wait_until(lambda: receiver.taken)
    assert receiver.ids == [logged(station)[0].id]


def test_thousands_of_files_that_wait_are_taken_in_order(station, folder, data, images):
    # Contents that differ, of which only the first are inspected here.
    for number in range(3000):
        put(folder, f"{number}.png", images[0] + number.to_bytes(4))
    folders = [WatchedFolder(folder, "part", settle=0.0, every=0.02)]
    with running(Watch(station, folders, [], data)):
        wait_until(lambda: len(logged(station)) >= 20)
    names = [record.name for record in logged(station)]
    assert names == [f"{number}.png" for number in range(len(names))]
    assert len(names) < 3000  # closing ends after the file that is under way


def test_folders_that_lie_in_one_another_are_refused(station, folder, data):
    folders = [WatchedFolder(folder, "part"), WatchedFolder(folder / "below", "part")]
    with pytest.raises(StationError, match="watched both"):
        Watch(station, folders, [], data)


@pytest.mark.parametrize(
    ("above", "reason"),
    [
        ("model", "the files of the model part"),
        ("prepared", "the training images of the model part"),
        ("data", "the station's own files"),
    ],
)
def test_a_folder_with_images_that_must_stay_is_not_watched(
    station, part_model, data, tmp_path, above, reason
):
    # A link to it leads there as well.
    places = {"model": part_model, "prepared": part_model.parent / "prepared", "data": data}
    (tmp_path / "link").symlink_to(places[above])
    before = files(part_model.parent)
    for folder in (places[above], tmp_path / "link"):
        watched = (WatchedFolder(folder, "part"),)
        settings = StationSettings({"part": part_model}, data=data, watched=watched)
        with pytest.raises(StationError, match=reason):
            watch_of(station, settings)
    assert files(part_model.parent) == before
