"""Login by a token, and what each role may do."""

import re


def make_token(station, name, role):
    data = str(station.data)
    process = station.command("token", "create", name, "--role", role, "--data", data)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output.decode()
    return re.search(rb"\S{20,}", output)[0].decode()


def test_login_by_token_and_roles(browser, make_station, parts, axe):
    station = make_station("--ask-token")
    station.token = make_token(station, "ada", "teach")
    reader = make_token(station, "wall", "read")
    station.start()
    station.inspect(parts.found[0], "secret.png")

    browser.open(f"{station.address}/#/review")
    field = browser.wait("input[name=token]")
    assert browser.focused() == field
    for is_dark in (False, True):
        browser.look("phone", is_dark=is_dark)
        assert browser.violations(axe) == []
    browser.look("desktop")
    assert "secret" not in browser.driver.page_source
    browser.press("wrong", "\n")
    browser.wait(".login .refused", "not known")
    browser.press(reader, "\n")
    browser.wait(".row", "secret.png")
    browser.wait(".remark", "may look, but not decide")
    assert not any(choice.is_displayed() for choice in browser.find(".choice"))
    cookie = browser.driver.get_cookies()[0]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert browser.driver.execute_script("return document.cookie") == ""

    browser.wait('[aria-label^="Log out"]').click()
    browser.wait("input[name=token]")
    browser.press(station.token, "\n")
    browser.wait(".choice-good")
