"""What the formats are tried on: the drawn clip as it was computed, and a set made by hand of all that is awkward."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reframer_pipeline.exports.formats import FORMATS
from reframer_pipeline.exports.packing import write
from reframer_pipeline.exports.videos import Video, published_videos
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.settings import Settings
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.rle import encode
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.servers import Server, fresh_database

HOSTILE = '../../etc/=passwd <&>"%s%\u202e.mp4'
LABEL = "=cmd|' /C calc'!A0 <&>\"\x01"
WORDS = "-1+1 --> 2\n<b>&amp;\x02 a second line"


class Odd(Maker):
    """Uneven times, and four sampled frames of 64x48 with what is rare: see `_found`."""

    def _found(self) -> Iterator[tuple[int, str, str, float, tuple[float, ...], bool, str | None, np.ndarray | None]]:
        """Frame, class, label, confidence, xyxy, candidate, track, mask."""
        whole, nothing, corner, hollow = (np.zeros((48, 64), np.uint8) for _ in range(4))
        whole[:] = 1
        corner[40:, 60:] = 1
        hollow[4:30:2, 2:12] = 1
        yield 0, "person", "person", 0.9, (0, 0, 64, 48), False, "obj_001", whole  # fills the picture
        yield 0, "product", LABEL, 0.8, (60.25, 40.5, 64, 48), False, "obj_002", corner  # in the last corner, seen once
        yield 0, "product", "cup", 0.7, (1, 1, 3.3, 4.7), False, None, nothing  # in no track, with a mask of nothing
        yield 10, "person", "person", 0.2, (2.3, 4.1, 12.7, 30.2), True, "obj_001", None  # a candidate that the track has
        yield 10, "product", "cup", 0.15, (5, 5, 9, 9), True, None, None  # one that none has: it does not count
        yield 15, "person", "person", 0.95, (2.3, 4.1, 12.7, 30.2), False, "obj_001", hollow
        yield 15, "product", "cup", 0.5, (30, 0, 40, 10), False, "obj_003", nothing

    def _time(self, frame: int) -> float:
        return frame / 30 + (0.5 if frame > 7 else 0)  # a pause in the middle

    def _metadata(self) -> Iterator[dict[str, Any]]:
        for row in super()._metadata():
            yield row | {"variable_frame_rate": True, "fps_num": 30000, "fps_den": 1001, "duration_seconds": self.frame_count / 30 + 0.5}

    def _frames(self) -> Iterator[dict[str, Any]]:
        for row in super()._frames():
            yield row | {"timestamp": self._time(row["frame_number"])}

    def _detections(self) -> Iterator[dict[str, Any]]:
        last, ordinal = -1, 0
        for frame, kind, label, confidence, (x1, y1, x2, y2), candidate, _, _ in self._found():
            ordinal, last = (ordinal + 1 if frame == last else 0), frame
            yield {
                "detection_id": row_id(self._result("detections"), f"{frame}:{ordinal}"), "frame_number": frame,
                "timestamp": self._time(frame), "ordinal": ordinal, "object_class": kind, "label": label, "confidence": confidence,
                "x1": x1, "y1": y1, "x2": x2, "y2": y2, "candidate": candidate,
            }  # fmt: skip

    def _masks(self) -> Iterator[dict[str, Any]]:
        for row, (*_, mask) in zip(self._detections(), self._found(), strict=True):
            if mask is not None:
                rle, area = encode(mask)
                yield {
                    "mask_id": row_id(self._result("masks"), row["detection_id"]), "detection_id": row["detection_id"],
                    "frame_number": row["frame_number"], "timestamp": row["timestamp"], "height": 48, "width": 64, "rle": rle, "area": area,
                    "predicted_iou": 0.9, "stability": 0.95,
                }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        tracks: dict[str, list[dict[str, Any]]] = {}
        for row, (*_, track, _) in zip(self._detections(), self._found(), strict=True):
            if track:
                tracks.setdefault(track, []).append(row)
        names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
        for track, rows in sorted(tracks.items()):
            yield {
                "track_id": track, "object_class": rows[0]["object_class"], "label": rows[0]["label"],
                "start_frame": rows[0]["frame_number"],
                "end_frame": rows[-1]["frame_number"] + 1, "avg_confidence": float(np.mean([row["confidence"] for row in rows])),
                "frames": [{"frame": row["frame_number"], "seconds": 0.2, **{name: row[name] for name in names}} for row in rows],
            }  # fmt: skip

    def _scenes(self) -> Iterator[dict[str, Any]]:
        element = {
            "type": "product", "label": LABEL, "description": WORDS, "difficulty": "hard", "tracks": ["obj_002"], "start_seconds": 0.1,
            "end_seconds": 99.0, "difficulty_reasons": [{"why": "=SUM(1)"}, {"why": "it moves"}],
        }  # fmt: skip
        spans = [(0, 8, 0.0, self._time(8)), (8, self.frame_count, self._time(8), self.frame_count / 30 + 0.5)]
        for number, (start, end, begins, ends) in enumerate(spans, start=1):
            analysis = {
                "scene_number": number, "start_frame": start, "end_frame": end, "description": WORDS, "importance": 5,
                "scene_type": "both", "replaceable_elements": [element] if number == 1 else [], "tracks": [],
            }  # fmt: skip
            yield {
                "scene_number": number, "start_frame": start, "end_frame": end, "start_seconds": begins, "end_seconds": ends,
                "describer": "gemini", "analysis": json.dumps(analysis),
            }  # fmt: skip


class Nothing(Maker):
    """A video in which nothing was found."""

    def _detections(self) -> Iterator[dict[str, Any]]:
        return iter(())

    def _scenes(self) -> Iterator[dict[str, Any]]:
        for row in super()._scenes():
            yield row | {"analysis": json.dumps(json.loads(row["analysis"]) | {"replaceable_elements": [], "tracks": []})}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[list[Video]]:
    """The odd video, one in which nothing was found, and an ordinary one; all files have the same hostile name."""
    for url in fresh_database(embedded_server):
        settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=url, track_low_conf=0.1)
        with open_storage(settings) as storage:
            ids = []
            for seed, kind in enumerate((Odd, Nothing, Maker)):
                video_id, sha256 = add_video(storage, seed)
                commit_all(storage, video_id, kind(sha256, settings, frame_count=18))
                ids.append(video_id)
            storage.db.run(lambda conn: conn.execute("UPDATE videos SET filename = %s", (HOSTILE,)))
            yield published_videos(storage, ids)


@pytest.fixture
def odd(made: list[Video]) -> Video:
    return made[0]


@pytest.fixture
def drawn(shared: Storage, done: VideoOutcome) -> Video:
    """The drawn clip, computed with the demo models."""
    return published_videos(shared, [done.video_id])[0]


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Export videos in a format into a new folder."""

    def export(name: str, *videos: Video) -> Path:
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        write(FORMATS[name], videos, folder)
        return folder

    return export
