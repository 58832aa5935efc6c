"""Jobs over HTTP: submitted, refused at the byte that decides it, watched to their end."""

from __future__ import annotations

import base64
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from reframer_pipeline.failures import DamagedVideo, InternalError
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import jobs, status
from reframer_pipeline_tests.api.library import forged
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.factories import Maker, commit_all, start_job, video_bytes
from reframer_pipeline_tests.machine import small_disk
from reframer_pipeline_tests.servers import Server, fresh_database

BOUNDARY = "limit"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(content: bytes, filename: str = "clip.mp4", **fields: str) -> dict[str, object]:
    """A form with a file, for a client."""
    return {"files": {"file": (filename, content)}, "data": fields}


def begun(serving: Serving, key: str, announced: int | None = None, content: bytes = b"") -> socket.socket:
    """The head of a request and the beginning of its form, on a connection that stays open."""
    length = "Transfer-Encoding: chunked" if announced is None else f"Content-Length: {announced}"
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename=clip.mp4\r\n\r\n".encode() + content
    if announced is None:
        head = f"{len(head):x}\r\n".encode() + head + b"\r\n"
    connection = socket.create_connection(("127.0.0.1", serving.port), timeout=120)
    lines = ("POST /jobs HTTP/1.1", "Host: localhost", f"X-API-Key: {key}", f"Content-Type: {FORM}", length, "", "")
    connection.sendall("\r\n".join(lines).encode() + head)
    return connection


def answered(connection: socket.socket) -> tuple[int, str]:
    """Status and failure code of the answer, which may come before the request is whole."""
    said = b""
    while b"}" not in said:
        piece = connection.recv(65536)
        assert piece, said
        said += piece
    return int(said.split()[1]), json.loads(said[said.index(b"{") :])["code"]


def left(serving: Serving) -> list[Path]:
    folder = serving.storage.settings.scratch_dir
    return list(folder.iterdir()) if folder.is_dir() else []


def nothing_is_left(serving: Serving) -> None:
    until = time.monotonic() + 120
    while left(serving):
        assert time.monotonic() < until, left(serving)
        time.sleep(0.05)


@pytest.fixture
def client(serving: Serving) -> Iterator[httpx2.Client]:
    with serving.client(serving.key()) as opened:
        yield opened


def test_a_job_is_accepted_and_looked_at(serving: Serving, client: httpx2.Client) -> None:
    answer = client.post("/v1/jobs", **form(video_bytes(1), "C:\\films\\my clip.mp4"))  # type: ignore[arg-type]
    made = answer.json()
    assert answer.status_code == 202 and answer.headers["location"] == f"/v1/jobs/{made['job_id']}"
    job = client.get(answer.headers["location"]).json()
    assert (job["status"], job["filename"], job["progress"], job["place_in_queue"]) == ("pending", "my clip.mp4", 0.0, 1)
    assert job["video_id"] == made["video_id"] and job["failure"] is None
    assert client.get("/jobs").json()["jobs"][0]["job_id"] == made["job_id"]
    with serving.client(serving.key("other@example.org")) as other:
        assert other.get(f"/jobs/{made['job_id']}").status_code == 404 and other.get("/jobs").json() == {"jobs": [], "next": None}
        assert other.get(f"/jobs/{made['job_id']}/events").status_code == 404
    with serving.client(serving.key(scopes=("read",))) as reader:
        assert reader.post("/jobs", **form(video_bytes(2))).json()["code"] == "not_allowed"  # type: ignore[arg-type]
    nothing_is_left(serving)


def test_a_list_of_jobs_has_pages(serving: Serving) -> None:
    with serving.client(serving.key("pages@example.org")) as client:
        made = [client.post("/jobs", **form(video_bytes(n))).json()["job_id"] for n in range(3)]  # type: ignore[arg-type]
        first = client.get("/jobs", params={"limit": 2}).json()
        second = client.get("/jobs", params={"limit": 2, "cursor": first["next"]}).json()
        assert [job["job_id"] for job in first["jobs"] + second["jobs"]] == made[::-1] and second["next"] is None
        for cursor in (
            forged("/jobs", b'["x", "y"]'),
            "nonsense",
            base64.b64encode(b'["2026-01-01", "x"]').decode(),
            base64.b64encode(b"1").decode(),
        ):
            assert client.get("/jobs", params={"cursor": cursor}).status_code == 422


def test_a_repeated_request_is_one_job(serving: Serving, client: httpx2.Client) -> None:
    key = {"Idempotency-Key": "again"}
    first = client.post("/jobs", headers=key, **form(video_bytes(3)))  # type: ignore[arg-type]
    again = client.post("/jobs", headers=key, **form(video_bytes(3)))  # type: ignore[arg-type]
    assert (again.status_code, again.json()) == (202, first.json())
    other = client.post("/jobs", headers=key, **form(video_bytes(4)))  # type: ignore[arg-type]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_the_byte_that_decides_is_enough(serving: Serving) -> None:
    key = serving.key()
    for content, expected in ((b"<html>nothing", (415, "not_a_video")), (b"GIF89a" + bytes(6), (415, "not_a_video"))):
        with begun(serving, key, 400_000_000, content) as connection:
            assert answered(connection) == expected
    with begun(serving, key, 502_000_000) as connection:
        assert answered(connection) == (413, "file_too_large")
    nothing_is_left(serving)


def test_the_first_byte_too_many_is_enough(embedded_server: Server, tmp_path: Path) -> None:
    for url in fresh_database(embedded_server):
        with (
            open_storage(Settings(home=tmp_path / "home", database_url=url)) as storage,
            Serving(storage, REFRAMER_MAX_UPLOAD_MB="1") as serving,
        ):
            key = serving.key()
            with begun(serving, key, content=video_bytes()) as connection:
                rest = 1_000_000 - len(video_bytes())
                connection.sendall(f"{rest:x}\r\n".encode() + bytes(rest) + b"\r\n")
                connection.settimeout(1)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
                connection.settimeout(20)
                connection.sendall(b"3\r\n!!!\r\n")
                assert answered(connection) == (413, "file_too_large")
            nothing_is_left(serving)


def test_a_webhook_before_the_file_is_judged_before_its_bytes(serving: Serving) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=120) as connection:
        lines = ("POST /jobs HTTP/1.1", "Host: localhost", f"X-API-Key: {serving.key()}", f"Content-Type: {FORM}",
                 "Content-Length: 400000000", "", "")  # fmt: skip
        connection.sendall("\r\n".join(lines).encode() + part(b"http://10.0.0.1/", "name=webhook_url") + b"\r\n" + FILE)
        assert answered(connection) == (422, "webhook_refused")
    nothing_is_left(serving)


def test_a_full_disk_is_said_so(embedded_server: Server, tmp_path: Path) -> None:
    for url in fresh_database(embedded_server):
        settings = Settings(home=tmp_path / "home", database_url=url)
        with open_storage(settings) as storage, Serving(storage) as serving, small_disk(settings.scratch_dir):
            with serving.client(serving.key()) as client:
                answer = client.post("/jobs", **form(video_bytes() + bytes(1_000_000)))  # type: ignore[arg-type]
            assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
            nothing_is_left(serving)
            assert storage.db.fetch("SELECT * FROM uploads") == []


def part(content: bytes, *attributes: str) -> bytes:
    head = "; ".join(("form-data", *attributes))
    return f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n".encode() + content


END = f"\r\n--{BOUNDARY}--\r\n".encode()
FILE = part(video_bytes(), "name=file", "filename=a.mp4")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"x"),
        ("multipart/form-data", b"x"),
        (FORM, b"no form"),
        (FORM, END.lstrip()),
        (FORM, part(b"b", "name=a") + END),
        (FORM, part(b"b", "name=a") + b"\r\n" + FILE + END),
        (FORM, FILE),
        (FORM, FILE + b"\r\n" + FILE + END),
        (FORM, part(video_bytes(), "name=video", "filename=a.mp4") + END),
        (FORM, part(bytes(20_000), "name=webhook_url")),
        (FORM, b"\r\n".join([part(b"", "name=webhook_url")] * 9) + b"\r\n" + FILE + END),
        ("application/json", b"{}"),
        ("application/json", b"[" * 10_000),
        ("application/json", b'"' + bytes(100_000)),
    ],
)
def test_what_is_no_form_is_refused(serving: Serving, client: httpx2.Client, content_type: str, body: bytes) -> None:
    answer = client.post("/jobs", headers={"Content-Type": content_type}, content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    nothing_is_left(serving)


def test_a_file_of_the_bucket_by_its_key(serving: Serving, client: httpx2.Client) -> None:
    folder = Path(serving.storage.settings.bucket_url)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clip.mp4").write_bytes(video_bytes(5))
    made = client.post("/jobs", json={"bucket_key": "clip.mp4"})
    assert made.status_code == 202 and client.get(made.headers["location"]).json()["filename"] == "clip.mp4"
    assert client.post("/jobs", json={"bucket_key": "../home.mp4"}).json()["code"] == "file_not_readable"
    with serving.client(serving.key(scopes=("read", "write"))) as writer:
        assert writer.post("/jobs", json={"bucket_key": "clip.mp4"}).status_code == 403


def test_what_breaks_off_leaves_nothing(serving: Serving) -> None:
    key = serving.key("breaks@example.org")
    with begun(serving, key, 1_000_000, video_bytes(6)):
        while not left(serving):
            time.sleep(0.01)
    nothing_is_left(serving)
    with begun(serving, key, 1_000_000, video_bytes(6)):
        while not left(serving):
            time.sleep(0.01)
        serving.stop(signal.SIGKILL)
    assert left(serving)
    serving.start()
    nothing_is_left(serving)
    with serving.client(key) as client:
        assert client.get("/jobs").json()["jobs"] == []


def test_waiting_for_the_end(serving: Serving, client: httpx2.Client) -> None:
    made = client.post("/jobs", **form(video_bytes(7))).json()  # type: ignore[arg-type]
    began = time.monotonic()
    assert client.get(f"/jobs/{made['job_id']}", params={"wait": 1}).json()["status"] == "pending" and time.monotonic() - began >= 1
    maker = Maker(serving.db.fetch("SELECT sha256 FROM videos WHERE id = %s", (made["video_id"],))[0]["sha256"], serving.storage.settings)
    ending = threading.Timer(1, lambda: commit_all(serving.storage, made["video_id"], maker))
    ending.start()
    assert client.get(f"/jobs/{made['job_id']}", params={"wait": 20}).json()["status"] == "completed"
    ending.join()


def test_events_go_on_where_they_ended_also_after_a_restart(serving: Serving, client: httpx2.Client) -> None:
    made = client.post("/jobs", **form(video_bytes(8))).json()  # type: ignore[arg-type]
    where = f"/v1/jobs/{made['job_id']}/events"

    def first_event(last: str | None = None) -> tuple[str, str]:
        with client.stream("GET", where, headers={"Last-Event-ID": last} if last else {}) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            mark = next(line.removeprefix("id: ") for line in lines if line.startswith("id: "))
            return mark, next(json.loads(line.removeprefix("data: "))["status"] for line in lines if line.startswith("data: "))

    mark, state = first_event()
    assert state == "pending"
    serving.stop(signal.SIGKILL)
    run = start_job(serving.db, made["video_id"], "run", stage="masks")
    serving.start()
    second, state = first_event(mark)
    assert state == "processing" and second != mark
    jobs.progress(serving.db, run, "masks", 1, 2)
    third, state = first_event(second)
    assert third not in (mark, second) and state == "processing"
    jobs.fail(serving.db, made["video_id"], "run", DamagedVideo("It is damaged."))
    status.fail(serving.db, made["video_id"], DamagedVideo("It is damaged."))
    with client.stream("GET", where, headers={"Last-Event-ID": third}) as stream:
        told = "".join(stream.iter_text())  # it ends by itself
    assert told.count("event: ") == 1 and "event: failed" in told and '"code":"damaged"' in told
    last = told.split("id: ")[1].split()[0]
    assert client.get(where, headers={"Last-Event-ID": last}).status_code == 204


def test_what_is_wrong_with_the_server_is_told_by_its_kind_alone(serving: Serving) -> None:
    with serving.client(serving.key("canary@example.org")) as client:
        for failure, shown in ((InternalError("OSError: /srv/canary/x"), False), (DamagedVideo("Picture 7 is a canary."), True)):
            made = client.post("/jobs", files={"file": ("clip.mp4", video_bytes(7_700 + shown))}).json()
            status.fail(serving.db, made["video_id"], failure)
            job, video = f"/jobs/{made['job_id']}", f"/videos/{made['video_id']}"
            said = client.get(job).json()["failure"]
            assert (said["code"], said["remedy"]) == (failure.code, failure.remedy)
            for answer in map(client.get, (job, "/jobs", f"{job}/events", video, "/videos")):
                assert answer.is_success and ("canary" in answer.text) is shown
            client.delete(video)
