"""A lost connection is noticed, said, and mended; what was missed is shown."""


def test_the_page_after_a_lost_connection(browser, make_station, parts):
    station = make_station()
    station.start()
    station.inspect(parts.good[0], "before.png")
    browser.open(f"{station.address}/#/live")
    browser.wait(".live-title", "before.png")
    browser.wait(".status", "Connected")
    assert not browser.wait(".frame").find_elements("css selector", ".lost:not([hidden])")

    station.stop()
    browser.wait(".lost", "Connection lost", patience=20)
    browser.wait(".status", "Connection lost")
    browser.wait(".live-title", "before.png")  # the last that arrived stays

    station.start()
    station.inspect(parts.found[0], "meanwhile.png")
    browser.wait(".status", "Connected", patience=20)
    browser.wait_gone(".lost")
    browser.wait(".live-title", "meanwhile.png", patience=20)

    station.freeze(True)  # nothing closes the connection: only silence tells
    browser.wait(".lost", "Connection lost", patience=40)
    station.freeze(False)
    browser.wait_gone(".lost", patience=30)
    station.inspect(parts.good[1], "after.png")
    browser.wait(".live-title", "after.png", patience=20)


def test_a_page_that_is_opened_before_the_station_waits_for_it(browser, make_station):
    station = make_station()
    station.start()
    browser.open(f"{station.address}/#/live")
    browser.wait(".band, .empty-title", "No part was inspected yet")
    browser.open(f"{station.address}/#/review")
    browser.wait(".empty-title", "Nothing to review")
