"""Words of others are text: names of files, labels of a model, what Gemini says, what was corrected by hand. On no screen are they markup.

Each of them is a picture whose error would run a script. If it became a picture, that would be found. If its script ran, that too. If the
policy stopped it, the browser's console had a line of it, and the page's fixtures take such a line for a failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.page.desk import Desk
from reframer_pipeline_tests.page.films import Film, brought
from reframer_pipeline_tests.servers import Server

pytestmark = pytest.mark.timeout(3000)
WHO = "one@example.org"
MARK = '<img src=x onerror="ran=1">'
NAME, LABEL, SAYS, ELEMENT, REASON, BY_HAND = (f"{word} {MARK}" for word in ("film", "cup", "happens", "element", "because", "hand"))
REFUSED = f"refused {MARK}.mp4"
FOUND = """() => [typeof ran, document.querySelectorAll('img[src="x"], [onerror], script:not([src]):not([type="importmap"])').length]"""


class Hostile(Film):
    """A clip whose every word is markup."""

    def _detections(self) -> Iterator[dict[str, Any]]:
        return ({**row, "label": LABEL} for row in super()._detections())

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        return ({**row, "label": LABEL} for row in super()._trajectories())

    def _scenes(self) -> Iterator[dict[str, Any]]:
        for row in super()._scenes():
            analysis = json.loads(row["analysis"])
            analysis["replaceable_elements"][0] |= {
                "type": "product", "label": LABEL, "description": ELEMENT, "difficulty": "easy", "measured_difficulty": "easy",
                "difficulty_score": 12.9, "model_difficulty": "hard", "model_reason": REASON, "match_confidence": 0.84, "source": "gemini",
            }  # fmt: skip
            yield {**row, "describer": "gemini", "analysis": json.dumps(analysis)}


@pytest.fixture(scope="module")
def serving(browser: Browser, tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server for each browser."""
    yield from started(tmp_path_factory.mktemp("serving"), embedded_server)


@pytest.fixture(scope="module")
def video_id(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The clip; and beside it a file that was refused."""
    made, _ = brought(serving.storage, "constant", tmp_path_factory.mktemp("films"), text=SAYS, made_by=Hostile)
    claim(serving.db, WHO, made, NAME)
    serving.db.execute(
        """INSERT INTO uploads (user_id, filename, status, failure_code, failure_message, requested)
           SELECT id, %s, 'failed', 'damaged', %s, true FROM users WHERE email = %s""",
        (REFUSED, f"{REFUSED} is damaged.", WHO),
    )
    return made


def inert(page: Page, *words: str) -> None:
    """These words are on the screen as they are, and nothing was made of any."""
    for word in words:
        expect(page.get_by_text(word).first).to_be_visible()
    assert page.evaluate(FOUND) == ["undefined", 0]


def walk(page: Page, serving: Serving, video_id: str, label: str, says: str, said: set[str]) -> None:
    """Look at every screen. `label` and `says` are found by a search, `said` stands in the tabs beside the film."""
    for address, words in (
        ("", [NAME]),
        ("uploads", [REFUSED]),
        ("search?in=scenes", [NAME, says]),
        ("search?in=tracks", [NAME, label]),
        ("search?in=elements", [NAME]),
    ):
        page.goto("about:blank")
        page.goto(f"{serving.url}/#/{address}")
        page.locator("main h1").wait_for()
        inert(page, *words)
    Desk(page, serving.url).open(video_id, "?scene=1&element=1&track=obj_001")
    inert(page, NAME)
    seen = ""
    for tab in page.get_by_role("tab").all():
        tab.click()
        inert(page)
        seen += page.locator("main").inner_text()
    assert {word for word in said if word not in seen} == set()


def test_words_of_others_are_text_on_every_screen(page: Page, serving: Serving, video_id: str, trouble: list[str]) -> None:
    walk(page, serving, video_id, LABEL, SAYS, {SAYS, REASON, LABEL})
    with serving.client(serving.key(WHO)) as client:
        change = {"kind": "rename", "track_id": "obj_001", "label": BY_HAND}
        assert client.post(f"/videos/{video_id}/corrections", json=change).status_code == 201
    walk(page, serving, video_id, BY_HAND, BY_HAND, {BY_HAND})  # scenes are described anew
    for button in ("Correct…", "Matte…", "Reframe…"):
        Desk(page, serving.url).open(video_id, "?track=obj_001")
        page.get_by_role("button", name=button).first.click()
        inert(page)
        page.keyboard.press("Escape")
    assert not trouble


def test_they_would_be_found(page: Page) -> None:
    """The look of the tests above sees a picture that was made of such a word."""
    page.evaluate("() => document.querySelector('main').append(document.createRange().createContextualFragment('<img src=x>'))")
    assert page.evaluate(FOUND) == ["undefined", 1]
