"""What one client may hold: long requests, looks at jobs, and the database's connections."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import psycopg
import pytest

from reframer_pipeline.api.application import CONNECTIONS
from reframer_pipeline.api.following import POLL_S, Following
from reframer_pipeline.api.services import CONNECTION_S, STATEMENT_S
from reframer_pipeline.failures import NothingThere
from reframer_pipeline.scratch import made
from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.factories import add_video, video_bytes
from reframer_pipeline_tests.servers import Server

ONE = "one@example.org"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server that lets a key hold two long requests open, and as many uploads."""
    yield from started(tmp_path_factory.mktemp("narrow"), embedded_server, REFRAMER_API_OPEN_REQUESTS="2", REFRAMER_API_UPLOADS_AT_ONCE="2")


def test_a_key_holds_so_many_long_requests_open(narrow: Serving) -> None:
    job = claim(narrow.db, ONE, add_video(narrow.storage)[0], "clip.mp4")
    with narrow.client(narrow.key(ONE)) as client, narrow.client(narrow.key(ONE)) as other, ExitStack() as streams:

        def held() -> bool:
            return client.get(f"/jobs/{job}", params={"wait": 0.1}).status_code == 429

        for _ in range(2):
            stream = streams.enter_context(client.stream("GET", f"/jobs/{job}/events"))
        for path in (
            f"/jobs/{job}?wait=30",
            f"/jobs/{job}/events",
            f"/jobs/{job}/result",
            "/export?format=coco&video_id=x",
            "/videos/x/sheet.jpg",
        ):
            refused = client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open") and int(refused.headers["Retry-After"]) > 0
        assert client.get(f"/jobs/{job}").is_success and other.get(f"/jobs/{job}", params={"wait": 0.1}).is_success
        stream.close()
        narrow.until(lambda: not held(), 120)
        with client.stream("GET", f"/jobs/{job}/events") as again:
            assert again.is_success and held()
        narrow.until(lambda: not held(), 120)
        assert client.get("/videos/x/sheet.jpg").status_code == 404 and not held()  # what fails gives its place back


def test_so_many_uploads_of_a_key_come_at_a_time(narrow: Serving) -> None:
    """A form and a resumable upload; a connection that goes on with that one takes over from the first, and is none more."""
    key, content = narrow.key(ONE), video_bytes() + bytes(200)
    tus = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}

    def sending(content: bytes, method: str, path: str, **headers: str) -> socket.socket:
        """A connection that stands still after the beginning of its body."""
        said = {"Host": "localhost", "X-API-Key": key, "Content-Length": "100000", **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
        connection = streams.enter_context(socket.create_connection(("127.0.0.1", narrow.port), timeout=20))
        connection.sendall("\r\n".join(lines).encode() + content)
        return connection

    def has_come(name: str, size: int) -> None:
        narrow.until(lambda: any(one.stat().st_size == size for one in narrow.storage.settings.scratch_dir.glob(name)), 120)

    with narrow.client(key) as client, narrow.client(narrow.key(ONE)) as other, ExitStack() as streams:

        def submit(client: httpx2.Client) -> httpx2.Response:
            return client.post("/jobs", files={"file": ("clip.mp4", video_bytes())})

        where = client.post("/uploads", headers={**tus, "Upload-Length": "100000"}).headers["location"]
        first = sending(content[:100], "PATCH", where, **tus, **{"Upload-Offset": "0"})
        has_come("resumable-*.part", 100)
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="clip.mp4"\r\n\r\n' + content[:100]
        form = sending(part, "POST", "/jobs", **{"Content-Type": "multipart/form-data; boundary=x"})
        has_come("received-*.part", 0)  # it is open
        sending(content[100:200], "PATCH", where, **tus, **{"Upload-Offset": "100"})
        assert b" 423 " in first.recv(1000).splitlines()[0]
        has_come("resumable-*.part", 200)  # the other one has its place
        refused = submit(client)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open") and int(refused.headers["Retry-After"]) > 0
        assert submit(other).status_code == 202
        form.close()
        narrow.until(lambda: submit(client).status_code == 202, 120)


def test_one_look_serves_all_who_follow_a_job() -> None:
    looks: list[float] = []

    def look() -> Any:
        looks.append(time.monotonic())
        if len(looks) == 3:
            raise NothingThere("It was deleted.")
        return len(looks)

    async def follow(following: Following) -> list[int]:
        seen = []
        try:
            while True:
                seen.append(await following.next("user", "job", look))
        except NothingThere:
            return seen  # type: ignore[return-value]

    async def all_of_them() -> list[list[int]]:
        following = Following()
        gone = asyncio.create_task(follow(following))  # the first, which began the look
        rest = [asyncio.create_task(follow(following)) for _ in range(50)]
        await asyncio.sleep(POLL_S / 2)
        gone.cancel()
        return await asyncio.gather(*rest)

    assert asyncio.run(all_of_them()) == [[1, 2]] * 50
    assert all(after - before >= POLL_S for before, after in zip(looks, looks[1:], strict=False)) and len(looks) == 3


def test_nobody_keeps_the_connections_for_long(narrow: Serving) -> None:
    """A table is locked, so that every list of videos takes as long as it may: as many as there are connections, and one more."""
    secret = narrow.storage.settings.database_url
    assert secret is not None
    told: list[tuple[int, str, float, str]] = []

    with narrow.client(narrow.key(ONE)) as client, psycopg.connect(secret.get_secret_value()) as holder:
        assert client.get("/videos").is_success
        holder.execute("LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE")

        def ask() -> None:
            began = time.monotonic()
            answer = client.get("/videos")
            told.append((answer.status_code, answer.json()["code"], time.monotonic() - began, answer.json()["remedy"]))

        asking = [threading.Thread(target=ask) for _ in range(CONNECTIONS + 1)]
        for one in asking:
            one.start()
        assert client.get("/healthz").is_success
        for one in asking:
            one.join()
        holder.rollback()
        assert client.get("/videos").is_success
    slow = [one for one in told if one[:2] == (503, "database_too_slow")]
    refused = [one for one in told if one[:2] == (503, "database_unavailable")]  # more than one where connections open slowly
    assert slow and refused and len(slow) + len(refused) == CONNECTIONS + 1
    assert min(one[2] for one in refused) < STATEMENT_S and CONNECTION_S < STATEMENT_S
    assert all("a smaller page" in one[3] for one in slow)


def test_the_scratch_folder_is_swept_by_the_server_alone(narrow: Serving) -> None:
    old = made(narrow.storage.settings.scratch_dir) / "drawn-old.mp4"
    old.touch()
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    narrow.stop()
    narrow.start()
    narrow.until(lambda: not old.exists(), 120)
