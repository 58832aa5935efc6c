"""How the page's video screen bears a long video: `python -m benchmarks.page [--seconds 30]`.

A generated film of ten minutes with made-up results (3,000 sampled frames, 30,000 masks, 400 tracks, 40 scenes) is served by
`reframer serve` and looked at in headless Chromium. Printed are: how soon the first picture is there with its overlay, how many overlays
were dropped while it played at 30 frames a second with masks, boxes and ids, how soon all of a picture is there after a jump, and what
memory the tab had at most.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import CDPSession, Page

from reframer_pipeline.database import embedded
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.rle import encode
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.browser import chromium
from reframer_pipeline_tests.factories import FPS, Maker, commit_all

MINUTES = 10
STRIDE = 6
OBJECTS = 10
SHOT = 75  # sampled frames, after which all objects are others
WIDTH, HEIGHT = 1280, 720
BODY = (130, 300)  # width and height of a thing, pixels
JUMPS = (300.0, 42.2, 555.0, 123.4, 480.6)


class Long(Maker):
    """A long video with ten objects in every sampled frame, and new ones in every shot, each an element of its scene."""

    def _detections(self) -> Iterator[dict[str, Any]]:
        result = self.keys["detections"].result_id
        for step, n in enumerate(range(0, self.frame_count, STRIDE)):
            for ordinal in range(OBJECTS):
                x, y = _place(ordinal, step)
                yield {
                    "detection_id": row_id(result, f"{n}:{ordinal}"), "frame_number": n, "timestamp": n / FPS, "ordinal": ordinal,
                    "object_class": "product" if ordinal % 2 else "person", "label": "cup" if ordinal % 2 else "person",
                    "confidence": 0.93 - 0.01 * ordinal, "x1": x, "y1": y, "x2": x + BODY[0], "y2": y + BODY[1], "candidate": False,
                }  # fmt: skip

    def _masks(self) -> Iterator[dict[str, Any]]:
        outlines: dict[tuple[float, float], tuple[str, int]] = {}
        for seen in self._detections():
            place = (seen["x1"], seen["y1"])
            if place not in outlines:
                outlines[place] = encode(_outline(*place))
            rle, area = outlines[place]
            yield {
                "mask_id": row_id(self.keys["masks"].result_id, seen["detection_id"]), "detection_id": seen["detection_id"],
                "frame_number": seen["frame_number"], "timestamp": seen["timestamp"], "height": HEIGHT, "width": WIDTH, "rle": rle,
                "area": area, "predicted_iou": 0.9, "stability": 0.95,
            }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
        rows = list(self._detections())
        for number in range(self._shots() * OBJECTS):
            shot, ordinal = divmod(number, OBJECTS)
            its = rows[shot * SHOT * OBJECTS + ordinal : (shot + 1) * SHOT * OBJECTS : OBJECTS]
            steps = [{"frame": row["frame_number"], "seconds": STRIDE / FPS, **{name: row[name] for name in names}} for row in its]
            yield {
                "track_id": f"obj_{number + 1:03}", "object_class": its[0]["object_class"], "label": its[0]["label"],
                "start_frame": steps[0]["frame"], "end_frame": steps[-1]["frame"] + 1, "avg_confidence": 0.9, "frames": steps,
            }  # fmt: skip

    def _scenes(self) -> Iterator[dict[str, Any]]:
        for shot in range(self._shots()):
            start, end = shot * SHOT * STRIDE, (shot + 1) * SHOT * STRIDE
            tracks = [f"obj_{shot * OBJECTS + ordinal + 1:03}" for ordinal in range(OBJECTS)]
            elements = [
                {"type": "product" if place % 2 else "person", "description": "stands there", "difficulty": "medium", "tracks": [track]}
                for place, track in enumerate(tracks)
            ]
            analysis = {
                "scene_number": shot + 1, "start_frame": start, "end_frame": end, "description": "Ten things stand about.", "importance": 5,
                "scene_type": "both", "replaceable_elements": elements, "tracks": [{"track_id": track} for track in tracks],
            }  # fmt: skip
            yield {
                "scene_number": shot + 1, "start_frame": start, "end_frame": end, "start_seconds": start / FPS, "end_seconds": end / FPS,
                "describer": "local", "analysis": json.dumps(analysis),
            }  # fmt: skip

    def _shots(self) -> int:
        return self.frame_count // STRIDE // SHOT


def _place(ordinal: int, step: int) -> tuple[float, float]:
    return 20.0 + 110 * ordinal + step % 20, 40.0 + 30 * (ordinal % 3) + 8 * (step % 20)


def _outline(left: float, top: float) -> np.ndarray[Any, Any]:
    """A body with arms."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    y, x = y - top - BODY[1] / 2, x - left - BODY[0] / 2
    return (x / (BODY[0] / 2.6)) ** 2 + (y / (BODY[1] / 2.6)) ** 2 < 1 + 0.3 * np.sin(9 * np.arctan2(y, x))


def fill(storage: Storage, folder: Path) -> str:
    """The video with its results, in the library of the local user; its id."""
    path = folder / "long.mp4"
    source = f"testsrc2=s={WIDTH}x{HEIGHT}:r={FPS}:d={60 * MINUTES}"
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-g", str(FPS), "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, *codec, str(path)], check=True)
    taken = ingest_file(path, storage.db, storage.store, storage.settings)
    assert taken.failure is None and taken.video_id, taken
    row = storage.db.fetch_one("SELECT sha256 FROM videos WHERE id = %s", (taken.video_id,))
    assert row is not None
    frames = 60 * MINUTES * FPS
    commit_all(
        storage, taken.video_id, Long(row["sha256"], storage.settings, frame_count=frames, width=WIDTH, height=HEIGHT), batch_rows=2000
    )
    storage.db.execute("UPDATE videos SET status = 'completed' WHERE id = %s", (taken.video_id,))
    return taken.video_id


class Memory:
    """The most memory that the browser's tab has had: what is its own (USS), of its process."""

    def __init__(self) -> None:
        self.most = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> int:
        """Bytes."""
        self._ended.set()
        self._thread.join()
        return self.most

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "--type=renderer" in process.cmdline():
                        self.most = max(self.most, process.memory_full_info().uss)
                except psutil.Error:
                    continue  # it has just ended


def until(page: Page, so: str, seconds: float = 60) -> float:
    """Wait until something is true; seconds that it took."""
    began = time.perf_counter()
    while not page.evaluate(so):
        assert time.perf_counter() < began + seconds, so
        page.wait_for_timeout(10)
    return time.perf_counter() - began


def measure(page: Page, address: str, seconds: float) -> None:
    """Open the screen, play it, jump about in it, and print what was seen."""
    page.goto(address)
    until(page, "window.reframer?.firstPicture > 0 && reframer.drawn >= 0")
    first, whole = page.evaluate("[reframer.firstPicture, performance.now()]")
    print(f"first picture after {first / 1000:.2f} s, with its overlay after {whole / 1000:.2f} s")
    page.keyboard.press("Space")
    busy = page.context.new_cdp_session(page)
    busy.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _worked(busy)
    began = page.evaluate("[reframer.presented, reframer.dropped, reframer.maskless, performance.now()]")
    page.wait_for_timeout(seconds * 1000)
    ended = page.evaluate("[reframer.presented, reframer.dropped, reframer.maskless, performance.now()]")
    shown, dropped, maskless, took = (b - a for a, b in zip(began, ended, strict=True))
    rate = shown / took * 1000
    print(f"{shown} pictures in {took / 1000:.1f} s ({rate:.1f} a second), {dropped} overlays dropped, {maskless} came without their masks")
    print(f"for each of them the page's own thread worked {(_worked(busy) - before) / shown * 1000:.1f} ms")
    page.keyboard.press("Space")
    jumps = []
    for moment in JUMPS:
        frame = round(moment * FPS) // STRIDE * STRIDE
        page.evaluate(f"location.hash = location.hash.split('?')[0] + '?t={frame / FPS:.3f}'")
        jumps.append(until(page, f"reframer.frame === {frame} && reframer.drawn === {frame} && reframer.masks.length === {OBJECTS}"))
    print(f"after a jump, all is there within {statistics.median(jumps):.2f} s (median), {max(jumps):.2f} s (longest)")


def _worked(session: CDPSession) -> float:
    """Seconds of the processor that the page's main thread has had."""
    return float(next(one["value"] for one in session.send("Performance.getMetrics")["metrics"] if one["name"] == "TaskDuration"))


def main() -> None:
    """Fill, look, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="that the film is played")
    parser.add_argument("--home", type=Path, help="a data folder that is kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = Settings(home=given.home or folder / "home", vid_stride=STRIDE)
        try:
            url = Settings(database_url=embedded.database_url(settings)).database_url
            with open_storage(settings.model_copy(update={"database_url": url})) as storage:
                row = storage.db.fetch_one("SELECT id::text FROM videos WHERE status = 'completed'")
                video_id = row["id"] if row else fill(storage, folder)
                with Serving(storage) as serving:
                    _look(serving, video_id, given.seconds)
        finally:
            embedded.stop(settings)


def _look(serving: Serving, video_id: str, seconds: float) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.request.post(f"{serving.url}/v1/session", headers={"X-API-Key": serving.key("local@localhost")})
        page.request.get(f"{serving.url}/v1/videos/{video_id}")  # the server's first answer is slower
        memory = Memory()
        measure(page, f"{serving.url}/#/videos/{video_id}", seconds)
        print(f"the tab had {memory.end() / 1e6:.0f} MB at most")


if __name__ == "__main__":
    main()
