"""How much memory each export takes: `python -m benchmarks.exports [MASKS] [FORMAT...]`, 200,000 masks by default.

Synthetic results of one video of 320x180 with eight objects a frame are committed to an embedded server in a temporary folder. Each
format is then drawn as a download, whose bytes are counted and thrown away, by a process of its own; printed are its seconds, the bytes
and its peak resident memory. The first line is a process that opens the results and exports nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from reframer_pipeline.database import embedded
from reframer_pipeline.exports.formats import FORMATS
from reframer_pipeline.exports.packing import download
from reframer_pipeline.exports.videos import have_results, published_videos
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.rle import encode
from reframer_pipeline_tests.factories import FPS, Maker, add_video, commit_all

OBJECTS = 8
WIDTH, HEIGHT = 320, 180
SHOT = 100  # sampled frames, after which all objects are others
NOTHING = "nothing"


class Crowded(Maker):
    """A long video with eight objects in every sampled frame, and new ones in every shot."""

    def _detections(self) -> Iterator[dict[str, Any]]:
        result = self.keys["detections"].result_id
        for n in range(0, self.frame_count, self.settings.vid_stride):
            for ordinal in range(OBJECTS):
                x, y = 30.5 * ordinal, 10.25 + n % 60
                yield {
                    "detection_id": row_id(result, f"{n}:{ordinal}"), "frame_number": n, "timestamp": n / FPS, "ordinal": ordinal,
                    "object_class": "product" if ordinal % 2 else "person", "label": "cup", "confidence": 0.93 - 0.01 * ordinal,
                    "x1": x, "y1": y, "x2": x + 60, "y2": y + 100, "candidate": False,
                }  # fmt: skip

    def _masks(self) -> Iterator[dict[str, Any]]:
        outlines = [[encode(_outline(30.5 * ordinal, 10.25 + shift)) for shift in range(60)] for ordinal in range(OBJECTS)]
        for seen in self._detections():
            rle, area = outlines[seen["ordinal"]][seen["frame_number"] % 60]
            yield {
                "mask_id": row_id(self.keys["masks"].result_id, seen["detection_id"]), "detection_id": seen["detection_id"],
                "frame_number": seen["frame_number"], "timestamp": seen["timestamp"], "height": HEIGHT, "width": WIDTH, "rle": rle,
                "area": area, "predicted_iou": 0.9, "stability": 0.95,
            }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
        step, held = self.settings.vid_stride, [list[dict[str, Any]]() for _ in range(OBJECTS)]
        number = 0
        for row in self._detections():
            held[row["ordinal"]].append({"frame": row["frame_number"], "seconds": step / FPS, **{name: row[name] for name in names}})
            ends = row["frame_number"] + step >= self.frame_count or (row["frame_number"] // step + 1) % SHOT == 0
            if ends and row["ordinal"] == OBJECTS - 1:
                for ordinal, steps in enumerate(held):
                    number += 1
                    yield {
                        "track_id": f"obj_{number:03}", "object_class": "product" if ordinal % 2 else "person", "label": "cup",
                        "start_frame": steps[0]["frame"], "end_frame": steps[-1]["frame"] + 1, "avg_confidence": 0.9, "frames": steps,
                    }  # fmt: skip
                held = [[] for _ in range(OBJECTS)]


def _outline(left: float, top: float) -> np.ndarray[Any, Any]:
    """A body with arms."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    y, x = y - top - 50, x - left - 30
    return (x / 25) ** 2 + (y / 45) ** 2 < 1 + 0.3 * np.sin(7 * np.arctan2(y, x))


def measure(home: str, name: str) -> dict[str, float]:
    """In the process that is measured: draw a whole export."""
    with open_storage(Settings(home=Path(home))) as storage:
        began, size = time.perf_counter(), 0
        videos = published_videos(storage, have_results(storage))
        for video in videos:
            video.open()
        if name != NOTHING:
            size = sum(map(len, download(FORMATS[name], videos).chunks))
        seconds = time.perf_counter() - began
    # The process's own peak: what getrusage says may be that of the process it was started by.
    (peak,) = (int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return {"seconds": seconds, "bytes": size, "peak": peak * 1024}


def main() -> None:
    """Commit the results once, then measure each format."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
        return
    masks = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as folder:
        settings = Settings(home=Path(folder) / "home")
        try:
            with open_storage(settings) as storage:
                video_id, sha = add_video(storage)
                frames = masks // OBJECTS * settings.vid_stride
                commit_all(storage, video_id, Crowded(sha, settings, frame_count=frames, width=WIDTH, height=HEIGHT), batch_rows=512)
            print(f"{masks} masks of {WIDTH}x{HEIGHT}")
            for name in [NOTHING, *(sys.argv[2:] or FORMATS)]:
                child = [sys.executable, "-m", "benchmarks.exports", "--measure", str(settings.home), name]
                found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
                print(f"{name:8} {found['seconds']:7.1f} s {found['bytes'] / 1e6:8.1f} MB {found['peak'] / 1e6:6.0f} MB peak", flush=True)
        finally:
            embedded.stop(settings)


if __name__ == "__main__":
    main()
