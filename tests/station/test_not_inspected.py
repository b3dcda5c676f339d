"""An image that cannot be aligned, on the station: its own verdict in log, HTTP and folders."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from patchcore_dual.data.alignment import Aligner
from patchcore_dual.detector import PatchCoreDual
from patchcore_dual.model import load_model, save_model
from patchcore_dual.station.log import Query
from patchcore_dual.station.settings import WatchedFolder
from patchcore_dual.station.watch.placing import target_of

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def settings(settings):
    """A station whose model aligns images to a square that none of them shows."""
    reference = np.full((96, 64), 30, np.uint8)
    cv2.rectangle(reference, (15, 20), (48, 70), (220,), -1)
    folder = settings.models["part"]
    aligner = Aligner(reference, "translation", least_confidence=0.9, source="square.png")
    save_model(replace(load_model(folder), aligner=aligner), folder, overwrite=True)
    return settings


def test_it_is_logged_under_its_own_verdict_and_waits_for_review(station, pictures):
    record = station.inspect("part", pictures.good)
    assert record.verdict == "not inspected"
    assert record.note.startswith("it cannot be aligned: within shifts up to 30%")
    assert record.review == "open"
    assert station.log.get(record.id) == record
    assert station.log.counts(LONG_AGO)["not inspected"] == 1
    found = station.log.list(Query(verdict={"not inspected"})).items
    assert [one.id for one in found] == [record.id]
    assert not station.log.list(Query(verdict={"pass", "review", "reject"})).items
    detector = PatchCoreDual.load(station.settings.models["part"])
    assert detector.inspect(pictures.good).verdict == "not inspected"


def test_it_is_answered_listed_and_shown_over_http(client, pictures):
    sent = client.inspect(pictures.good)
    assert sent.status == 201
    assert sent.json()["verdict"] == "not inspected"
    query = {"verdict": ["not inspected", "pass", "review", "reject"]}
    page = client.get("/v1/inspections", query=query).json()
    assert [one["id"] for one in page["items"]] == [sent.json()["id"]]
    assert client.get("/v1/inspections", query={"verdict": "pass"}).json()["items"] == []
    assert client.get("/v1/counts").json()["not inspected"] == 1
    assert client.get(f"{sent.json()['links']['self']}/overlay.png").status == 200
    text = client.get("/metrics").body.decode()
    assert 'verdict="not inspected"' in text


def test_a_watched_file_of_it_has_a_place_of_its_own():
    folder = WatchedFolder(Path("none"), "bracket")
    assert (
        target_of(folder, b"monday/7.png", "not inspected", "01J") == b"not-inspected/monday/7.png"
    )
