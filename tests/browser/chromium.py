"""A headless Chromium, as the tests of pages and the benchmark of reports start it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.remote.webdriver import WebDriver

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# The `pytestmark` of a file of tests that open pages.
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no browser: apt-get install chromium chromium-driver"
    ),
]
HOSTILE = "</script><script>document.title = 'hurt'</script><img src=x onerror=\"document.title = 'hurt'\">"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,1000",
)


def start(profile: Path, preferences: Mapping[str, object] | None = None) -> WebDriver:
    """Start a browser that keeps its profile in a folder."""
    options = webdriver.ChromeOptions()
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.binary_location = CHROMIUM or "chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if preferences:
        options.add_experimental_option("prefs", dict(preferences))
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


def visit(browser: WebDriver, address: str) -> None:
    """Open `address` anew, whatever differs from the one that is open."""
    browser.get("about:blank")
    browser.get(address)


def wait(is_so: Callable[[], bool], *, seconds: float = 2) -> bool:
    """Wait for a browser to get there."""
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
    return is_so()
