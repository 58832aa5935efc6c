"""The uploaded file with ranges of its bytes, what a player is told of it, and when each frame is shown."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message

from reframer_pipeline.api import ranges
from reframer_pipeline.media.boxes import read_boxes
from reframer_pipeline.media.codecs import media_type
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline_tests.api.filmed import film, numbered, shown_times
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.support import media_dir

ONE = "one@example.org"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of variable rate that begins at 0.48 s."""
    return numbered(tmp_path_factory.mktemp("films") / "späte clip.mp4", "-vf", "setpts=PTS+0.5/TB", times="(N+0.4*mod(N,3))/25/TB")


@pytest.fixture(scope="module")
def video_id(serving: Serving, clip: Path) -> str:
    return film(serving.storage, clip, ONE)


@pytest.fixture(scope="module")
def client(serving: Serving, video_id: str) -> httpx2.Client:
    made = serving.client(serving.key(ONE))
    made.base_url = f"{serving.url}/v1/videos/{video_id}/"
    return made


def test_times_of_all_frames_and_those_that_were_looked_at(client: httpx2.Client, serving: Serving, clip: Path) -> None:
    answer = client.get("times")
    shown = shown_times(clip)
    said = answer.json()
    assert said["seconds"] == pytest.approx([time - shown[0] for time in shown], abs=1e-6)
    assert said["sampled"] == list(range(0, len(shown), serving.storage.settings.vid_stride))
    assert client.get("times", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_a_player_is_told_type_and_beginning(client: httpx2.Client, video_id: str, clip: Path) -> None:
    said = client.get("film").json()
    assert said["type"].startswith('video/mp4; codecs="avc1.64')
    assert said["start_seconds"] == pytest.approx(shown_times(clip)[0], abs=1e-6) == pytest.approx(0.5, abs=0.002)
    assert said["original"] == f"/v1/videos/{video_id}/original"


def test_the_original_whole_and_in_parts(client: httpx2.Client, clip: Path) -> None:
    content = clip.read_bytes()
    whole = client.get("original")
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, content, "video/mp4")
    assert whole.headers["Accept-Ranges"] == "bytes" and whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Content-Disposition"] == "inline; filename*=UTF-8''sp%C3%A4te%20clip.mp4"
    size, etag = len(content), whole.headers["ETag"]
    parts = {"bytes=0-0": (0, 1), "bytes=100-": (100, size), "bytes=-7": (size - 7, size), f"bytes=5-{10**17}": (5, size)}
    for asked, (first, end) in parts.items():
        answer = client.get("original", headers={"Range": asked, "If-Range": etag})
        assert (answer.status_code, answer.content) == (206, content[first:end]), asked
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{size}"
    for beyond in (f"bytes={size}-", "bytes=-0"):
        answer = client.get("original", headers={"Range": beyond})
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}"), beyond
        assert (answer.headers["content-type"], answer.json()["code"]) == ("application/problem+json", "range_beyond_end")
    for other in ({"Range": "bytes=0-1", "If-Range": '"another"'}, {"Range": "bytes=0-1,5-6"}, {"Range": "bytes=9-5"}, {"Range": "x"}):
        assert client.get("original", headers=other).status_code == 200, other
    assert client.get("original", headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize("route", ["original", "times", "result", "export?format=csv", "frames/0.jpg", "nothing", "frames/999999.jpg"])
def test_head_is_get_without_its_body(client: httpx2.Client, route: str) -> None:
    got, head = client.get(route), client.head(route)
    varying = {"date", "x-request-id", "ratelimit"}
    assert head.status_code == got.status_code and head.content == b""
    assert {k: v for k, v in head.headers.items() if k not in varying} == {k: v for k, v in got.headers.items() if k not in varying}


@pytest.mark.parametrize("route", ["film", "original", "times"])
def test_nobody_else_sees_it(serving: Serving, video_id: str, route: str) -> None:
    with serving.client(serving.key("other@example.org")) as other:
        assert other.get(f"/videos/{video_id}/{route}").json()["code"] == "nothing_there"


def test_an_object_of_any_store_is_sent_piece_by_piece(tmp_path: Path) -> None:
    store, content = ObjectStore("memory://ranges"), bytes(range(256)) * 4096
    (tmp_path / "source").write_bytes(content)
    store.put(tmp_path / "source", "videos/aa/x")

    async def asked(value: bytes) -> list[bytes]:
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"range", value)]}
        answer = ranges.sent(Request(scope), lambda: store.open_object("videos/aa/x"), "x", "video/mp4")
        return [piece async for piece in answer.body_iterator]  # type: ignore[attr-defined]

    pieces = asyncio.run(asked(b"bytes=1000-900000"))
    assert b"".join(pieces) == content[1000:900_001]
    assert max(map(len, pieces)) == ranges.PIECE


@pytest.mark.parametrize("asked", [b"", b"bytes=3-"])
def test_a_client_that_goes_before_the_first_byte_leaves_no_file_open(tmp_path: Path, asked: bytes) -> None:
    path = tmp_path / "film"
    path.write_bytes(bytes(1_000_000))
    opened = []

    def open_it() -> BinaryIO:
        opened.append(path.open("rb"))
        return opened[-1]

    async def gone(message: Message) -> None:
        raise OSError

    async def nothing() -> Message:
        return await asyncio.Future()

    async def ask() -> None:
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"range", asked)]}
        scope["asgi"] = {"spec_version": "2.4"}  # as uvicorn says
        answers.append(ranges.sent(Request(scope), open_it, "x", "video/mp4"))
        await answers[0](scope, nothing, gone)

    answers: list[Response] = []  # still known afterwards, so it is not the garbage collector that closes the file
    with pytest.raises(ClientDisconnect):
        asyncio.run(ask())
    assert opened[0].closed


@pytest.mark.parametrize(
    ("name", "stream", "expected"),
    [
        ("clips/iphone_hevc_1080x1920_rot.mov", 0, 'video/mp4; codecs="hvc1.1.6.L123.B0"'),
        ("odd/hevc_10bit.mp4", 0, 'video/mp4; codecs="hev1.2.4.L60.90"'),
        ("clips/webcam_vfr_paper.mov", 1, 'video/mp4; codecs="avc1.4D401E"'),
        ("clips/nasa_multistream.mp4", 3, None),  # a browser shows the first track, this is another
        ("hunt/elst_two_segments.mp4", 0, None),
        ("hunt/elst_slowmo_rate_025.mp4", 0, None),
        ("clips/woman_makeup.avi", 0, None),
        ("odd/fuzz_minimized_56b.mp4", 0, None),
    ],
)
def test_the_type_that_browsers_are_asked_about(name: str, stream: int, expected: str | None) -> None:
    assert media_type(read_boxes(media_dir() / name), stream) == expected


@pytest.mark.parametrize(
    ("encoder", "pixels", "begins"),
    [("libsvtav1", "yuv420p10le", "av01.0.00M.10"), ("libvpx-vp9", "yuv420p", "vp09.00.10.08"), ("mpeg4", "yuv420p", None)],
)
def test_the_type_of_newer_codecs(tmp_path: Path, encoder: str, pixels: str, begins: str | None) -> None:
    path = numbered(tmp_path / "clip.mp4", "-c:v", encoder, "-pix_fmt", pixels, frames=3)
    assert media_type(read_boxes(path), 0) == (begins and f'video/mp4; codecs="{begins}"')
