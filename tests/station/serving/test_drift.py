"""Drift at the station: found, drawn, kept across restarts, begun anew with another model."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from live.appearances import reference_of, stream_of, usual
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.scoring.appearance import Appearance
from patchcore_dual.station.serving.drift import StationDrift


@dataclass
class Seen:
    """What the sentinel looks at in an inspection."""

    appearance: Appearance | None
    verdict: str = "pass"


def inspections(values):
    return [Seen(one) for one in stream_of(values)]


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def reference(random):
    return reference_of(usual(random, 100))


def test_drift_is_found_and_kept_across_a_restart(reference, random, tmp_path):
    path = tmp_path / "drift" / "part.json"
    drift = StationDrift(reference, path)
    assert drift.state()["status"] == "stable"
    assert drift.picture() is None
    for one in inspections(usual(random, 60, mean=40)):
        drift.add(one)
    assert drift.state()["status"] == "drifting"
    drift.save()
    again = StationDrift(reference, path)
    assert again.state() == drift.state()
    assert again.picture().shape[2] == 3


def test_a_killed_station_forgets_a_hundred_inspections_at_most(reference, random, tmp_path):
    path = tmp_path / "part.json"
    drift = StationDrift(reference, path)
    for one in inspections(usual(random, 150)):
        drift.add(one)
    assert StationDrift(reference, path).state()["images"] == 100


def test_another_reference_begins_anew_and_so_does_a_damaged_file(reference, random, tmp_path):
    path = tmp_path / "part.json"
    drift = StationDrift(reference, path)
    for one in inspections(usual(random, 20)):
        drift.add(one)
    drift.save()
    taught = replace(reference, usual=2.0)
    assert StationDrift(taught, path).state()["images"] == 0
    assert StationDrift(reference, path).state()["images"] == 20
    values = json.loads(path.read_bytes())
    del values["sentinel"]["bets"]
    for content in (json.dumps(values), "{", "[]", ""):
        path.write_text(content)
        assert StationDrift(reference, path).state()["images"] == 0


def test_a_full_disk_stops_nothing(reference, random, tmp_path):
    (tmp_path / "file").write_text("")
    drift = StationDrift(reference, tmp_path / "file" / "part.json")
    for one in inspections(usual(random, 120)):
        drift.add(one)
    assert drift.state()["images"] == 120


def test_a_model_without_reference_says_why(tmp_path):
    drift = StationDrift(None, tmp_path / "part.json")
    drift.add(Seen(None))
    assert drift.state()["status"] == "not measured"
    assert "Fit it again" in drift.state()["message"]
    drift.save()
    assert list(tmp_path.iterdir()) == []


def test_a_station_watches_its_inspections_and_goes_on_after_a_restart(
    settings, make_station, pictures, reference
):
    folder = settings.models["part"]
    detector = PatchCoreDual.load(folder)
    detector._model = replace(detector.model, drift=reference)
    detector.save(folder, overwrite=True)
    station = make_station(settings)
    for _ in range(3):
        station.inspect("part", pictures.good)
    (model,) = station.state()["models"]
    assert (model["drift"]["status"], model["drift"]["images"]) == ("stable", 3)
    assert station.state()["drift"] == {"status": "stable"}
    station.close()
    again = make_station(settings)
    for _ in range(40):  # nothing like the made-up reference
        again.inspect("part", pictures.good)
    (model,) = again.state()["models"]
    assert (model["drift"]["status"], model["drift"]["images"]) == ("drifting", 43)
    assert model["drift"]["since"] <= 3
    assert again.state()["drift"] == {"status": "drifting"}
