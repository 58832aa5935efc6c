"""Cursors that somebody made up: nothing but a place of the list is read from one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import httpx2
import pytest

from reframer_pipeline.reading.search import SEARCHED
from reframer_pipeline.reading.tables import TABLES
from reframer_pipeline_tests.api.library import claim, forged, made_video
from reframer_pipeline_tests.api.serving import Serving

ONE = "cursors@example.org"
LISTS: list[tuple[str, dict[str, str]]] = [
    ("/videos", {}),
    ("/jobs", {}),
    *((f"/videos/ID/{name}", {}) for name in TABLES),
    *(("/search", {"in": kind, "sort": order}) for kind, one in SEARCHED.items() for order in one.orders),
]
# JSON that is no value of any place
NEVER = ("null", "true", "[]", "{}", '"a\\u0000b"', '"\\ud800"', "NaN", "1e999")
# and values of places, of which each fits some only
SOME = ('"x"', "1", "-1", "1.5", "1" + "0" * 30, '"2026-01-01"', '"00000000-0000-0000-0000-000000000000"', '"9999-12-31T23:59:59-14:00"')


@pytest.fixture(scope="module")
def video(serving: Serving) -> str:
    """One of two videos of a person's, with results."""
    ids = [made_video(serving.storage, seed)[0] for seed in (1, 2)]
    for one in ids:
        claim(serving.db, ONE, one, "clip.mp4")
    return ids[0]


def put(place: list[object], others: tuple[str, ...]) -> Iterator[bytes]:
    """The place with each of its values replaced by each of these."""
    values = [json.dumps(one) for one in place]
    for number in range(len(values)):
        for other in others:
            yield f"[{','.join([*values[:number], other, *values[number + 1 :]])}]".encode()


@pytest.mark.parametrize(("path", "asked"), LISTS, ids=str)
def test_a_cursor_that_is_made_up_is_refused(serving: Serving, video: str, path: str, asked: dict[str, str]) -> None:
    path = path.replace("ID", video)
    with serving.client(serving.key(ONE)) as client:

        def told(cursor: str) -> httpx2.Response:
            return client.get(path, params={"cursor": cursor, **asked})

        given = client.get(path, params={"limit": 1, **asked}).json()["next"]
        place = json.loads(base64.urlsafe_b64decode(given + "==")[9:])
        assert told(given).json()["next"] is None
        wrong = (b"", b"5", b"{}", b"[]", b"[" * 700, b"\xff", b"[1", json.dumps(place[:-1]).encode(), json.dumps([*place, 1]).encode())
        cursors = [forged(path, said, **asked) for said in (*wrong, *put(place, NEVER))]
        for cursor in (*cursors, given[:-3], given + "A", given.swapcase(), "ä", ""):
            answer = told(cursor)
            assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid"), cursor
        for said in put(place, SOME):
            answer = told(forged(path, said, **asked))
            assert answer.is_success or answer.json()["code"] in ("request_invalid", "results_gone"), (said, answer.text)
