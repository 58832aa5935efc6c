"""Who is let in, to what, and what everybody else is told. Every route is tried with every wrong key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from reframer_pipeline.api.access import REMEMBERED_S
from reframer_pipeline.api.application import create_app
from reframer_pipeline.settings import Settings
from reframer_pipeline.users import keys, people
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.servers import Server

OPEN = {"/", "/healthz", "/readyz", "/login"}  # and OPTIONS of whatever address: which methods and protocols there are
TO_LOOK = {"/tickets", "/videos/{video_id}/proxy"}  # made for whoever looks: no result, and nothing of anybody's, is changed by it
SAID = [(b"Tus-Resumable", b"1.0.0")]  # by every client of that protocol
PROBLEM = "application/problem+json"


def routes() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, address and description of each operation."""
    for path, operations in create_app(Settings()).openapi()["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


def concrete(path: str) -> str:
    """With an id of nobody in the place of each parameter."""
    return re.sub(r"\{\w+\}", "00000000-0000-4000-8000-000000000000", path)


every_guarded_route = pytest.mark.parametrize(
    ("method", "path", "operation"),
    [pytest.param(*one, id=f"{one[0]} {one[1]}") for one in routes() if one[1] not in OPEN and one[0] != "OPTIONS"],
)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """One that looks at many wrong keys."""
    yield from started(tmp_path_factory.mktemp("access"), embedded_server, REFRAMER_API_WRONG_KEYS_PER_MINUTE="1000000")


@pytest.fixture(scope="module")
def wrong_keys(serving: Serving) -> dict[str, str | None]:
    """What must not let anybody in."""
    user, removed = people.add(serving.db, "wrong@example.org"), people.add(serving.db, "removed@example.org")
    revoked = keys.add(serving.db, user, "revoked", keys.SCOPES)
    keys.revoke(serving.db, keys.named(serving.db, revoked[:11])["key_id"])
    of_removed = keys.add(serving.db, removed, "removed", keys.SCOPES)
    people.remove(serving.db, "removed@example.org")
    good = keys.add(serving.db, user, "good", keys.SCOPES)
    return {
        "none": None,
        "unknown": "vr_" + "x" * 43,
        "of another form": "é" * 46,
        "the visible part": good[:11],
        "revoked": revoked,
        "expired": keys.add(serving.db, user, "expired", keys.SCOPES, timedelta(seconds=-1)),
        "of a user who was removed": of_removed,
        "a session's": keys.add(serving.db, user, "browser", keys.SCOPES, kind="session"),
        "a token": keys.add(serving.db, user, "login", keys.SCOPES, kind="login"),
    }


@every_guarded_route
def test_a_wrong_key_lets_nobody_in(
    serving: Serving, wrong_keys: dict[str, str | None], method: str, path: str, operation: dict[str, Any]
) -> None:
    assert operation["security"] == [{"key": []}]  # it is said, too
    answers = set()
    with serving.client() as client:
        for wrong in wrong_keys.values():
            headers = SAID + ([] if wrong is None else [(b"X-API-Key", wrong.encode())])
            for place in ("", "/v1"):
                answer = client.request(method, place + concrete(path), headers=headers)
                assert answer.status_code == 401 and answer.headers["content-type"] == PROBLEM, (wrong, answer.text)
                if method != "HEAD":
                    answers.add((answer.json()["code"], answer.json()["detail"]))
    assert answers <= {("key_missing", "The request has no key."), ("key_missing", "The key is unknown, or good no more.")}


@every_guarded_route
def test_a_key_does_what_its_scope_says(serving: Serving, method: str, path: str, operation: dict[str, Any]) -> None:
    """A key for reading changes nothing, one for writing reads nothing, and neither is an admin's."""
    if path in ("/me", "/session"):  # whatever the key is for
        return
    with serving.client(serving.key("reader@example.org", ("read",))) as reader:
        seen = reader.request(method, concrete(path), headers=SAID).status_code
    with serving.client(serving.key("writer@example.org", ("write",))) as writer:
        written = writer.request(method, concrete(path), headers=SAID).status_code
    assert 403 in (seen, written)
    if method not in ("GET", "HEAD", "OPTIONS") and path not in TO_LOOK:
        assert seen == 403
    if path == "/metrics":
        assert seen == written == 403


@pytest.mark.parametrize("path", sorted(OPEN - {"/login"}))
def test_few_routes_are_open(serving: Serving, path: str) -> None:
    with serving.client() as client:
        assert client.get(path).status_code == client.get(f"/v1{path}").status_code == 200


def test_a_key_lets_in(serving: Serving) -> None:
    key = serving.key("one@example.org", ("read",))
    with serving.client(key) as client, serving.client(Authorization=f"Bearer {key}") as bearing:
        assert client.get("/me").json() == bearing.get("/v1/me").json() == {"email": "one@example.org", "scopes": ["read"]}


def test_a_key_that_is_revoked_ends_within_seconds(serving: Serving) -> None:
    key = serving.key()
    with serving.client(key) as client:
        assert client.get("/me").is_success
        keys.revoke(serving.db, keys.named(serving.db, key[:11])["key_id"])
        serving.until(lambda: client.get("/me").status_code == 401, REMEMBERED_S + 1)


def test_problems_of_the_framework_look_like_ours(serving: Serving) -> None:
    with serving.client() as client:
        nothing, method, value = client.get("/v1/nothing"), client.put("/v1/session"), client.get("/login")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "nothing_there")
    assert (method.status_code, method.json()["code"], method.headers["allow"]) == (405, "method_unknown", "POST, DELETE")
    assert (value.status_code, value.json()["code"]) == (422, "request_invalid")
    assert value.json()["errors"] == [{"place": "query.token", "message": "Field required"}]
    assert {one.headers["content-type"] for one in (nothing, method, value)} == {PROBLEM}


def test_no_answer_can_stand_in_another_page_or_run_anything(serving: Serving) -> None:
    """Whatever is answered, and however; the page has a policy of its own."""
    with serving.client(serving.key()) as client, serving.client() as nobody:
        answers = [client.get("/me"), client.get("/nothing"), client.post("/tickets"), client.get("/openapi.json"), client.get("/metrics")]
        answers += [
            client.request("TRACE", "/me"),
            client.get("/"),
            nobody.get("/me"),
            nobody.get("/app/main.js"),
            nobody.options("/uploads"),
        ]
        answers += [client.get("/healthz", headers={"Host": "rebound.example"}), client.get("/search"), client.head("/healthz")]
    assert {one.status_code for one in answers} == {200, 204, 401, 404, 405, 421, 422}
    for one in answers:
        policy = dict(part.strip().partition(" ")[::2] for part in one.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'", one.url
        assert policy.get("script-src", "'none'") == "'none'" or one.headers["content-type"].startswith(("text/html", "text/javascript"))
        assert one.headers["x-content-type-options"] == "nosniff" and one.headers["referrer-policy"] == "no-referrer"
        assert not one.content or "content-type" in one.headers
