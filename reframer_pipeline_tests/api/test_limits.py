"""What a client may ask for, and how slowly."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import httpx2
import pytest

from reframer_pipeline.api.listening import HEADERS_S
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.api.test_jobs import END, FILE, FORM, answered, begun
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.servers import Server


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server with low limits."""
    yield from started(
        tmp_path_factory.mktemp("strict"), embedded_server, REFRAMER_API_REQUESTS_PER_MINUTE="5",
        REFRAMER_API_JOBS_AT_ONCE="1", REFRAMER_API_WRONG_KEYS_PER_MINUTE="3", REFRAMER_API_PROXIES="127.0.0.1",
        REFRAMER_API_CORS_ORIGINS="https://ours.example", REFRAMER_API_UPLOAD_MB_PER_DAY="3", REFRAMER_API_IDLE_S="3",
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


def test_wrong_keys_are_counted_by_address_and_keep_nobody_out_who_was_in(strict: Serving) -> None:
    good, late = strict.key(), strict.key()

    def asked(key: str, address: str) -> httpx2.Response:
        with strict.client(key, **{"X-Forwarded-For": address}) as client:
            return client.get("/me")

    assert asked(good, "192.0.2.1").is_success
    answers = [asked(f"vr_wrong{number}", "192.0.2.1") for number in range(5)]
    assert [one.status_code for one in answers] == [401] * 3 + [429] * 2
    assert [one.headers["ratelimit"].split(";t=")[0] for one in answers] == [f'"wrong-keys";r={left}' for left in (2, 1, 0, 0, 0)]
    with strict.client(**{"X-Forwarded-For": "192.0.2.1"}) as client:
        assert client.get("/login", params={"token": "vr_wrong"}).status_code == 429
    assert asked(late, "192.0.2.1").status_code == 429  # it is not looked at
    assert asked(good, "192.0.2.1").is_success and asked(late, "192.0.2.2").is_success
    assert [asked("vr_wrong", f"2001:db8::{number}").status_code for number in range(4)] == [401] * 3 + [429]  # one customer's


def test_nobody_says_where_others_are_unless_a_setting_says_so(serving: Serving) -> None:
    with serving.client("vr_wrong", **{"X-Forwarded-For": "192.0.2.77"}) as client:
        client.get("/me")
    assert "192.0.2.77" not in serving.log.read_text()


def test_over_https_no_host_beside_ours_can_set_the_cookie(strict: Serving) -> None:
    with strict.client(**{"X-Forwarded-Proto": "https", "Host": "localhost", "Sec-Fetch-Site": "same-origin"}) as browser:
        came = browser.post("/session", headers={"X-API-Key": strict.key()})
        said, *attributes = came.headers["set-cookie"].split("; ")
        assert said.startswith("__Host-reframer_session=") and {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(attributes)
        assert not any(one.startswith("Domain") for one in attributes)
        assert browser.get("/me", headers={"Cookie": said}).is_success
        assert browser.get("/me", headers={"Cookie": said.removeprefix("__Host-")}).status_code == 401
        ended = browser.delete("/session", headers={"Cookie": said}).headers["set-cookie"]
        assert ended.startswith('__Host-reframer_session=""') and "Secure" in ended and "Path=/" in ended


def test_over_https_a_page_of_our_name_without_it_changes_nothing(strict: Serving) -> None:
    with strict.client(**{"X-Forwarded-Proto": "https", "Host": "localhost"}) as browser:
        said = browser.post("/session", headers={"X-API-Key": strict.key()}).headers["set-cookie"].partition(";")[0]
        answers = [browser.delete("/session", headers={"Cookie": said, "Origin": f"{one}://localhost"}) for one in ("http", "https")]
    assert [one.status_code for one in answers] == [403, 204] and answers[0].json()["code"] == "cross_site"


def test_a_key_with_all_its_jobs_is_told_so_before_its_bytes_come(strict: Serving) -> None:
    with strict.client(strict.key()) as client:
        first = {"files": {"file": ("clip.mp4", video_bytes())}, "headers": {"Idempotency-Key": "k"}}
        made = client.post("/jobs", **first)
        assert made.status_code == 202
        with socket.create_connection(("127.0.0.1", strict.port), timeout=20) as sending:
            lines = ("POST /jobs HTTP/1.1", "Host: localhost", f"X-API-Key: {client.headers['x-api-key']}", "Content-Length: 1000000",
                     "Content-Type: multipart/form-data; boundary=x", "", "")  # fmt: skip
            sending.sendall("\r\n".join(lines).encode())
            assert sending.recv(100).startswith(b"HTTP/1.1 429")
        assert client.post("/jobs", **first).json() == made.json()  # it makes none


def test_bytes_that_nobody_announced_count_as_they_come(strict: Serving) -> None:
    def used(key: str) -> int:
        query = "SELECT bytes FROM api_key_bytes b JOIN api_keys k ON k.id = b.api_key_id WHERE k.prefix = %s"
        return int(strict.db.fetch(query, (key[:11],))[0]["bytes"])

    body = FILE + END
    with strict.client(key := strict.key()) as client:
        made = client.post("/jobs", content=iter([body]), headers={"Content-Type": FORM})
        assert made.status_code == 202 and used(key) == len(body)  # what was not used is given back
    with begun(strict, key := strict.key()) as connection:
        connection.sendall(b"4000000\r\n" + video_bytes())
        connection.sendall(bytes(2_900_000))
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
        connection.sendall(bytes(200_000))
        assert answered(connection) == (429, "quota_used_up")
    assert 2_500_000 < used(key) <= 3_000_000  # of the last bytes some may not have been read


def test_the_database_is_asked_for_readiness_once_a_second_at_most(strict: Serving) -> None:
    with strict.client() as client:
        assert client.get("/readyz").is_success
        strict.db.execute("UPDATE schema_migrations SET sha256 = 'x' || sha256")
        try:
            strict.until(lambda: client.get("/readyz").status_code == 503, 120)
        finally:
            strict.db.execute("UPDATE schema_migrations SET sha256 = substr(sha256, 2)")
        assert client.get("/readyz").status_code == 503
        strict.until(lambda: client.get("/readyz").is_success, 120)


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


def test_refusals_before_any_route_can_be_read_by_a_page_elsewhere(strict: Serving) -> None:
    with strict.client(Origin="https://ours.example") as client:
        elsewhere = client.get("/healthz", headers={"Host": "rebound.example"})
    assert (elsewhere.status_code, elsewhere.headers["access-control-allow-origin"]) == (421, "https://ours.example")
    lines = ("POST /jobs HTTP/1.1", "Host: localhost", f"X-API-Key: {strict.key()}", "Origin: https://ours.example", "Content-Length: 9",
             "Content-Type: application/json", "", "")  # fmt: skip
    with socket.create_connection(("127.0.0.1", strict.port), timeout=20) as silent:
        silent.sendall("\r\n".join(lines).encode())
        said = b"".join(iter(lambda: silent.recv(65536), b"")).lower()  # it hangs up
    assert said.startswith(b"http/1.1 408") and b"access-control-allow-origin: https://ours.example" in said
    assert b"connection: close" in said and b"x-request-id: " in said


def test_a_large_answer_is_compressed(strict: Serving) -> None:
    with strict.client() as client:
        answer = client.get("/openapi.json")
        assert answer.headers["content-encoding"] == "gzip" and answer.json()["openapi"].startswith("3.1")
