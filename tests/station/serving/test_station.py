"""`Station`: the one way in for images, and what it leaves behind."""

import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import pytest

from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.errors import ImageError, ModelError, UnavailableError
from patchcore_dual.live import tag
from patchcore_dual.live.threshold import set_thresholds
from patchcore_dual.station.log import Query
from patchcore_dual.station.serving import served_model
from patchcore_dual.station.serving.explanations import HeatMaps, heat_of
from patchcore_dual.station.serving.image_limits import NotAnImage, TooManyPixels
from patchcore_dual.station.serving.inspector import QueueFull, TooSlow
from patchcore_dual.station.settings import Limits
from patchcore_dual.station.station import TooManyBytes, UnknownModel


def test_an_inspection_is_what_the_detector_says_and_is_kept(station, pictures):
    record = station.inspect("part", pictures.defect, name="a.png", source="api")
    detector = PatchCoreDual.load(station.settings.models["part"], device="cpu")
    expected = detector.inspect(pictures.defect).to_json()
    for name in ("score", "verdict", "threshold", "regions", "nearest_defect"):
        assert getattr(record, name) == expected[name]
    assert record.fingerprint == detector.fingerprint
    assert record.version == 1
    assert station.log.get(record.id) == record
    assert station.images.read(record.image) == pictures.defect
    assert set(record.milliseconds) == {"queue", "decode", "inspect"}


def test_a_listener_is_told_and_its_fault_is_its_own(station, pictures):
    heard = []

    def fails(kind, values):
        raise ValueError("broken")

    station.listeners += [fails, lambda kind, values: heard.append((kind, values["id"]))]
    record = station.inspect("part", pictures.good)
    assert heard == [("inspection", record.id)]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", NotAnImage),
        (b"<html>", NotAnImage),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NotAnImage),
        (b"GIF89a" + bytes(100), NotAnImage),
        (b"II*\0", NotAnImage),
        (b"x" * (2**20 + 1), TooManyBytes),
    ],
)
def test_what_is_no_image_leaves_nothing_behind(station, content, error):
    with pytest.raises(error):
        station.inspect("part", content)
    assert not station.log.list(Query()).items
    assert not list((station.settings.data / "images").rglob("*.bin"))


def test_a_truncated_image_leaves_nothing_behind(station, pictures):
    with pytest.raises(ImageError):
        station.inspect("part", pictures.good[: len(pictures.good) // 2])
    assert not station.log.list(Query()).items
    assert not list((station.settings.data / "images").rglob("*.bin"))


def test_a_bomb_is_refused_before_it_is_decoded(settings, make_station, pictures):
    station = make_station(replace(settings, limits=replace(settings.limits, max_pixels=100)))
    with pytest.raises(TooManyPixels, match="64x96"):
        station.inspect("part", pictures.good)


def test_an_unknown_model_is_named_with_those_there_are(station, pictures):
    with pytest.raises(UnknownModel, match="Models: part"):
        station.inspect("../part", pictures.good)


class Blocked:
    """Keeps the worker of a station busy until it is let go."""

    def __init__(self, station):
        self.go = threading.Event()
        station.inspector.submit(self.go.wait)
        while station.inspector.waiting:
            time.sleep(0.001)


def test_a_full_queue_is_refused_at_once(settings, make_station, pictures):
    station = make_station(replace(settings, limits=replace(settings.limits, queue=1)))
    busy = Blocked(station)
    station.inspector.submit(lambda: None)
    with pytest.raises(QueueFull) as refused:
        station.inspect("part", pictures.good)
    assert refused.value.retry_after >= 1
    busy.go.set()
    while station.inspector.waiting:
        time.sleep(0.001)
    assert station.inspect("part", pictures.good).id


def test_an_image_that_waits_too_long_is_not_logged(settings, make_station, pictures):
    station = make_station(replace(settings, limits=Limits(max_seconds=0.2)))
    busy = Blocked(station)
    with pytest.raises(TooSlow):
        station.inspect("part", pictures.good)
    busy.go.set()
    assert not station.log.list(Query()).items


def test_a_station_that_stops_takes_no_more_and_says_that_it_will_be_back(station, pictures):
    station.inspector.close()
    with pytest.raises(UnavailableError, match="is stopping"):
        station.inspect("part", pictures.good)


def test_what_cannot_be_kept_is_not_acknowledged(station, pictures, monkeypatch):
    def full(content):
        raise UnavailableError("No space left on device.")

    monkeypatch.setattr(station.images, "put", full)
    with pytest.raises(UnavailableError):
        station.inspect("part", pictures.good)
    assert not station.log.list(Query()).items
    monkeypatch.undo()
    assert station.inspect("part", pictures.good).id


def test_a_model_replaced_on_disk_judges_the_next_image(station, pictures):
    folder = station.settings.models["part"]
    before = station.inspect("part", pictures.good)
    set_thresholds(folder, false_alarm_rate=0.5)
    after = station.inspect("part", pictures.good)
    assert (before.version, after.version) == (1, 2)
    assert before.fingerprint != after.fingerprint
    assert after.threshold < before.threshold


def test_a_damaged_model_is_not_taken_and_said(station, pictures):
    folder = station.settings.models["part"]
    before = station.inspect("part", pictures.good)
    (folder / "model.json").write_text("{}")
    after = station.inspect("part", pictures.good)
    assert after.fingerprint == before.fingerprint
    (state,) = station.state()["models"]
    assert "damaged" in state["problem"]


def test_a_model_that_is_copied_into_place_is_taken_once_it_is_complete(
    station, pictures, saved_models, monkeypatch
):
    monkeypatch.setattr(served_model, "_FIRST_PAUSE", 0.0)
    folder = station.settings.models["part"]
    before = station.inspect("part", pictures.good)
    banks = [path for path in (saved_models / "ratio").iterdir() if path.suffix != ".json"]
    shutil.copy(saved_models / "ratio" / "model.json", folder)
    assert station.inspect("part", pictures.good).fingerprint == before.fingerprint
    assert station.model("part").problem
    for path in banks:
        shutil.copy(path, folder)
    assert station.inspect("part", pictures.good).fingerprint != before.fingerprint
    assert not station.model("part").problem


def test_the_state_knows_what_was_edited_elsewhere(station):
    set_thresholds(station.settings.models["part"], false_alarm_rate=0.5)
    (state,) = station.state()["models"]
    assert state["version"] == 2


def test_a_model_that_is_away_for_a_moment_goes_on(station, pictures, tmp_path):
    folder = station.settings.models["part"]
    folder.rename(tmp_path / "away")
    assert station.inspect("part", pictures.good).version == 1
    (tmp_path / "away").rename(folder)
    assert station.inspect("part", pictures.good).version == 1
    assert not station.model("part").problem


def test_a_tag_changes_no_version(station, pictures):
    tag(station.settings.models["part"], "approved")
    assert station.inspect("part", pictures.good).version == 1


def test_models_of_one_network_share_it(settings, make_station, tmp_path):
    folder = settings.models["part"]
    other = shutil.copytree(folder, tmp_path / "other")
    station = make_station(replace(settings, models={"part": folder, "other": other}))
    one, two = (station.model(name).detector for name in ("part", "other"))
    assert one.embedder is two.embedder
    assert two.model.graph is one.embedder.graph


def test_a_heat_map_is_made_again_by_the_version_that_judged(station, pictures):
    record = station.inspect("part", pictures.defect)
    kept = station.heat_maps.get(record.id)
    set_thresholds(station.settings.models["part"], false_alarm_rate=0.5)
    station.model("part").refresh()
    again = station.inspect_again(record)
    assert again.model == record.fingerprint
    assert abs(again.score - record.score) < 1e-5
    assert (heat_of(again) == kept).all()


def test_maps_are_kept_up_to_a_limit(station, pictures):
    inspection = station.model("part").detector.inspect(pictures.defect)
    maps = HeatMaps(limit=2 * inspection.anomaly_map.nbytes)
    for id in "abc":
        maps.keep(id, inspection)
    assert maps.get("a") is None
    assert (maps.get("c") == heat_of(inspection)).all()
    HeatMaps(limit=1).keep("a", inspection)


def test_a_model_that_is_missing_is_an_error_at_the_start(settings, make_station, tmp_path):
    with pytest.raises(ModelError):
        make_station(replace(settings, models={"part": tmp_path / "nowhere"}))


def test_images_that_are_named_outlive_retention(settings, make_station, pictures):
    station = make_station(replace(settings, keep_days=1))
    kept = station.inspect("part", pictures.defect)
    goes = station.inspect("part", pictures.good)
    assert (kept.review, goes.review) == ("open", None), "the models of the fixtures"
    for record in (kept, goes):
        os.utime(station.images.path(record.image), (0, 0))
    station.apply_retention()
    assert station.images.path(kept.image).is_file()
    assert not station.images.path(goes.image).is_file()


def test_no_torch_is_imported(settings, pictures, tmp_path):
    (tmp_path / "image.png").write_bytes(pictures.defect)
    code = f"""
        import sys
        from pathlib import Path
        from patchcore_dual.station.settings import StationSettings
        from patchcore_dual.station.station import Station
        from patchcore_dual.station.web.server import server_of
        station = Station(StationSettings({{"part": Path({str(settings.models["part"])!r})}}))
        server_of(station)
        station.inspect("part", Path("image.png").read_bytes())
        station.lessons.describe(station.model("part"))
        station.close()
        print(*(name for name in ("torch", "openvino_telemetry") if sys.modules.get(name)))
        """
    environment = {k: v for k, v in os.environ.items() if k != "PATCHCORE_DUAL_BACKEND"}
    run = subprocess.run(
        [sys.executable, "-c", "if True:" + textwrap.indent(textwrap.dedent(code), " ")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr
