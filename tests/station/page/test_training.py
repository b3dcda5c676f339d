"""Training images are taken out of the model and put back; synthetic defects are judged."""

import shutil
import time

import pytest
from selenium.webdriver.common.keys import Keys

from patchcore_dual.cli.main import app
from station.page.stations import RunningStation

GOOD = '.image-card:has([aria-label*="negative"])'


@pytest.fixture(scope="module")
def station(parts, tmp_path_factory):
    """A station whose model was fitted with synthetic defects, with a part inspected."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(parts.model.parent / "prepared", folder / "prepared")
    station = RunningStation(folder / "bracket", folder / "data")
    prepared, model = str(folder / "prepared"), str(folder / "bracket")
    rates = ("--false-alarm-rate", "0.05", "--review-rate", "0.2")
    for arguments in (
        ("augment", "poisson", prepared, "--count", "4"),
        ("fit", prepared, "--model", model, "--synthetic", "all", *rates),
    ):
        app(list(arguments), standalone_mode=False)  # in this process, which has all imported
    station.start()
    station.inspect(parts.found[0], "found.png")
    yield station
    station.stop()


def open_training(browser, station):
    browser.open(f"{station.address}/#/training")
    browser.wait(".take-out")


def focus(browser, card):
    browser.driver.execute_script(f"document.querySelector({card!r}).focus()")


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def images(station):
    return [
        one["image"] for one in station.ask("GET", "/v1/models/bracket/training-images")["items"]
    ]


def test_a_training_image_is_taken_out_and_put_back(browser, station, axe):
    before, there = station.version(), images(station)
    open_training(browser, station)
    focus(browser, GOOD)
    browser.press("t")
    name = browser.wait(".dialog-removal .image-name").text
    assert name in there
    browser.wait(".dialog-removal .preview")
    for size, is_dark in (("phone", False), ("phone", True), ("desktop", False)):
        browser.look(size, is_dark=is_dark)
        assert browser.violations(axe) == [], (size, is_dark)
    browser.press(Keys.ESCAPE)
    browser.wait_gone(".dialog-removal")
    assert station.version() == before, "looking changes nothing"

    browser.click(f"{GOOD} .take-out")
    browser.wait(".dialog-removal .preview")
    if browser.wait(".dialog-removal").find_elements("css selector", ".check:not([hidden])"):
        browser.press(Keys.ENTER)
        assert station.version() == before, "what would be refused is not done by a key alone"
        browser.click(".dialog-removal .check input")
    browser.click(".dialog-removal input[type=text]")
    browser.press("a spoiled photograph", Keys.ENTER)
    browser.wait(".note-line", "is out of the model")
    browser.wait_gone(".dialog-removal")
    after = station.ask("GET", "/v1/models/bracket/versions")
    assert after["in_place"] > before
    last = after["versions"][-1]
    assert (last["action"], last["why"]) == ("remove", "a spoiled photograph")
    assert name not in images(station)

    browser.click(".note-line .button", "Undo")
    browser.wait(".note-line", "in the model again")
    assert station.version() == before
    assert images(station) == there


def test_a_preview_of_another_version_is_not_accepted(browser, station):
    before = station.version()
    open_training(browser, station)
    browser.click(f"{GOOD} .take-out")
    browser.wait(".dialog-removal .preview")
    station.ask("POST", "/v1/models/bracket/thresholds", {"false_alarm_rate": 0.1})
    browser.wait(".dialog-removal .refused", "changed meanwhile", patience=30)
    browser.press(Keys.ENTER)
    browser.click(".dialog-removal .button", "Try again")
    browser.wait(".dialog-removal .preview")
    browser.click(".dialog-removal .button", "Cancel")
    browser.wait_gone(".dialog-removal")
    versions = station.ask("GET", "/v1/models/bracket/versions")["versions"]
    assert versions[-1]["action"] == "threshold"
    station.ask("POST", "/v1/models/bracket/undo", {"to": before})


def test_synthetic_defects_are_rejected_and_accepted(browser, station):
    rejects = station.model.parent / "prepared/synthetic/poisson/reject.txt"
    open_training(browser, station)
    assert len(browser.find(".synthetic-card")) == 4
    card = ".synthetic-card:nth-child(2)"
    focus(browser, card)
    browser.press("r")
    browser.wait(f"{card} .mark", "rejected")
    assert rejects.read_text().split() == ["0002.png"]
    open_training(browser, station)
    browser.wait(f"{card} .mark", "rejected")
    loaded = "document.querySelector('.synthetic-card img').naturalWidth"
    browser.driver.execute_script("document.querySelector('.synthetic-card').focus()")
    wait_until(lambda: browser.driver.execute_script(f"return {loaded}"))
    browser.click(f"{card} .button", "Accept")
    browser.wait(f"{card} .mark", "accepted")
    assert rejects.read_text() == ""
