"""The page in a real browser, over a real server: one of each for the tests of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from reframer_pipeline_tests.api.serving import Serving, serving
from reframer_pipeline_tests.browser import chromium

__all__ = ["serving"]
PATIENCE_MS = 20_000
ANSWERED = re.compile("Failed to load resource")  # what a server answers with 4xx is logged as an error, too


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def trouble() -> list[str]:
    """What went wrong in any page: a script's error, something that the policy forbids, a request to another host."""
    return []


def opened(browser: Browser, serving: Serving, trouble: list[str], key: str | None) -> BrowserContext:
    """A browser of somebody's, signed in if a key is given."""
    context = browser.new_context(viewport={"width": 1300, "height": 950}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    context.on("weberror", lambda error: trouble.append(str(error.error)))
    context.on("console", lambda said: trouble.append(said.text) if said.type == "error" and not ANSWERED.match(said.text) else None)
    context.on("request", lambda request: None if request.url.startswith((serving.url, "data:", "blob:")) else trouble.append(request.url))
    if key is not None:
        assert context.request.post(f"{serving.url}/session", headers={"X-API-Key": key, "Origin": serving.url}).status == 204
    return context


@pytest.fixture(scope="module")
def page(browser: Browser, serving: Serving, trouble: list[str]) -> Iterator[Page]:
    """Somebody's browser, signed in. Whatever goes wrong in it while the tests run is a failure."""
    context = opened(browser, serving, trouble, serving.key())
    yield context.new_page()
    context.close()
    assert not trouble
