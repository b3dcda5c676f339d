"""A model of demo parts, a running station, and browsers that look at it."""

import shutil
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from patchcore_dual.data.prepare.preparation import prepare
from patchcore_dual.demo.surfaces import make_surfaces, photograph

pytest.importorskip("selenium", reason="pip install selenium")
pytest.importorskip("fastapi", reason="pip install 'patchcore-dual[station]'")

from station.page.axe import axe_source
from station.page.browsers import Browser
from station.page.stations import RunningStation

SIDE = 128  # pixels that the model sees of a part


@dataclass
class Parts:
    """Photographs that the model has not seen, as PNG files, by what it says of them."""

    model: object
    missed: bytes  # a defect that passes
    found: list[bytes]  # defects that are rejected or for review
    false_alarms: list[bytes]  # good parts that do not pass
    good: list[bytes]  # good parts that pass


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    """A model fitted on 24 good and 6 defective parts, and new parts."""
    from patchcore_dual.detector import PatchCoreDual

    folder = tmp_path_factory.mktemp("parts")
    counts = {"train_good": 20, "train_defective": 6, "test_good": 1, "test_defective": 1}
    make_surfaces(folder / "source", **counts)
    prepare("folder", folder / "source", folder / "prepared", width=SIDE, height=SIDE)
    detector = PatchCoreDual(false_alarm_rate=0.05, review_rate=0.2).fit(folder / "prepared")
    detector.save(folder / "model")
    parts = Parts(folder / "model", b"", [], [], [])
    for number in range(60):
        kind = ("good", "scratch", "good", "crack", "good", "spot")[number % 6]
        image = photograph(kind, np.random.default_rng((11, number))).image
        content = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        passes = detector.inspect(image).verdict == "pass"
        if kind == "good":
            (parts.good if passes else parts.false_alarms).append(content)
        elif passes:
            parts.missed = parts.missed or content
        else:
            parts.found.append(content)
        if parts.missed and min(map(len, (parts.found, parts.false_alarms, parts.good))) >= 3:
            return parts
    raise AssertionError("no such parts: choose other seeds")


@pytest.fixture
def make_station(parts, tmp_path_factory):
    """A function that starts a station on a copy of the model."""
    started = []

    def make(*options):
        folder = tmp_path_factory.mktemp("station")
        shutil.copytree(parts.model, folder / "bracket")
        started.append(RunningStation(folder / "bracket", folder / "data", options))
        return started[-1]

    yield make
    for station in started:
        station.stop()


@pytest.fixture(scope="module")
def station(parts, tmp_path_factory):
    """A running station with some inspections, one for each module."""
    folder = tmp_path_factory.mktemp("station")
    shutil.copytree(parts.model, folder / "bracket")
    station = RunningStation(folder / "bracket", folder / "data")
    station.start()
    for number, content in enumerate([parts.good[0], parts.found[0], parts.false_alarms[0]]):
        station.inspect(content, f"first-{number}.png")
    yield station
    station.stop()


@pytest.fixture(scope="session")
def make_browser(tmp_path_factory):
    """A function that starts a browser of its own."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("apt-get install chromium chromium-driver")
    started = []

    def make():
        started.append(Browser(chromium, driver, tmp_path_factory.mktemp("profile")))
        return started[-1]

    yield make
    for browser in started:
        browser.close()


@pytest.fixture(scope="session")
def first_browser(make_browser):
    return make_browser()


@pytest.fixture
def browser(first_browser):
    """A browser that remembers nothing; at the end no script may have failed."""
    first_browser.look("desktop")
    first_browser.errors()
    yield first_browser
    errors = first_browser.errors()
    first_browser.driver.execute_script("try { localStorage.clear() } catch {}")
    assert not errors, errors


@pytest.fixture(scope="session")
def axe(pytestconfig, tmp_path_factory):
    cache = getattr(pytestconfig, "cache", None)  # kept from run to run, unless that is turned off
    return axe_source(cache.mkdir("axe-core") if cache else tmp_path_factory.mktemp("axe-core"))
