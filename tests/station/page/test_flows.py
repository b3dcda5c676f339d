"""What an operator does, in a real browser on a real station."""

import time

import cv2
import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys


def review(browser, station, inspection):
    """Open the review of an inspection."""
    browser.open(f"{station.address}/#/review/{inspection['id']}")
    browser.wait(".row[aria-current]", inspection["name"])
    browser.wait(".choice-defect")


def preview_defect(browser):
    """Press D, choose a kind, and wait for what teaching would change."""
    browser.press("d")
    browser.wait(".kinds .button")
    browser.press("1")
    browser.wait(".preview")


def accept(browser):
    """Press Enter; where it is refused, tick the box first."""
    if browser.find(".refused"):
        browser.click(".check input[type=checkbox]")
    browser.press(Keys.ENTER)
    browser.wait(".note-line", "is taught")


def test_a_missed_defect_is_painted_taught_found_undone_and_missed_again(browser, station, parts):
    before = station.version()
    missed = station.inspect(parts.missed, "missed.png")
    assert missed["verdict"] == "pass"

    browser.open(f"{station.address}/#/inspections/{missed['id']}")
    browser.wait(".band-word", "PASS")
    browser.press("r")  # a part that passed is taught from its inspection
    browser.wait(".choice-defect")
    stage = browser.wait(".viewer-stage")
    browser.drag(stage, (-40, 0), (60, 0), (0, 25))
    painted = browser.painted()
    assert painted > 100

    preview_defect(browser)
    assert browser.painted() == painted, "what was painted is kept"
    assert "becomes" in browser.wait(".change-main").get_attribute("textContent")
    assert station.version() == before, "a preview changes nothing"
    accept(browser)
    assert station.version() > before
    taught = station.inspect(parts.missed, "missed again.png")
    assert taught["verdict"] != "pass"
    decision = station.ask("GET", f"/v1/inspections/{missed['id']}")["decision"]
    assert (decision["label"], decision["taught_version"]) == ("defect", station.version())

    browser.press("u")
    browser.wait(".note-line", "as it was before")
    assert station.version() == before
    assert station.ask("GET", f"/v1/inspections/{missed['id']}")["decision"] is None
    assert station.inspect(parts.missed, "missed after all.png")["verdict"] == "pass"


def test_a_false_alarm_is_taught_as_good(browser, station, parts):
    before = station.version()
    alarm = station.inspect(parts.false_alarms[1], "false alarm.png")
    assert alarm["verdict"] != "pass"
    review(browser, station, alarm)
    browser.press("g")
    assert "Pass" in browser.wait(".change-main").text
    accept(browser)
    assert station.version() > before
    assert station.inspect(parts.false_alarms[1], "again.png")["score"] < alarm["score"]
    items = station.ask("GET", "/v1/inspections?review=open")["items"]
    assert alarm["id"] not in [one["id"] for one in items]


def test_a_region_is_proposed_corrected_and_previewed_again(browser, station, parts):
    found = station.inspect(parts.found[1], "found.png")
    review(browser, station, found)
    preview_defect(browser)
    browser.wait(".panel-message", "proposed")
    proposed = browser.painted()
    assert proposed > 0

    stage = browser.wait(".viewer-stage")
    browser.drag(stage, (20, 20), (50, 0))
    browser.wait(".stale", "mask has changed")
    assert browser.painted() > proposed
    assert not browser.find(".panel-actions .button-main"), "nobody accepts what is out of date"
    browser.press("z")
    assert browser.painted() == proposed
    browser.press("e")
    browser.drag(stage, (-120, -120), (240, 240))
    browser.press("c")
    assert browser.painted() == 0
    browser.press("z")
    browser.press("d")
    browser.wait_gone(".stale")
    browser.wait(".preview")
    browser.press(Keys.ESCAPE)
    browser.wait(".choice-defect")


def test_a_decision_is_noted_without_teaching_and_taken_back(browser, station, parts):
    before = station.version()
    found = station.inspect(parts.found[2], "noted.png")
    review(browser, station, found)
    browser.press("d")
    browser.wait(".kinds")
    browser.press("n")
    browser.wait(".note-line", "noted.png: defect.")
    path = f"/v1/inspections/{found['id']}"
    assert station.ask("GET", path)["decision"]["label"] == "defect"
    browser.press("u")
    browser.wait(".note-line", "undecided again")
    assert station.ask("GET", path)["decision"] is None
    assert station.version() == before
    browser.press("s")
    browser.wait(".note-line", "skipped")
    assert station.ask("GET", path)["decision"]["label"] == "skip"


def test_a_part_that_the_model_knows_cannot_be_taught_again(browser, station, parts):
    twice = [station.inspect(parts.found[0], f"twice {number}.png") for number in range(2)]
    review(browser, station, twice[0])
    preview_defect(browser)
    accept(browser)
    review(browser, station, twice[1])
    browser.press("d")
    browser.wait(".kinds")
    browser.press("1")
    browser.wait(".panel-error", "in the model already")
    station.ask("POST", "/v1/models/bracket/undo", {})


def test_two_browsers_see_the_same(browser, make_browser, station, parts):
    other = make_browser()
    browser.open(f"{station.address}/#/live")
    other.open(f"{station.address}/#/review")
    browser.wait(".band-word")
    other.wait(".row")
    found = station.inspect(parts.found[1], "both see it.png")
    for one in (browser, other):
        assert one.wait(f'.row[data-id="{found["id"]}"]', "both see it.png", patience=15)
    browser.wait(".live-title", "both see it.png", patience=15)

    browser.open(f"{station.address}/#/review/{found['id']}")
    browser.wait(".row[aria-current]", "both see it.png")
    other.open(f"{station.address}/#/review/{found['id']}")
    other.wait(".row[aria-current]", "both see it.png")
    browser.wait(".choice-skip")
    browser.press("s")
    browser.wait(".note-line", "skipped")
    other.wait(".panel-message", "Decided meanwhile", patience=15)


def test_live_follows_the_newest_part_and_keeps_one_on_demand(browser, station, parts):
    browser.open(f"{station.address}/#/live")
    browser.wait(".band-word")
    station.inspect(parts.good[0], "a good one.png")
    browser.wait(".live-title", "a good one.png", patience=15)
    assert browser.wait(".band-word").text == "PASS"
    browser.press("j")
    kept = browser.wait(".live-title").text
    station.inspect(parts.good[1], "a later one.png")
    browser.wait(".live-list .row", "a later one.png", patience=15)
    assert browser.wait(".live-title").text == kept
    browser.press("f")
    browser.wait(".live-title", "a later one.png")
    numbers = [int(one.text) for one in browser.find(".count-number")]
    assert sum(numbers) >= 4


def test_a_fixture_is_painted_over_and_comes_back(browser, station, parts, axe):
    """As the process engineer does it: from an alarm, to fewer alarms, and back."""
    before = station.version()
    image = cv2.imdecode(np.frombuffer(parts.good[1], np.uint8), cv2.IMREAD_COLOR)
    side = len(image)
    image[-side // 8 :, : side // 8] = 255
    part = cv2.imencode(".png", image)[1].tobytes()
    alarm = station.inspect(part, "clamp.png")
    assert alarm["verdict"] != "pass"
    browser.open(f"{station.address}/#/inspections/{alarm['id']}")
    browser.wait(".regions-list")
    browser.press("i")
    browser.wait(".narrowing", "100 % of each picture is inspected now")
    assert not browser.wait(".panel-actions .button-main").is_enabled()
    stage = browser.wait(".viewer-stage")
    shown = min(stage.size.values())
    browser.press("r")
    corner = round(0.49 * shown)
    browser.drag(stage, (-corner, corner), (round(0.42 * shown), -round(0.42 * shown)))
    assert browser.painted() == pytest.approx((0.41 * side) ** 2, rel=0.1)
    browser.press(Keys.ENTER)
    browser.drag(stage, (0, 0), (20, 20))  # while it is tried
    browser.wait(".stale", "What is painted has changed")
    assert not browser.find(".panel-actions .button-main"), "nobody accepts what was not shown"
    browser.press("z")
    browser.press(Keys.ENTER)
    browser.wait_gone(".stale")
    assert "Share inspected" in browser.wait(".preview").text
    browser.wait(".changes-list", "Pass")
    assert station.version() == before, "a preview changes nothing"
    browser.look("phone")
    assert browser.violations(axe) == []
    assert browser.overflow() <= 0
    browser.look("desktop")
    if browser.find(".refused"):
        browser.click(".check input[type=checkbox]")
    browser.press(Keys.ENTER)
    browser.wait(".note-line", "of each picture is inspected: version")
    browser.wait(".narrowing", "Inspect less")
    assert station.version() > before
    again = station.inspect(part, "clamp again.png")
    assert again["verdict"] == "pass"
    browser.click(".note-line .button", "Undo")
    browser.wait(".note-line", "inspects what it did before")
    assert station.version() == before
    assert station.inspect(part, "clamp once more.png")["score"] == alarm["score"]


def test_another_threshold_is_tried_set_and_rolled_back(browser, station):
    before = station.version()
    browser.open(f"{station.address}/#/models")
    says = browser.wait(".what-if-says").text
    slider = browser.wait(".what-if-slider input")
    slider.send_keys(Keys.END)
    assert browser.wait(".what-if-says", "instead").text != says
    browser.click(".table .button")
    browser.wait("dialog", "Set this threshold?")
    browser.press("trial", Keys.ENTER)
    browser.wait(".note-line", "The threshold is")
    assert station.version() > before
    browser.click(f'[aria-label$="version {before}"]', "Go back to it")
    browser.wait("dialog", "Nothing is lost")
    browser.press("only a trial", Keys.ENTER)
    browser.wait(".note-line", "is in use")
    assert station.version() == before
    versions = station.ask("GET", "/v1/models/bracket/versions")["versions"]
    assert versions[-1]["why"] == "only a trial"


def test_versions_are_approved_and_compared(browser, station):
    station.ask("POST", "/v1/models/bracket/thresholds", {"false_alarm_rate": 0.1})
    browser.open(f"{station.address}/#/models")
    browser.click('[aria-label^="Approve version"]')
    browser.wait("dialog", "never removed")
    browser.press(Keys.ENTER)
    browser.wait(".note-line", "is approved")
    browser.wait(".version .mark-plain", "Approved")
    browser.click('[aria-label^="Compare version"]')
    browser.wait(".comparison table")
    assert "Threshold" in browser.wait(".comparison").text
    station.ask("POST", "/v1/models/bracket/undo", {})
    browser.wait(".version.is-in-place .version-number", str(station.version()))
    assert browser.find(".comparison table"), "what is compared stays when the model is changed"


@pytest.mark.parametrize("verdict", ["pass", "review", "reject"])
def test_the_log_is_filtered(browser, station, verdict):
    browser.open(f"{station.address}/#/inspections")
    browser.wait(".rows-wide .row")
    for box in browser.find(".verdict-filter input"):
        if box.get_attribute("value") != verdict:
            box.click()
    expected = len(station.ask("GET", f"/v1/inspections?limit=50&verdict={verdict}")["items"])
    end = time.monotonic() + 15
    while len(browser.find(".rows-wide .row")) != expected and time.monotonic() < end:
        time.sleep(0.1)
    assert len(browser.find(".rows-wide .row")) == expected
    link = browser.wait("a[download]").get_attribute("href")
    assert f"verdict={verdict}" in link
