"""How long storage takes for a long video: `python -m benchmarks.storage [SAMPLED_FRAMES]`, with eight objects a frame.

Synthetic results at 1080x1920 are committed to an embedded server in a temporary folder; printed are seconds and rows a second for
each stage (made and drained into Parquet, committed to Postgres), and the peak memory of this process.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.homes import fresh_home
from reframer_pipeline.handover import StageOutput
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.rle import encode
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import FPS, Maker, add_video, prepare, whole

OBJECTS = 8
WIDTH, HEIGHT = 1080, 1920
BATCH = 64  # rows


class LongMaker(Maker):
    """Results of a long video: eight walking objects, with a few different outlines."""

    def _detections(self) -> Iterator[dict[str, Any]]:
        result = self.keys["detections"].result_id
        for n in range(0, self.frame_count, self.settings.vid_stride):
            for ordinal in range(OBJECTS):
                x, y = 20.5 + 100 * ordinal, 30.25 + n % 900
                yield {
                    "detection_id": row_id(result, f"{n}:{ordinal}"), "frame_number": n, "timestamp": n / FPS, "ordinal": ordinal,
                    "object_class": "product" if ordinal % 2 else "person", "label": "cup", "confidence": 0.93 - 0.01 * ordinal,
                    "x1": x, "y1": y, "x2": x + 200, "y2": y + 600, "candidate": False,
                }  # fmt: skip

    def _masks(self) -> Iterator[dict[str, Any]]:
        outlines = [encode(_outline(seed)) for seed in range(OBJECTS)]
        for seen in self._detections():
            rle, area = outlines[seen["ordinal"]]
            yield {
                "mask_id": row_id(self.keys["masks"].result_id, seen["detection_id"]), "detection_id": seen["detection_id"],
                "frame_number": seen["frame_number"], "timestamp": seen["timestamp"], "height": HEIGHT, "width": WIDTH, "rle": rle,
                "area": area, "predicted_iou": 0.9, "stability": 0.95,
            }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
        for number in range(OBJECTS):
            seen = [row for row in self._detections() if row["ordinal"] == number]
            yield {
                "track_id": f"obj_{number + 1:03}", "object_class": seen[0]["object_class"], "label": "cup",
                "start_frame": 0, "end_frame": seen[-1]["frame_number"] + 1, "avg_confidence": 0.9,
                "frames": [{"frame": row["frame_number"], **{name: row[name] for name in names}, "seconds": 5 / FPS} for row in seen],
            }  # fmt: skip


def _outline(seed: int) -> np.ndarray[Any, Any]:
    """A body with arms: a few runs a column, some 7 kB of plain run lengths, as measured on real masks."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    angle = np.arctan2(y - 960, x - 540)
    return ((x - 540) / 320) ** 2 + ((y - 960) / 600) ** 2 < 1 + 0.4 * np.sin((7 + seed % 3) * angle)


def main() -> None:
    """Commit all stages once, and print."""
    sampled = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with fresh_home() as home:
        settings = Settings(home=home)
        with open_storage(settings) as storage:
            video_id, sha = add_video(storage)
            maker = LongMaker(sha, settings, frame_count=sampled * settings.vid_stride, width=WIDTH, height=HEIGHT)
            for stage in NAMES:
                with lease.hold(storage.db, video_id, "benchmark") as token:
                    times = [time.perf_counter()]
                    drawn = sum(batch.num_rows for batch in maker.output(stage, settings.scratch_dir, BATCH).batches)
                    times.append(time.perf_counter())
                    output: StageOutput = maker.output(stage, settings.scratch_dir, BATCH)
                    prepared = prepare(storage, video_id, maker, stage, output)
                    times.append(time.perf_counter())
                    storage.results.commit_prepared(prepared, whole(maker), lease_token=token)
                    times.append(time.perf_counter())
                made, drain, commit = np.diff(times)
                size = prepared.row.object_bytes / 1e6
                print(f"{stage:13} {drawn:8} rows  check, Parquet {max(drain - made, 0):6.2f} s  commit {commit:6.2f} s  {size:8.2f} MB")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
