"""Headless Chromium with its own driver, and the few things that a person does in it."""

import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {"desktop": (1280, 800), "tablet": (820, 1180), "phone": (390, 844)}
PATIENCE = 150.0  # seconds; teaching takes a while on a busy machine
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


class Browser:
    """One browser on one station."""

    def __init__(self, chromium: str, driver: str, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in (*QUIET, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})  # type: ignore[arg-type]
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_script_timeout(60)
        self.look("desktop")

    def look(self, size: str, *, is_dark: bool = False) -> None:
        """Take a size and a colour scheme."""
        width, height = SIZES[size]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        is_mobile = size != "desktop"
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**metrics, "mobile": is_mobile}
        )
        features = {
            "prefers-color-scheme": "dark" if is_dark else "light",
            "prefers-reduced-motion": "reduce",
        }
        values = [{"name": name, "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": values})

    def open(self, address: str) -> None:
        """Open an address anew."""
        self.driver.get("about:blank")
        self.driver.get(address)

    def find(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def wait(self, css: str, text: str = "", *, patience: float = PATIENCE) -> WebElement:
        """The first visible element of a selector with a text, once it is there."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for element in self.find(css):
                try:
                    if element.is_displayed() and text in element.text:
                        return element
                except StaleElementReferenceException:
                    continue
            time.sleep(0.1)
        seen = self.driver.find_element(By.TAG_NAME, "body").text
        raise AssertionError(f"no {css} with {text!r} within {patience:g} s. The page:\n{seen}")

    def click(self, css: str, text: str = "") -> None:
        """Click an element, however often the page draws it anew meanwhile."""
        for _ in range(20):
            try:
                return self.wait(css, text).click()
            except StaleElementReferenceException:
                time.sleep(0.1)

    def wait_gone(self, css: str, *, patience: float = PATIENCE) -> None:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if not any(element.is_displayed() for element in self.find(css)):
                    return
            except StaleElementReferenceException:
                continue
            time.sleep(0.1)
        raise AssertionError(f"{css} is still there after {patience:g} s")

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def drag(self, element: WebElement, start: tuple[int, int], *moves: tuple[int, int]) -> None:
        """Drag from a place, counted from the element's middle."""
        chain = ActionChains(self.driver, duration=60)
        chain.move_to_element_with_offset(element, *start).click_and_hold()
        for move in moves:
            chain.move_by_offset(*move)
        chain.release().perform()

    def painted(self) -> int:
        """Pixels of the image that are in the mask."""
        script = """
            const canvas = document.querySelector(".viewer-mask");
            const context = canvas.getContext("2d");
            const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.filter((value, i) => i % 4 === 3 && value > 127).length;
        """
        return int(self.driver.execute_script(script))

    def violations(self, axe: str) -> list[str]:
        """What axe finds, a line each."""
        self.driver.execute_script(axe)
        script = "axe.run(document, {runOnly: arguments[0]}).then(arguments[1])"
        found: dict[str, Any] = self.driver.execute_async_script(script, list(RULES))
        return [
            f"{one['id']}: {node['html'][:160]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        script = """
            const main = document.querySelector("main");
            const root = document.documentElement;
            const over = (element) => element.scrollWidth - element.clientWidth;
            return Math.max(over(root), over(main));
        """
        return int(self.driver.execute_script(script))

    def errors(self) -> list[str]:
        """What scripts and policies complained of; failed requests are not theirs."""
        log = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [
            entry["message"]
            for entry in log
            if entry["level"] == "SEVERE"
            and "Failed to load resource" not in entry["message"]
            and "ERR_" not in entry["message"]
        ]

    def close(self) -> None:
        self.driver.quit()
