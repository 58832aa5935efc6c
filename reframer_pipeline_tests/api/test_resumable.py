"""Resumable uploads over HTTP (tus 1.0): they go on after a connection or the server broke off, and nobody else sees them."""

from __future__ import annotations

import base64
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from reframer_pipeline.failures import QuotaUsedUp, StoreUnavailable
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads import resumable
from reframer_pipeline.uploads.receiving import digest
from reframer_pipeline.uploads.submitting import Asked
from reframer_pipeline.users import keys
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.submitted import person, submitted

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
CONTENT = video_bytes() + bytes(3_000_000)


@pytest.fixture
def client(serving: Serving) -> Iterator[httpx2.Client]:
    with serving.client(serving.key("tus@example.org"), **TUS) as opened:
        yield opened


def begun(client: httpx2.Client, size: int = len(CONTENT), **said_of_it: str) -> str:
    said = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in said_of_it.items())
    made = client.post("/v1/uploads", headers={"Upload-Length": str(size), "Upload-Metadata": said})
    assert made.status_code == 201 and made.headers["tus-resumable"] == "1.0.0" and "GMT" in made.headers["upload-expires"], made.text
    assert made.headers.get("webhook-secret", "").startswith("whsec_") is ("webhook_url" in said_of_it)
    return str(made.headers["location"])


def patched(client: httpx2.Client, where: str, offset: int, content: bytes) -> httpx2.Response:
    return client.patch(where, headers={**BYTES, "Upload-Offset": str(offset)}, content=content)


def offset_of(client: httpx2.Client, where: str) -> int:
    answer = client.head(where)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


def half_sent(serving: Serving, client: httpx2.Client, where: str, offset: int, content: bytes) -> socket.socket:
    """A connection that has sent this of the rest, and stands still."""
    key = client.headers["x-api-key"]
    head = (
        f"PATCH {where} HTTP/1.1",
        "Host: localhost",
        f"X-API-Key: {key}",
        f"Upload-Offset: {offset}",
        f"Content-Length: {len(CONTENT) - offset}",
    )
    lines = "\r\n".join((*head, *(f"{name}: {value}" for name, value in BYTES.items()), "", ""))
    connection = socket.create_connection(("127.0.0.1", serving.port), timeout=120)
    connection.sendall(lines.encode() + content)
    path = serving.storage.settings.scratch_dir / f"resumable-{where.rpartition('/')[2]}.part"
    until = time.monotonic() + 240
    while path.stat().st_size < offset + len(content):
        assert time.monotonic() < until
        time.sleep(0.02)
    return connection


def test_an_upload_in_pieces_becomes_a_job(serving: Serving, client: httpx2.Client) -> None:
    options = client.options("/v1/uploads")
    assert options.status_code == 204 and options.headers["tus-extension"] == "creation,expiration,termination"
    assert options.headers["tus-max-size"] == "500000000"
    where = begun(client, filename="my clip.mp4", webhook_url="https://example.org/hook")
    assert offset_of(client, where) == 0
    assert patched(client, where, 0, CONTENT[:1000]).headers["upload-offset"] == "1000"
    wrong = patched(client, where, 999, CONTENT[999:])
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["tus-resumable"]) == (409, "offset_conflict", "1.0.0")
    assert offset_of(client, where) == 1000
    last = patched(client, where, 1000, CONTENT[1000:])
    assert last.status_code == 204 and last.headers["upload-offset"] == str(len(CONTENT))
    job = client.get(last.headers["content-location"]).json()
    assert job["job_id"] == where.rpartition("/")[2] and (job["status"], job["filename"]) == ("pending", "my clip.mp4")
    assert offset_of(client, where) == len(CONTENT)
    with serving.storage.store.open_object(next(serving.storage.store.list("videos"))) as stored:
        assert stored.read() == CONTENT
    assert serving.db.fetch("SELECT * FROM resumable_uploads") == []
    assert [row["url"] for row in serving.db.fetch("SELECT url FROM webhooks")] == ["https://example.org/hook"]


def test_it_goes_on_after_the_connection_and_after_the_server_broke_off(serving: Serving, client: httpx2.Client) -> None:
    where = begun(client)
    with half_sent(serving, client, where, 0, CONTENT[:1_000_000]):
        pass
    assert offset_of(client, where) == 1_000_000
    with half_sent(serving, client, where, 1_000_000, CONTENT[1_000_000:2_000_000]):
        serving.stop(signal.SIGKILL)
    serving.start()
    assert offset_of(client, where) == 2_000_000
    last = patched(client, where, 2_000_000, CONTENT[2_000_000:])
    assert client.get(last.headers["content-location"]).status_code == 200


def test_a_new_connection_takes_over_from_one_that_seems_alive(serving: Serving, client: httpx2.Client) -> None:
    where = begun(client)
    with half_sent(serving, client, where, 0, CONTENT[:100_000]):
        assert offset_of(client, where) == 100_000
        assert patched(client, where, 100_000, CONTENT[100_000:]).status_code == 204


def test_a_whole_upload_whose_server_was_killed_becomes_a_job(serving: Serving, client: httpx2.Client) -> None:
    where = begun(client)
    upload_id = where.rpartition("/")[2]
    serving.stop(signal.SIGKILL)
    path: Path = serving.storage.settings.scratch_dir / f"resumable-{upload_id}.part"
    path.write_bytes(CONTENT)  # the last bytes came, and then it died
    serving.start()
    until = time.monotonic() + 120
    while client.get(f"/v1/jobs/{upload_id}").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert offset_of(client, where) == len(CONTENT) and not path.exists()


def test_what_is_no_video_or_too_large_goes_at_once(serving: Serving, client: httpx2.Client) -> None:
    too_large = client.post("/v1/uploads", headers={"Upload-Length": "500000001"})
    assert (too_large.status_code, too_large.json()["code"]) == (413, "file_too_large")
    where = begun(client)
    assert patched(client, where, 0, CONTENT[:8]).status_code == 204  # too few to tell
    refused = patched(client, where, 8, b"heic" + bytes(100))
    assert (refused.status_code, refused.json()["code"]) == (415, "not_a_video")
    assert client.head(where).status_code == 404
    where = begun(client, size=100)
    assert patched(client, where, 0, CONTENT[:101]).status_code == 422 and offset_of(client, where) == 0
    assert client.delete(where).status_code == 204 and client.head(where).status_code == client.delete(where).status_code == 404
    assert not list(serving.storage.settings.scratch_dir.glob("resumable-*"))


def test_nobody_else_sees_it_and_it_expires(serving: Serving, client: httpx2.Client) -> None:
    where = begun(client)
    with serving.client(serving.key("other@example.org"), **TUS) as other:
        assert other.head(where).status_code == other.delete(where).status_code == patched(other, where, 0, CONTENT).status_code == 404
        assert other.head("/v1/uploads/..%2F..%2Fetc%2Fpasswd").status_code == 404
    assert offset_of(client, where) == 0
    serving.db.execute("UPDATE resumable_uploads SET expires_at = now()")
    assert client.head(where).status_code == 404
    assert resumable.sweep(serving.storage) == 1 and not list(serving.storage.settings.scratch_dir.glob("resumable-*"))


def test_what_is_too_short_to_be_told_is_no_job(client: httpx2.Client) -> None:
    where = begun(client, 5)
    last = patched(client, where, 0, CONTENT[:5])
    assert (last.status_code, last.json()["code"]) == (415, "not_a_video")
    assert client.head(where).status_code == 404


def test_nobody_else_breaks_a_transfer_off(serving: Serving, client: httpx2.Client) -> None:
    where = begun(client)
    with half_sent(serving, client, where, 0, CONTENT[:1000]) as sending, serving.client(serving.key("else@example.org"), **TUS) as other:
        assert [other.head(where).status_code, patched(other, where, 0, b"x").status_code, other.delete(where).status_code] == [404] * 3
        sending.sendall(CONTENT[1000:])
        assert sending.recv(100).startswith(b"HTTP/1.1 204")


def test_one_that_must_wait_keeps_no_other_one_waiting(storage: Storage) -> None:
    """Its key has as many jobs as it may."""
    limited = Storage(storage.settings.model_copy(update={"api_jobs_at_once": 1}))
    with closing(limited):
        waiting, free = (person(storage.db, name) for name in ("waiting@example.org", "free@example.org"))
        key = keys.holder(storage.db, keys.add(storage.db, waiting.user_id, "test", ["write"]), "key")
        assert key is not None
        ids = []
        for seed, who in ((91, replace(waiting, api_key_id=key.key_id)), (92, free)):
            upload = resumable.create(limited, who, "clip.mp4", len(video_bytes(seed)))
            with resumable.appending(limited, upload, 0) as appender:
                appender.write(video_bytes(seed))
            ids.append(upload.upload_id)
        submitted(limited, replace(waiting, api_key_id=key.key_id), 90)
        assert len(resumable.complete_all(limited)) == 1
        assert resumable.complete_all(limited) == []
        assert [row["id"] for row in storage.db.fetch("SELECT id::text FROM resumable_uploads")] == ids[:1]


def of_a_key(storage: Storage) -> Asked:
    asked = person(storage.db)
    key = keys.holder(storage.db, keys.add(storage.db, asked.user_id, "test", ["write"]), "key")
    assert key is not None
    return replace(asked, api_key_id=key.key_id)


def test_a_whole_upload_that_must_wait_is_read_once_at_most(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(resumable, "digest", lambda path: read.append(path) or digest(path))
    with closing(Storage(storage.settings.model_copy(update={"api_jobs_at_once": 1}))) as limited:
        asked = of_a_key(storage)
        upload = resumable.create(limited, asked, "clip.mp4", len(video_bytes(94)))
        with resumable.appending(limited, upload, 0) as appender:
            appender.write(video_bytes(94))
        submitted(limited, asked, 95)
        for _ in range(2):
            with pytest.raises(QuotaUsedUp, match="jobs at once"):
                resumable.complete(limited, upload)
        assert read == []
    with monkeypatch.context() as away:
        away.setattr(storage.store, "put", lambda *_: (_ for _ in ()).throw(StoreUnavailable("It is away.")))
        for _ in range(2):
            again = resumable.find(storage, asked.user_id, upload.upload_id)
            assert again is not None
            with pytest.raises(StoreUnavailable):
                resumable.complete(storage, again)
    assert len(resumable.complete_all(storage)) == 1 and len(read) == 1


@pytest.mark.parametrize(
    ("limit", "size", "said"),
    [
        ({"api_uploads_at_once": 1}, 10, "under way"),
        ({"api_jobs_at_once": 1}, 10, "jobs at once"),
        ({"api_upload_mb_per_day": 1}, 2_000_000, "a day"),
    ],
)
def test_what_cannot_be_is_said_before_the_first_byte(storage: Storage, limit: dict[str, int], size: int, said: str) -> None:
    with closing(Storage(storage.settings.model_copy(update=limit))) as limited:
        asked = of_a_key(storage)
        submitted(storage, asked, 96)
        resumable.create(storage, asked, "clip.mp4", 10)
        with pytest.raises(QuotaUsedUp, match=said):
            resumable.create(limited, asked, "clip.mp4", size)
        assert len(list(storage.settings.scratch_dir.glob("resumable-*"))) == 1
        resumable.create(limited, person(storage.db), "clip.mp4", 10)  # of no key


def test_what_has_become_a_job_is_no_upload_any_more_whenever_its_process_dies(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a video that is deleted afterwards would come back."""
    upload = resumable.create(storage, person(storage.db), "clip.mp4", len(video_bytes(93)))
    with resumable.appending(storage, upload, 0) as appender:
        appender.write(video_bytes(93))
    with monkeypatch.context() as dying:
        dying.setattr(resumable, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))  # after the job's transaction
        with pytest.raises(KeyboardInterrupt):
            resumable.complete(storage, upload)
    assert len(storage.db.fetch("SELECT 1 FROM uploads WHERE requested")) == 1
    assert upload.path.exists() and resumable.complete_all(storage) == []


def test_another_protocol_is_refused(client: httpx2.Client) -> None:
    answer = client.post("/v1/uploads", headers={"Tus-Resumable": "0.2.2", "Upload-Length": "100"})
    assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")
    assert client.post("/v1/uploads", headers={"Upload-Length": "100", "Upload-Metadata": "filename !"}).status_code == 422
    assert client.post("/v1/uploads").status_code == 422
    private = base64.b64encode(b"http://127.0.0.1/").decode()
    bad = client.post("/v1/uploads", headers={"Upload-Length": "100", "Upload-Metadata": f"webhook_url {private}"})
    assert bad.json()["code"] == "webhook_refused"
    assert client.patch(begun(client), headers={"Upload-Offset": "0"}, content=b"x").status_code == 422
