"""Who is let in, to what, and what everybody else is told."""

from __future__ import annotations

from reframer_pipeline_tests.api.serving import Serving


def test_a_key_lets_in(serving: Serving) -> None:
    with serving.client(serving.key("one@example.org", ("read",))) as client:
        assert client.get("/me").json() == {"email": "one@example.org", "scopes": ["read"]}


def test_every_address_is_there_under_v1_too(serving: Serving) -> None:
    with serving.client(serving.key()) as client:
        assert client.get("/v1/me").json() == client.get("/me").json()
        assert client.get("/v1/nothing").status_code == client.get("/v1").status_code == 404


def test_nobody_is_let_in_without_a_key(serving: Serving) -> None:
    with serving.client() as client:
        answer = client.get("/v1/me")
    assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "key_missing" and answer.json()["request_id"] is not None


def test_problems_of_the_framework_look_like_ours(serving: Serving) -> None:
    with serving.client() as client:
        assert client.get("/v1/nothing").json()["code"] == "nothing_there"
        wrong = client.post("/v1/healthz")
    assert wrong.json()["code"] == "method_unknown" and wrong.headers["allow"] == "GET"


def test_it_is_alive_and_ready(serving: Serving) -> None:
    with serving.client() as client:
        assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
