"""What every request passes through: ids, logs without secrets, a net below, and a graceful end."""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from reframer_pipeline.api.guarding import AT_WORK
from reframer_pipeline.api.metrics import Metrics
from reframer_pipeline.api.problems import MEDIA_TYPE
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.users import local, people
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.servers import PASSWORD, Server

GEMINI = "AIza-canary-of-gemini"
CANARY = "vr_" + "canary" * 7 + "1"
ORIGIN = "https://ours.example"
ODD = ["-m", "reframer_pipeline_tests.api.odd_routes", "PORT"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, postgres15: Server) -> Iterator[Serving]:
    """With the odd routes, over a database that has a password."""
    given = {"GEMINI_API_KEY": GEMINI, "REFRAMER_API_IDLE_S": "1", "REFRAMER_API_CORS_ORIGINS": ORIGIN}
    yield from started(tmp_path_factory.mktemp("odd"), postgres15, program=ODD, **given)


def lines(serving: Serving) -> list[dict[str, Any]]:
    return [json.loads(line) for line in serving.log.read_text().splitlines()]


def test_no_secret_is_in_anything_that_is_written_or_told(odd: Serving) -> None:
    """Canaries go wherever a secret may come from; then all that was written is searched. It is the first: nobody has a key yet."""
    token, key = local.token(odd.db), odd.key(people.LOCAL_USER)
    told = []
    assert token is not None
    with odd.client(key) as client, odd.client() as browser:
        told.append(client.get("/breaks", headers={"X-Canary": CANARY}))
        told.append(client.get("/breaks-in-words"))
        told.append(browser.get("/login", params={"token": token}))
        session = browser.cookies[f"reframer_session_{odd.port}"]
        told[-1].headers.pop("set-cookie")
        told.append(browser.get("/login", params={"token": token}))
        told.append(client.get("/me", params={"key": key}))
        told.append(client.get(f"/v1/{CANARY}/{session}"))
        told.append(browser.delete("/session"))
        told += [client.get("/openapi.json"), client.get("/metrics"), client.get("/readyz")]
        assert browser.get("/me").is_success
    written = odd.log.read_text() + "".join(path.read_text(errors="replace") for path in odd.home.rglob("*") if path.is_file())
    written += str(odd.db.fetch("SELECT * FROM api_keys")) + "".join(f"{one.text} {one.headers}" for one in told)
    for secret in (token, key, session, CANARY, GEMINI, PASSWORD, "se%20cret", "se cret"):
        assert secret not in written, secret
    assert key[:11] in written  # how it begins is no secret
    assert "Broken" in odd.log.read_text()


def test_a_defect_is_a_problem_and_tells_nothing(odd: Serving) -> None:
    with odd.client(odd.key()) as client:
        answer = client.get("/v1/breaks", headers={"X-Request-ID": "mine-1"})
        assert answer.status_code == 500 and answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"
        assert answer.json()["code"] == "internal_error" and "Broken" not in answer.text
        away = client.get("/breaks-in-words")
        assert away.status_code == 503 and away.headers["retry-after"] == "10" and "127.0.0.1" not in away.text
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get("/breaks-late")
        assert client.get("/me").is_success  # it goes on
    told = [line for line in lines(odd) if line.get("request_id") == "mine-1"]
    assert [line["level"] for line in told] == ["warning", "error", "error"]
    assert "RuntimeError" in told[1]["exception"] and "in breaks" in told[1]["exception"]
    assert told[2]["event"] == "request" and told[2]["status"] == 500 and told[2]["path"] == "/v1/breaks"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "line\\nbreak", "é"])
def test_an_id_that_is_not_fit_for_a_log_is_replaced(sent: str, serving: Serving) -> None:
    with serving.client() as client:
        given = client.get("/healthz", headers={"X-Request-ID": sent.encode()}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", given)


def test_a_request_is_one_line(odd: Serving) -> None:
    with odd.client(odd.key()) as client:
        given = client.get("/v1/me", params={"q": "1"}).headers["x-request-id"]
    odd.until(lambda: given in odd.log.read_text(), 60)  # it is written once the answer is out
    (line,) = [line for line in lines(odd) if line.get("request_id") == given]
    (key,) = odd.db.fetch("SELECT id::text, user_id::text FROM api_keys ORDER BY created_at DESC LIMIT 1")
    expected = {"event": "request", "level": "info", "method": "GET", "path": "/v1/me", "status": 200, "key_id": key["id"]}
    assert line.items() >= (expected | {"user_id": key["user_id"], "client": "127.0.0.1"}).items() and line["seconds"] >= 0


def test_seconds_end_with_the_answer(odd: Serving) -> None:
    with odd.client() as client:
        given = client.get("/goes-on").headers["x-request-id"]
    odd.until(lambda: given in odd.log.read_text(), 120)
    (line,) = [line for line in lines(odd) if line.get("request_id") == given]
    assert line["status"] == 200 and line["seconds"] < 1


def test_a_body_that_stops_arriving_is_given_up(odd: Serving) -> None:
    head = b"POST /reads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n"
    with socket.create_connection(("127.0.0.1", odd.port)) as steady, socket.create_connection(("127.0.0.1", odd.port)) as stuck:
        stuck.settimeout(20)
        stuck.sendall(head + b"x")
        steady.sendall(head)
        for _ in range(12):  # twice as long as nothing may arrive
            steady.sendall(b"x")
            time.sleep(0.2)
        assert b" 200 " in steady.recv(1000).splitlines()[0]
        answer = b"".join(iter(lambda: stuck.recv(10_000), b""))  # to the end: it is closed
    assert b" 408 " in answer.splitlines()[0] and b'"too_slow"' in answer


def test_a_body_that_drips_is_given_up(odd: Serving) -> None:
    head = b"POST /reads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", odd.port)) as steady, socket.create_connection(("127.0.0.1", odd.port)) as drip:
        for one in (steady, drip):
            one.settimeout(20)
            one.sendall(head)
        for _ in range(20):  # together longer than a body may drip
            steady.sendall(b"x" * 500)
            if not select.select([drip], [], [], 0.2)[0]:
                drip.sendall(b"x")
        assert b" 200 " in steady.recv(1000).splitlines()[0]
        answer = b"".join(iter(lambda: drip.recv(10_000), b""))
    assert b" 408 " in answer.splitlines()[0] and b"1000 bytes a second" in answer


def test_connections_without_a_request_make_room(odd: Serving) -> None:
    with ExitStack() as held:

        def opened() -> socket.socket:
            return held.enter_context(socket.create_connection(("127.0.0.1", odd.port), timeout=20))

        at_work = opened()  # the oldest, which must not make room
        at_work.sendall(b"GET /takes-its-time?seconds=5 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        idle = [opened() for _ in range(AT_WORK)]
        with odd.client() as client:
            assert [client.get("/healthz").status_code for _ in range(3)] == [200] * 3
        assert idle[0].recv(1) == b""  # it was closed
        assert at_work.recv(15) == b"HTTP/1.1 200 OK"


def test_with_all_connections_at_work_one_more_request_is_told_so(odd: Serving) -> None:
    with ExitStack() as held:
        for _ in range(AT_WORK):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", odd.port), timeout=20))
            connection.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with odd.client(Origin=ORIGIN) as client:
            odd.until(lambda: client.get("/me").status_code == 503, 120)
            full = client.get("/me")
            assert full.headers["content-type"] == MEDIA_TYPE and full.headers["access-control-allow-origin"] == ORIGIN
            assert full.json()["code"] == "server_full" and "Retry-After" in full.json()["remedy"] and int(full.headers["retry-after"]) > 0
            connection.close()
            odd.until(lambda: client.get("/me").status_code == 401, 120)


def test_what_is_no_http_is_told_so(odd: Serving) -> None:
    for sent in (b"HELO example.org\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 40_000):
        with socket.create_connection(("127.0.0.1", odd.port), timeout=20) as connection:
            connection.sendall(sent)
            head, _, body = b"".join(iter(lambda: connection.recv(10_000), b"")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n") and MEDIA_TYPE.encode() in head
        assert json.loads(body)["code"] == "not_http" and json.loads(body)["request_id"]


def test_who_takes_nothing_of_an_answer_is_hung_up_on(odd: Serving) -> None:
    def asking() -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", odd.port))
        connection.sendall(b"GET /large?size=20000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection

    with asking() as steady, asking():
        odd.until(lambda: len(odd.connections()) == 2, 120)
        taken = 0
        while len(odd.connections()) == 2:
            taken += len(steady.recv(300_000))
            time.sleep(0.1)
        assert taken < 20_000_000  # of the two, the one that takes nothing is gone
        while taken < 20_000_000:
            assert (more := len(steady.recv(1_000_000)))
            taken += more


def test_a_body_that_is_too_large_is_refused(odd: Serving) -> None:
    with odd.client() as client:
        assert client.post("/reads", content=b"x" * 1_000_000).json() == 1_000_000
        refused = client.post("/reads", content=iter([b"x" * 100_000] * 11))
        assert refused.status_code == 413 and refused.json()["code"] == "file_too_large"


def test_requests_under_way_come_to_their_end(odd: Serving) -> None:
    answers: dict[str, str] = {}

    def ask(path: str) -> None:
        with odd.client() as client:
            answers[path] = client.get(path).json()

    threads = [threading.Thread(target=ask, args=(path,)) for path in ("/takes-its-time?seconds=3", "/waits")]
    for thread in threads:
        thread.start()
    odd.until(lambda: len(odd.connections()) == 2, 120)
    time.sleep(0.5)
    assert odd.stop(signal.SIGTERM) == -signal.SIGTERM  # uvicorn ends by the signal once all is done
    for thread in threads:
        thread.join(60)
    assert answers == {"/takes-its-time?seconds=3": "done", "/waits": "ending"}
    odd.start()


def test_metrics(odd: Serving) -> None:
    uploaded = people.add(odd.db, "two@example.org")
    odd.db.execute(
        """INSERT INTO uploads (user_id, filename, status, failure_code, created_at)
           SELECT %s, 'a.mp4', 'failed', 'truncated', now() - n * interval '40 minutes' FROM generate_series(0, 3) n""",
        (uploaded,),
    )
    with odd.client(odd.key()) as client:
        for path in ("/v1/me", "/me", "/v1/nothing/there"):
            client.get(path)
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    figures = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in answer.text.splitlines() if line[0] != "#")}
    assert figures['reframer_http_requests_total{method="GET",route="/me",status="200"}'] == 2
    assert figures['reframer_http_requests_total{method="GET",route="none",status="404"}'] == 1
    assert figures['reframer_http_request_seconds_count{method="GET",route="/me"}'] == 2
    assert figures['reframer_failures_last_hour{code="truncated",of="upload"}'] == 2
    assert figures['reframer_videos_open{status="pending"}'] == figures['reframer_stage_results_last_hour{stage="masks"}'] == 0


def test_metrics_of_what_was_computed(storage: Storage) -> None:
    video_id, sha256 = add_video(storage)
    commit_all(storage, video_id, Maker(sha256, storage.settings))
    text = Metrics().text(storage.db).decode()
    (duration,) = storage.db.fetch("SELECT duration FROM videos")
    (took,) = storage.db.fetch("SELECT seconds FROM results WHERE stage = 'masks'")
    assert f"reframer_video_seconds_last_hour {duration['duration']}" in text
    assert 'reframer_stage_results_last_hour{stage="masks"} 1.0' in text
    assert f'reframer_stage_seconds_last_hour{{stage="masks"}} {took["seconds"]}' in text
