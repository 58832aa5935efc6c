"""Pictures over HTTP, of the computed clip."""

from __future__ import annotations

import asyncio
import io
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.concurrency import run_in_threadpool
from PIL import Image

from reframer_pipeline.api import drawings
from reframer_pipeline.api.drawings import Drawings
from reframer_pipeline.failures import BeingMade, DiskFull
from reframer_pipeline.reading.pictures import MARGIN
from reframer_pipeline.reading.tables import MASKS, SIGHTINGS, TRACKS, page, published_set
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.scratch import drop_drawn
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.rle import decode_plain
from reframer_pipeline_tests.api.library import claim, made_video
from reframer_pipeline_tests.api.serving import Serving

ONE = "one@example.org"


def picture(answer: httpx2.Response) -> np.ndarray[Any, np.dtype[Any]]:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


@pytest.fixture
def client(serving_clip: Serving, done: VideoOutcome) -> Any:
    with httpx2.Client(
        base_url=f"{serving_clip.url}/v1/videos/{done.video_id}", headers={"X-API-Key": serving_clip.key(ONE)}, timeout=400
    ) as made:
        yield made


def test_a_frame_is_the_one_that_was_looked_at(client: httpx2.Client, done: VideoOutcome) -> None:
    answer = client.get("/frames/10.jpg")
    assert answer.headers["content-type"] == "image/jpeg" and "Content-Encoding" not in answer.headers
    (path, _, shown) = answer.headers["Content-Location"].partition("?result_id=")
    assert path == f"/v1/videos/{done.video_id}/frames/10.jpg" and client.get("/frames/10.jpg", params={"result_id": shown}).is_success
    for number, nearest in ((12, 10), (13, 15), (49, 45)):
        near = client.get(f"/frames/{number}.jpg")
        assert f"/frames/{nearest}.jpg?" in near.headers["Content-Location"]
        assert near.content == client.get(f"/frames/{nearest}.jpg").content
    assert client.get("/frames/10.jpg", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    beyond = client.get("/frames/50.jpg")
    assert (beyond.status_code, beyond.json()["code"]) == (404, "unknown_frame")
    assert client.get("/frames/-1.jpg").status_code == client.get("/frames/x.jpg").status_code == 422


def test_overlays_are_drawn_where_things_are(client: httpx2.Client, serving_clip: Serving, done: VideoOutcome) -> None:
    result_id = published_set(serving_clip.db, done.video_id)
    mask = page(serving_clip.db, MASKS, result_id, limit=1)[0]
    number, inside = mask["frame_number"], decode_plain(mask["mask_rle"], mask["frame_height"], mask["frame_width"])
    plain = picture(client.get(f"/frames/{number}.jpg"))

    def changed(overlay: str) -> Any:
        return np.abs(picture(client.get(f"/frames/{number}.jpg", params={"overlay": overlay})) - plain).sum(axis=2)

    masks, boxes = changed("masks"), changed("boxes")
    assert masks[inside].mean() > 60 > 5 > boxes[0:4].mean()
    assert 0 < (boxes > 60).sum() < (changed("boxes,ids") > 60).sum() < (changed("ids,masks,boxes") > 60).sum()
    assert client.get(f"/frames/{number}.jpg", params={"overlay": "everything"}).json()["code"] == "request_invalid"


def test_a_mask_as_picture_and_as_runs(client: httpx2.Client, serving_clip: Serving, done: VideoOutcome) -> None:
    row = page(serving_clip.db, MASKS, published_set(serving_clip.db, done.video_id), limit=1)[0]
    stored = decode_plain(row["mask_rle"], row["frame_height"], row["frame_width"])
    png = client.get(f"/masks/{row['detection_id']}.png")
    assert png.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png.content)).convert("L")) == 255, stored)
    said = client.get(f"/masks/{row['detection_id']}.json").json()
    assert (said["size"], sum(said["counts"][1::2]), said["area"]) == (list(stored.shape), stored.sum(), stored.sum())
    assert client.get("/masks/00000000-0000-5000-8000-000000000000.png").json()["code"] == "nothing_there"


def test_a_track_is_shown_at_its_best(client: httpx2.Client, serving_clip: Serving, done: VideoOutcome) -> None:
    result_id = published_set(serving_clip.db, done.video_id)
    track = page(serving_clip.db, TRACKS, result_id)[0]["track_id"]
    seen = [row for row in page(serving_clip.db, SIGHTINGS, result_id) if row["track_id"] == track]
    best = max(seen, key=lambda row: row["width"] * row["height"] * row["confidence"])
    answer = client.get(f"/tracks/{track}.jpg")
    assert answer.headers["Content-Location"].endswith(f"/frames/{best['frame_number']}.jpg?result_id={result_id}")
    height, width, _ = picture(answer).shape
    room = 2 * MARGIN * max(best["width"], best["height"]) + 2
    assert best["width"] - 2 <= width <= best["width"] + room and best["height"] - 2 <= height <= best["height"] + room
    assert client.get("/tracks/obj_999.jpg").json()["code"] == "nothing_there"


def test_poster_sheet_and_video(client: httpx2.Client, serving_clip: Serving, done: VideoOutcome, tmp_path: Path) -> None:
    assert max(picture(client.get("/poster.jpg")).shape) <= 640
    assert picture(client.get("/sheet.jpg")).shape[1] == 1600
    whole = client.get("/annotated.mp4")
    assert whole.headers["content-type"] == "video/mp4" and whole.headers["Accept-Ranges"] == "bytes"
    part = client.get("/annotated.mp4", headers={"Range": "bytes=100-199", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole.content)}"
    assert client.get("/annotated.mp4", headers={"Range": "bytes=999999999-"}).json()["code"] == "range_beyond_end"
    assert client.get("/annotated.mp4", headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    drop_drawn(serving_clip.storage.settings, done.video_id)
    assert not list(serving_clip.storage.settings.scratch_dir.glob("drawn-*"))
    path = tmp_path / "annotated.mp4"
    path.write_bytes(whole.content)
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", str(path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "50"


def test_pictures_that_were_evicted_say_so(serving: Serving) -> None:
    video_id, _ = made_video(serving.storage, 1)
    claim(serving.db, ONE, video_id, "clip.mp4")
    serving.db.execute("UPDATE results SET evicted_at = now() WHERE attachment_key IS NOT NULL")
    with serving.client(serving.key(ONE)) as made:
        assert made.get(f"/videos/{video_id}").json()["evicted"]
        for route in ("frames/0.jpg", "frames/0.jpg?overlay=boxes", "tracks/obj_001.jpg", "poster.jpg", "sheet.jpg"):
            answer = made.get(f"/videos/{video_id}/{route}")
            assert (answer.status_code, answer.json()["code"]) == (410, "frames_evicted"), route
        assert made.get(f"/videos/{video_id}/sightings").is_success


class Drawing:
    """A drawing that waits until it may end."""

    def __init__(self, size: int = 10) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.times, self._size = 0, size

    def __call__(self, path: Path) -> None:
        self.times += 1
        self.begun.set()
        assert self.may_end.wait(120)
        path.write_bytes(bytes(self._size))


def at_once(drawing: Drawing) -> Callable[[Path], None]:
    drawing.may_end.set()
    return drawing


def got(kept: Drawings, name: str, draw: Callable[[Path], None], key: str = "key", wait_s: float = 30) -> Path:
    return asyncio.run(kept.get(name, draw, key, wait_s))


def test_a_drawing_is_made_once_however_many_ask(tmp_path: Path) -> None:
    """Here more than the pool has threads: who waits holds none."""
    kept, drawing = Drawings(Settings(home=tmp_path)), Drawing()

    async def asked() -> list[Path]:
        with pytest.raises(BeingMade) as told:
            await kept.get("a.mp4", drawing, "key", wait_s=0.01)
        assert told.value.retry_after_s == drawings.RETRY_S
        waiting = [asyncio.create_task(kept.get("a.mp4", drawing, "key")) for _ in range(60)]
        gone = waiting.pop()
        await asyncio.sleep(0)
        gone.cancel()
        await run_in_threadpool(drawing.may_end.set)
        return await asyncio.gather(*waiting)

    found = asyncio.run(asked())
    assert len(set(found)) == 1 and found[0].stat().st_size == 10 and got(kept, "a.mp4", drawing) == found[0]
    assert drawing.times == 1 and [one.name for one in found[0].parent.iterdir()] == [found[0].name]


def test_no_key_takes_all_places(tmp_path: Path) -> None:
    kept, drawing = Drawings(Settings(home=tmp_path)), Drawing()
    for number in range(drawings.MOST):
        with pytest.raises(BeingMade, match="being drawn"):
            got(kept, f"{number}.mp4", drawing, f"key {number}", wait_s=0)
        with pytest.raises(BeingMade, match="come first"):  # at once
            got(kept, "second.mp4", drawing, f"key {number}")
    with pytest.raises(BeingMade, match="come first"):
        got(kept, "more.mp4", drawing, "another key")
    drawing.may_end.set()
    assert got(kept, "0.mp4", drawing, "another key").exists()


def test_a_drawing_that_fails_is_tried_again(tmp_path: Path) -> None:
    kept = Drawings(Settings(home=tmp_path))

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise DiskFull("No space is left.")

    for _ in range(2):
        with pytest.raises(DiskFull):
            got(kept, "a.jpg", fails)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert got(kept, "a.jpg", at_once(Drawing())).exists()


def test_what_nobody_asked_for_longest_makes_room(tmp_path: Path) -> None:
    kept = Drawings(Settings(home=tmp_path, api_cache_mb=1))
    first, second = (got(kept, name, at_once(Drawing(400_000))) for name in ("1.mp4", "2.mp4"))
    assert got(kept, "1.mp4", Drawing()) == first  # asked for again
    third = got(kept, "3.mp4", at_once(Drawing(400_000)))
    assert first.exists() and third.exists() and not second.exists()
    assert got(kept, "big.mp4", at_once(Drawing(2_000_000))).exists() and not first.exists() and not third.exists()
