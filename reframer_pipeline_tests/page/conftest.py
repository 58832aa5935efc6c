"""The page in real browsers, over a real server: in Chromium, and by `make test-long` in Firefox, too."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from reframer_pipeline_tests.api.serving import Serving, serving
from reframer_pipeline_tests.browser import BROWSERS

__all__ = ["serving"]
PATIENCE_MS = 90_000
# What a server answers with 4xx is logged as an error, too; and before a picture Playwright puts an empty style into Firefox's page.
HARMLESS = re.compile("Failed to load resource|sha256-YjaKGiklmzC6wjXA513HAMmzus8VE61XCOT\\+SmwNZWA=")


@pytest.fixture(scope="module", params=["chromium", pytest.param("firefox", marks=pytest.mark.long)])
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with BROWSERS[request.param]() as browser:
        yield browser


@pytest.fixture(scope="module")
def trouble() -> list[str]:
    """What went wrong in any page: a script's error, something that the policy forbids, a request to another host."""
    return []


def opened(browser: Browser, url: str, trouble: list[str], key: str | None) -> BrowserContext:
    """A browser of somebody's, signed in if a key is given."""

    def hear(said: str) -> None:
        if not HARMLESS.search(said):
            trouble.append(said)

    context = browser.new_context(viewport={"width": 1300, "height": 950}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    context.on("weberror", lambda error: hear(str(error.error)))
    context.on("console", lambda said: hear(said.text) if said.type == "error" else None)
    context.on("request", lambda request: None if request.url.startswith((url, "data:", "blob:")) else trouble.append(request.url))
    if key is not None:
        assert context.request.post(f"{url}/session", headers={"X-API-Key": key, "Origin": url}).status == 204
    return context


@pytest.fixture(scope="module")
def page(browser: Browser, serving: Serving, trouble: list[str]) -> Iterator[Page]:
    """Somebody's browser, signed in. Whatever goes wrong in it while the tests run is a failure."""
    context = opened(browser, serving.url, trouble, serving.key())
    yield context.new_page()
    context.close()
    assert not trouble


def on_its_way(page: Page, name: str) -> Locator:
    """What the page says of a file that is uploaded, be the bar that says it small or not."""
    return page.get_by_label("Files on their way").locator("li").filter(has_text=name)
