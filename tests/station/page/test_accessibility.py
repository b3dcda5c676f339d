"""axe finds nothing in any view, in light and dark, at three widths; and keys do everything."""

import pytest
from selenium.webdriver.common.keys import Keys

from station.page.browsers import SIZES

VIEWS = {
    "live": (".live-title", "first-2.png"),
    "inspections": (".rows-wide .row", ""),
    "inspection": (".what-if-says", "Threshold"),
    "review": (".choice-good", ""),
    "models": (".ledger .version", ""),
    "training": (".image-card", ""),
    "region": (".narrowing .panel", "is inspected now"),
}


def open_view(browser, station, view):
    item = station.ask("GET", "/v1/inspections?name=first-1")["items"][0]
    of_one = {"inspection": f"inspections/{item['id']}", "region": f"region/{item['id']}"}
    place = of_one.get(view, view)
    browser.open(f"{station.address}/#/{place}")
    browser.wait(*VIEWS[view])


@pytest.mark.parametrize("view", VIEWS)
def test_no_violation_and_nothing_is_cut_off(browser, station, axe, view):
    open_view(browser, station, view)
    for size in SIZES:
        for is_dark in (False, True):
            browser.look(size, is_dark=is_dark)
            assert browser.violations(axe) == [], (size, is_dark)
        assert browser.overflow() <= 0, size


def test_no_violation_while_teaching(browser, station, axe):
    item = station.ask("GET", "/v1/inspections?name=first-1")["items"][0]
    browser.open(f"{station.address}/#/review/{item['id']}")
    browser.wait(".choice-good")
    browser.press("d")
    browser.wait(".kinds")
    assert browser.violations(axe) == []
    browser.press("1")
    browser.wait(".preview")
    for is_dark in (False, True):
        browser.look("phone", is_dark=is_dark)
        assert browser.violations(axe) == []
        assert browser.overflow() <= 0


def test_help_lists_the_keys_and_turns_single_keys_off(browser, station, axe):
    open_view(browser, station, "review")
    browser.press("?")
    help_ = browser.wait("dialog", "Good: show what teaching it would change")
    assert browser.violations(axe) == []
    help_.find_element("css selector", "input[type=checkbox]").click()
    browser.press(Keys.ESCAPE)
    browser.wait_gone("dialog")
    browser.press("d")
    browser.driver.implicitly_wait(0)
    assert not browser.find(".kinds"), "single keys are off"


def test_every_control_is_reached_by_tab_and_shows_its_focus(browser, station):
    open_view(browser, station, "review")
    browser.driver.execute_script("document.activeElement.blur()")
    expected = browser.driver.execute_script(
        "const all = 'a[href], button, input, select, summary, [tabindex=\"0\"]';"
        "const isThere = (element) => !element.disabled && element.checkVisibility();"
        "return [...document.querySelectorAll(all)].filter(isThere).length"
    )
    seen = set()
    for _ in range(expected + 5):
        browser.press(Keys.TAB)
        element = browser.focused()
        if element.tag_name == "body":
            continue
        seen.add(element.id)
        style = browser.driver.execute_script(
            "const style = getComputedStyle(document.activeElement);"
            "return [style.outlineStyle, style.outlineWidth]"
        )
        assert style == ["solid", "3px"], element.get_attribute("outerHTML")[:200]
    assert len(seen) >= expected


def test_a_defect_is_painted_and_previewed_by_keys_alone(browser, station):
    item = station.ask("GET", "/v1/inspections?name=first-1")["items"][0]
    browser.open(f"{station.address}/#/review/{item['id']}")
    browser.wait(".choice-good")
    while "viewer-stage" not in (browser.focused().get_attribute("class") or ""):
        browser.press(Keys.TAB)
    browser.press(Keys.ARROW_RIGHT, " ", *[Keys.ARROW_DOWN] * 6, " ")
    painted = browser.painted()
    assert painted > 20
    browser.press("]", "b", " ", Keys.ARROW_LEFT, " ")
    assert browser.painted() > painted
    browser.press("z")
    assert browser.painted() == painted
    browser.press("d")
    browser.wait(".kinds")
    browser.press("1")
    browser.wait(".preview")
    assert browser.painted() == painted
    browser.press(Keys.ESCAPE)
    browser.wait(".choice-good")
    for number, view in enumerate(("live", "inspections", "review", "models", "training"), 1):
        browser.press(str(number))
        browser.wait(f'.nav-link[href="#/{view}"][aria-current="page"]')
