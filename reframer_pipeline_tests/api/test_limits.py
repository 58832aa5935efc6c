"""What a client may ask for, and how slowly."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import httpx2
import pytest

from reframer_pipeline.api.listening import HEADERS_S
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.servers import Server


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server with low limits."""
    yield from started(
        tmp_path_factory.mktemp("strict"), embedded_server, REFRAMER_API_REQUESTS_PER_MINUTE="5",
        REFRAMER_API_CORS_ORIGINS="https://ours.example",
    )  # fmt: skip


def test_requests_a_minute_are_counted_by_key(strict: Serving) -> None:
    with strict.client(strict.key()) as client, strict.client(strict.key()) as other:
        answers = [client.get("/me") for _ in range(7)]
        assert [one.status_code for one in answers] == [200] * 5 + [429] * 2
        assert [one.headers["ratelimit"].split(";t=")[0] for one in answers[:6]] == [f'"requests";r={left}' for left in (4, 3, 2, 1, 0, 0)]
        assert {one.headers["ratelimit-policy"] for one in answers} == {'"requests";q=5;w=60'}
        refused = answers[-1]
        assert refused.json()["code"] == "too_many_requests" and 0 < int(refused.headers["retry-after"]) <= 60
        assert client.get("/healthz").is_success and other.get("/me").is_success


def test_headers_that_are_too_large_or_too_slow(strict: Serving) -> None:
    with strict.client() as client:
        assert client.get("/healthz", headers={"X-Long": "x" * 20_000}).is_success
        with pytest.raises(httpx2.HTTPError):
            client.get("/healthz", headers={"X-Long": "x" * 400_000}).raise_for_status()
    with socket.create_connection(("127.0.0.1", strict.port)) as slow:
        begun = time.monotonic()
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        slow.settimeout(HEADERS_S + 10)
        assert slow.recv(1) == b""  # closed
        assert time.monotonic() - begun > HEADERS_S - 1


def test_only_its_own_names_are_answered_on_loopback(strict: Serving) -> None:
    with strict.client() as client:
        for name in ("localhost", f"localhost:{strict.port}", "127.0.0.1"):
            assert client.get("/healthz", headers={"Host": name}).is_success
        refused = client.get("/healthz", headers={"Host": "rebound.example"})
        assert refused.status_code == 421 and refused.json()["code"] == "host_unknown"


def test_cors_is_for_the_origins_that_are_named(strict: Serving) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    with strict.client() as client:
        allowed = client.options("/v1/me", headers={"Origin": "https://ours.example", **asked})
        assert allowed.headers["access-control-allow-origin"] == "https://ours.example"
        assert "access-control-allow-credentials" not in allowed.headers
        assert "access-control-allow-origin" not in client.options("/v1/me", headers={"Origin": "https://evil.example", **asked}).headers


def test_a_large_answer_is_compressed(strict: Serving) -> None:
    with strict.client() as client:
        answer = client.get("/openapi.json")
        assert answer.headers["content-encoding"] == "gzip" and answer.json()["openapi"].startswith("3.1")
