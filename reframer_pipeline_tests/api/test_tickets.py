"""A ticket in the address lets a page on another host look at pictures, films and exports, and do nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reframer_pipeline.api.access import REMEMBERED_S
from reframer_pipeline.users import keys
from reframer_pipeline_tests.api.filmed import film, numbered
from reframer_pipeline_tests.api.serving import Serving

ONE = "one@example.org"


@pytest.fixture(scope="module")
def video_id(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> str:
    return film(serving.storage, numbered(Path(tmp_path_factory.mktemp("tickets")) / "clip.mp4"), ONE)


def test_a_ticket_lets_look_and_nothing_else(serving: Serving, video_id: str) -> None:
    with serving.client(serving.key(ONE)) as client, serving.client() as page:
        answer = client.post("/v1/tickets")
        ticket, ends = answer.json()["ticket"], datetime.fromisoformat(answer.json()["expires_at"])
        assert answer.headers["Cache-Control"] == "no-store"
        assert timedelta(minutes=59) < ends - datetime.now(UTC) <= timedelta(hours=1)
        for route in ("frames/0.jpg", "poster.jpg", "original", "film", "export?format=csv"):
            address = f"/v1/videos/{video_id}/{route}{'&' if '?' in route else '?'}ticket="
            assert page.get(address + ticket).is_success, route
            assert page.get(address + "vr_x").json()["code"] == "key_missing", route
        part = page.get(f"/videos/{video_id}/original", params={"ticket": ticket}, headers={"Range": "bytes=0-9"})
        assert part.status_code == 206
        for method, route in (("GET", f"/videos/{video_id}"), ("GET", "/me"), ("POST", "/tickets"), ("POST", f"/videos/{video_id}/proxy")):
            assert page.request(method, route, params={"ticket": ticket}).json()["code"] == "key_missing", route
        assert page.get("/me", headers={"X-API-Key": ticket}).json()["code"] == "key_missing"
    assert ticket not in serving.log.read_text()
    assert not [one for one in keys.list_(serving.db, ONE) if one["kind"] == "ticket"]


def test_what_was_kept_under_an_older_ticket_is_still_good(serving: Serving, video_id: str) -> None:
    with serving.client(serving.key(ONE)) as client, serving.client() as page:
        first, second = (client.post("/tickets").json()["ticket"] for _ in range(2))
        for route in ("frames/0.jpg", "frames/0.jpg?overlay=boxes", "annotated.mp4", "times", "export?format=csv"):
            address = f"/videos/{video_id}/{route}{'&' if '?' in route else '?'}ticket="
            kept = page.get(address + first).headers["ETag"]
            assert page.get(address + second, headers={"If-None-Match": kept}).status_code == 304, route
            assert client.get(f"/videos/{video_id}/{route}", headers={"If-None-Match": kept}).status_code == 304, route


def test_a_ticket_ends_with_its_key_and_old_ones_go(serving: Serving, video_id: str) -> None:
    secret = serving.key(ONE, scopes=("read",))
    with serving.client(secret) as client, serving.client() as page:
        ticket = client.post("/tickets").json()["ticket"]
        keys.revoke(serving.db, keys.named(serving.db, secret[:11])["key_id"])
        address = f"/videos/{video_id}/original"
        serving.until(lambda: page.get(address, params={"ticket": ticket}).status_code == 401, 2 * REMEMBERED_S)
    serving.db.execute("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE kind = 'ticket'")
    with serving.client(serving.key(ONE)) as client:
        client.post("/tickets")
    assert len(serving.db.fetch("SELECT 1 FROM api_keys WHERE kind = 'ticket'")) == 1


def test_a_key_has_so_many_tickets_and_the_newest_stay(serving: Serving, video_id: str) -> None:
    who = keys.holder(serving.db, serving.key(ONE), "key")
    assert who is not None
    tickets = [keys.ticket(serving.db, who, timedelta(hours=1)) for _ in range(keys.MOST["ticket"] + 1)]
    with serving.client() as page:
        answers = [page.get(f"/videos/{video_id}/film", params={"ticket": one}).status_code for one in tickets[:2]]
    assert answers == [401, 200]


def test_a_key_without_reading_gets_none(serving: Serving) -> None:
    with serving.client(serving.key(ONE, scopes=("write",))) as client:
        assert client.post("/tickets").json()["code"] == "not_allowed"
