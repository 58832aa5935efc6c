"""Debian's Chromium and Firefox, for tests of what people see. Nothing is downloaded; a test skips where they are not installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FIREFOX = Path("/usr/bin/firefox-esr")
QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of one's own."""
    if not CHROMIUM.exists():
        pytest.skip("Debian's Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


@contextmanager
def firefox() -> Iterator[Browser]:
    """A browser of one's own. Playwright speaks WebDriver BiDi with it, as with any Firefox that is not of its own making."""
    if not FIREFOX.exists():
        pytest.skip("Debian's Firefox is not installed (apt-get install firefox-esr)")
    with sync_playwright() as playwright:
        wanted = {"media.autoplay.default": 0, "browser.download.alwaysOpenPanel": False}  # that panel takes the keyboard
        browser = playwright.firefox.launch(executable_path=FIREFOX, channel="moz-firefox", firefox_user_prefs=wanted)
        yield browser
        browser.close()


BROWSERS: dict[str, Callable[[], AbstractContextManager[Browser]]] = {"chromium": chromium, "firefox": firefox}


def hard_to_read(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds in a page that is serious: the rule, and the elements that break it."""
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
