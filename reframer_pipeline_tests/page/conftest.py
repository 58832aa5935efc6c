"""A browser for the tests of a file, and the server that it looks at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from reframer_pipeline_tests.api.serving import serving

__all__ = ["page", "serving"]

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a headless Chromium; its mistakes are the test's."""
    if not CHROMIUM.exists():
        pytest.skip("Debian's Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, chromium_sandbox=os.geteuid() != 0)
        page = browser.new_page(viewport={"width": 1300, "height": 950})
        mistakes: list[str] = []
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        yield page
        browser.close()
        assert not mistakes
