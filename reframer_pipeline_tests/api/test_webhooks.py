"""Webhooks: signed, tried again, told once for each end, and never to an address that the sender may not have meant."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook

from reframer_pipeline.api import outbound, webhooks
from reframer_pipeline.api.application import create_app
from reframer_pipeline.failures import DamagedVideo, WebhookRefused
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import status
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.factories import Maker, commit_all, video_bytes
from reframer_pipeline_tests.servers import Server
from reframer_pipeline_tests.submitted import person, submitted

Told = tuple[dict[str, str], str]


@contextmanager
def receiver(*answers: int, held: threading.Event | None = None) -> Iterator[tuple[str, list[Told]]]:
    """A server that answers with these statuses, the last one for ever; what it was told. It keeps whoever asks for /held waiting."""
    told: list[Told] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            told.append(({name.lower(): value for name, value in self.headers.items()}, body))
            if held is not None and self.path == "/held":
                held.wait(120)
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook?a=b", told
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def serving(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    yield from started(tmp_path_factory.mktemp("serving"), embedded_server, REFRAMER_WEBHOOK_PRIVATE="true")


def completed(storage: Storage, video_id: str, seed: int) -> None:
    commit_all(storage, video_id, Maker(hashlib.sha256(video_bytes(seed)).hexdigest(), storage.settings))


def test_it_is_told_signed_and_again_until_it_is_heard_also_after_a_kill(serving: Serving) -> None:
    with receiver(500, 204) as (url, told), serving.client(serving.key()) as client:
        made = client.post("/jobs", files={"file": ("clip.mp4", video_bytes())}, data={"webhook_url": url}).json()
        completed(serving.storage, made["video_id"], 0)
        serving.until(lambda: serving.db.fetch("SELECT 1 FROM webhooks WHERE attempts = 1"), 50)  # else it is tried after a minute
        assert len(told) == 1
        serving.stop(signal.SIGKILL)
        serving.start()
        serving.until(lambda: len(told) == 2, 120)
        serving.until(lambda: serving.db.fetch("SELECT 1 FROM webhooks WHERE told = 'completed' AND trouble IS NULL"), 120)
    (first, body), (second, again) = told
    assert first["webhook-id"] == second["webhook-id"] and json.loads(body)["type"] == json.loads(again)["type"] == "job.completed"
    assert made["webhook_secret"].startswith("whsec_")
    said = Webhook(made["webhook_secret"]).verify(again, second)
    assert (said["data"]["job_id"], said["data"]["status"], said["data"]["progress"]) == (made["job_id"], "completed", 1.0)


@pytest.fixture
def storage(storage: Storage) -> Storage:
    """With settings that let webhooks lead to this machine."""
    storage.settings = storage.settings.model_copy(update={"webhook_private": True})
    return storage


def told_by(storage: Storage, private: bool = True) -> int:
    services = create_app(storage.settings.model_copy(update={"webhook_private": private})).state.services
    try:
        return webhooks.tell_due(services)
    finally:
        services.storage.close()


def test_each_end_is_told_once_however_many_servers_there_are(storage: Storage) -> None:
    with receiver(200) as (url, told):
        jobs = [submitted(storage, person(storage.db, webhook_url=url), seed) for seed in range(20)]
        assert told_by(storage) == 0 and told == []  # nothing has ended
        for job in jobs:
            status.fail(storage.db, job.video_id, DamagedVideo("It is damaged."))
        with ThreadPoolExecutor(3) as servers:
            assert sum(servers.map(lambda _: told_by(storage), range(3))) == len(told) == 20
        assert {json.loads(body)["type"] for _, body in told} == {"job.failed"}
        storage.db.execute("UPDATE webhooks SET next_try_at = now()")
        assert told_by(storage) == 0
        completed(storage, jobs[0].video_id, 0)
        assert told_by(storage) == 1 and json.loads(told[-1][1])["type"] == "job.completed" and told_by(storage) == 0
        assert len({headers["webhook-id"] for headers, _ in told}) == 21


def next_tries(storage: Storage) -> list[str]:
    return [row["at"] for row in storage.db.fetch("SELECT next_try_at::text AS at FROM webhooks")]


def test_a_job_is_not_looked_at_again_before_its_end_and_one_that_failed_before_its_next(storage: Storage) -> None:
    with receiver(200) as (url, told):
        job = submitted(storage, person(storage.db, webhook_url=url))
        assert told_by(storage) == 0 and next_tries(storage) == ["infinity"]
        status.fail(storage.db, job.video_id, DamagedVideo("It is damaged."))
        assert told_by(storage) == 1 and next_tries(storage) == ["infinity"]
        completed(storage, job.video_id, 0)
        assert told_by(storage) == 1 and next_tries(storage) == ["infinity"]
    assert [json.loads(body)["type"] for _, body in told] == ["job.failed", "job.completed"]


def test_an_end_while_another_one_is_told_is_told_too(storage: Storage) -> None:
    held = threading.Event()
    with receiver(200, held=held) as (url, told), ThreadPoolExecutor(1) as beside:
        job = submitted(storage, person(storage.db, webhook_url=url.replace("/hook?a=b", "/held")))
        status.fail(storage.db, job.video_id, DamagedVideo("It is damaged."))
        telling = beside.submit(told_by, storage)
        until(lambda: told)
        completed(storage, job.video_id, 0)
        held.set()
        assert telling.result() + told_by(storage) == 2
    assert [json.loads(body)["type"] for _, body in told] == ["job.failed", "job.completed"]


def test_who_brings_again_what_is_computed_is_told_at_once(storage: Storage) -> None:
    with receiver(200) as (url, told):
        completed(storage, submitted(storage, person(storage.db)).video_id, 0)
        again = submitted(storage, person(storage.db, webhook_url=url))
        assert told_by(storage) == 1
    assert json.loads(told[0][1])["data"]["job_id"] == again.job_id


def test_a_slow_receiver_keeps_nobody_else_waiting(storage: Storage) -> None:
    held, others = threading.Event(), 2 * webhooks.AT_ONCE
    with receiver(200, held=held) as (url, told), ThreadPoolExecutor(1) as beside:
        for seed in range(others + 1):
            where = url if seed else url.replace("/hook?a=b", "/held")
            status.fail(
                storage.db, submitted(storage, person(storage.db, webhook_url=where), seed).video_id, DamagedVideo("It is damaged.")
            )
        telling = beside.submit(told_by, storage)
        try:
            until(lambda: storage.db.fetch_one("SELECT count(*) AS told FROM webhooks WHERE told IS NOT NULL") == {"told": others})
            late = submitted(storage, person(storage.db, webhook_url=url), others + 1)
            status.fail(storage.db, late.video_id, DamagedVideo("It is damaged."))
            until(lambda: any(json.loads(body)["data"]["job_id"] == late.job_id for _, body in told))
            assert not telling.done()
        finally:
            held.set()
        assert telling.result() == others + 2


def test_a_person_whose_receivers_are_all_slow_keeps_nobody_else_waiting(storage: Storage) -> None:
    held, slow = threading.Event(), webhooks.AT_ONCE + 2
    with receiver(200, held=held) as (url, told), ThreadPoolExecutor(1) as beside:
        for seed in range(slow + 1):
            email, where = ("bob@example.org", url) if seed == slow else ("ann@example.org", url.replace("/hook?a=b", "/held"))
            job = submitted(storage, person(storage.db, email, webhook_url=where), seed)
            status.fail(storage.db, job.video_id, DamagedVideo("It is damaged."))
        telling = beside.submit(told_by, storage)
        try:
            until(lambda: any(json.loads(body)["data"]["job_id"] == job.job_id for _, body in told))
            assert len(told) <= 1 + webhooks.OF_A_PERSON and not telling.done()
        finally:
            held.set()
        assert telling.result() == slow + 1


def until(so: Callable[[], object]) -> None:
    """Within less time than a receiver is waited for."""
    end = time.monotonic() + outbound.SILENCE_S - 2
    while not so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_nobody_is_told_for_ever_and_no_redirect_is_followed(storage: Storage) -> None:
    with receiver(302) as (url, told):
        job = submitted(storage, person(storage.db, webhook_url=url))
        completed(storage, job.video_id, 0)
        for number in range(webhooks.TRIES):
            assert told_by(storage) == 0 and len(told) == number + 1
            storage.db.execute("UPDATE webhooks SET next_try_at = now() WHERE told IS NULL")
        assert told_by(storage) == 0 and len(told) == webhooks.TRIES
        assert {headers["host"] for headers, _ in told} and storage.db.fetch("SELECT told, trouble FROM webhooks") == [
            {"told": "completed", "trouble": "it answered 302"}
        ]


def test_private_addresses_are_not_told(storage: Storage) -> None:
    with receiver(200) as (url, told):
        job = submitted(storage, person(storage.db, webhook_url=url))
        named = submitted(storage, person(storage.db, webhook_url=url.replace("127.0.0.1", "localhost.localdomain")), 1)
        for seed, one in enumerate((job, named)):
            completed(storage, one.video_id, seed)
        assert told_by(storage, private=False) == 0 and told == []
    assert any("no public address" in row["trouble"] for row in storage.db.fetch("SELECT trouble FROM webhooks"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/", "example.org", "http://", "http://u:p@example.org/", "http://example.org:99999/", "http://[::1", "http://a\nb/",
        "http://127.0.0.1/", "http://10.1.2.3/", "http://192.168.1.1:8080/x", "http://169.254.169.254/latest/meta-data", "http://0.0.0.0/",
        "http://[::1]/", "http://[fe80::1]/", "http://[fd00::1]/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/", "http://[fec0::1]/", "http://[64:ff9b:1::7f00:1]/", "http://[::127.0.0.1]/",
        "http://localhost:8000/", "http://a.localhost/", "http://224.0.0.1/",
    ],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(WebhookRefused):
        outbound.demand_url(url, private=False)


def test_urls_that_are_accepted() -> None:
    for url in ("https://example.org/hook?x=1", "http://8.8.8.8/", "https://[2606:4700::1]:8443/"):
        outbound.demand_url(url, private=False)
    outbound.demand_url("http://127.0.0.1:9/", private=True)


def test_a_job_with_a_bad_webhook_is_refused(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> None:
    for serving in started(tmp_path_factory.mktemp("public"), embedded_server):
        with serving.client(serving.key()) as client:
            answer = client.post("/jobs", files={"file": ("clip.mp4", video_bytes())}, data={"webhook_url": "http://127.0.0.1/"})
        assert (answer.status_code, answer.json()["code"]) == (422, "webhook_refused")
        assert serving.db.fetch("SELECT 1 FROM uploads") == []
