"""Synthetic results of all six stages that agree with one another, small enough to make in milliseconds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.handover import StageOutput
from reframer_pipeline.planning import orders
from reframer_pipeline.planning.survey import VideoPlan, survey
from reframer_pipeline.results import prepare as preparing
from reframer_pipeline.results.commit import Committed, Prepared
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import BY_NAME, NAMES, upstream
from reframer_pipeline.stages.order import recipes, stage_keys
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.versions import StageKey, row_id
from reframer_pipeline.vision.rle import encode
from reframer_pipeline.work import jobs, lease, status, turns

WEIGHTS = {"detector": "d" * 64, "segmenter": "s" * 64}
FPS = 30


def video_bytes(seed: int = 0) -> bytes:
    """Bytes that pass for an mp4 at first sight, different for each seed."""
    return b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x10mdat" + hashlib.sha256(str(seed).encode()).digest()


@dataclass(frozen=True)
class Maker:
    """Makes a video's results under given settings.

    Two objects, a person and a product, walk to the right; every third sampled frame is empty; with `candidates`, a weak
    box stands beside.
    """

    sha256: str
    settings: Settings
    frame_count: int = 50
    width: int = 64
    height: int = 48
    candidates: bool = False
    salt: int = 0  # other rows under the same key
    text: str = "Two things."
    weights: dict[str, str] = field(default_factory=lambda: WEIGHTS)
    keys: dict[str, StageKey] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", stage_keys(self.sha256, self.settings, self.weights))

    def output(self, stage: str, scratch: Path, batch_rows: int = 7) -> StageOutput:
        """The stage's output, as a stage would hand it over."""
        attachment = None
        if stage == "frames":
            scratch.mkdir(parents=True, exist_ok=True)
            attachment = scratch / f"made-{os.getpid()}-{self.sha256[:8]}.frames"
            attachment.write_bytes(b"pictures")
        return StageOutput(stage, self._batches(stage, batch_rows), attachment)

    def rows(self, stage: str) -> list[dict[str, Any]]:
        """The stage's rows, as dicts of its schema."""
        return list(getattr(self, f"_{stage}")())

    def _batches(self, stage: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        rows = iter(getattr(self, f"_{stage}")())
        while batch := list(islice(rows, batch_rows)):
            yield pa.RecordBatch.from_pylist(batch, schema=BY_NAME[stage].schema)

    def _result(self, stage: str) -> str:
        return self.keys[stage].result_id

    def _metadata(self) -> Iterator[dict[str, Any]]:
        yield {
            "container": "mov,mp4", "codec": "h264", "pix_fmt": "yuv420p", "width": self.width, "height": self.height,
            "coded_width": self.width, "coded_height": self.height, "rotation": 0, "sar_num": 1, "sar_den": 1, "fps_num": FPS,
            "fps_den": 1, "variable_frame_rate": False, "duration_seconds": self.frame_count / FPS, "frame_count": self.frame_count,
            "time_base_num": 1, "time_base_den": 15360, "start_pts": 0, "size_bytes": len(video_bytes()), "sha256": self.sha256,
            "stream_index": 0, "has_audio": False, "mirrored": False, "tone_mapped_from": "arib-std-b67",
            "notes": ["HDR (HLG), mapped to SDR (BT.709)."],
        }  # fmt: skip

    def _frames(self) -> Iterator[dict[str, Any]]:
        for n in range(self.frame_count):
            sampled = n % self.settings.vid_stride == 0
            yield {"frame_number": n, "pts": n * 512, "timestamp": n / FPS, "content_score": 0.1 * n % 99, "sampled": sampled}

    def _detections(self) -> Iterator[dict[str, Any]]:
        for step, n in enumerate(range(0, self.frame_count, self.settings.vid_stride)):
            if step % 3 == 2:
                continue
            boxes = [
                ("person", "person", 0.92 - 0.001 * self.salt, 2.3, 4.1, 12.7, 30.2),
                ("product", 'a "cup"\\x', 0.61, 20.0, 8.5, 31.25, 19.9),
            ]
            if self.candidates:
                boxes.append(("product", "bottle", 0.2, 1.0, 1.0, 5.0, 5.0))
            for ordinal, (kind, label, conf, x1, y1, x2, y2) in enumerate(boxes):
                yield {
                    "detection_id": row_id(self._result("detections"), f"{n}:{ordinal}"), "frame_number": n, "timestamp": n / FPS,
                    "ordinal": ordinal, "object_class": kind, "label": label, "confidence": conf, "x1": x1 + step, "y1": y1,
                    "x2": x2 + step, "y2": y2, "candidate": ordinal == 2,
                }  # fmt: skip

    def _masks(self) -> Iterator[dict[str, Any]]:
        for seen in self._detections():
            if seen["candidate"]:
                continue
            mask = np.zeros((self.height, self.width), np.uint8)
            mask[int(seen["y1"]) : int(seen["y2"]), int(seen["x1"]) : int(seen["x2"])] = 1
            rle, area = encode(mask)
            yield {
                "mask_id": row_id(self._result("masks"), seen["detection_id"]), "detection_id": seen["detection_id"],
                "frame_number": seen["frame_number"], "timestamp": seen["timestamp"], "height": self.height, "width": self.width,
                "rle": rle, "area": area, "predicted_iou": 0.9, "stability": 0.95,
            }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        for number, kind in enumerate(("person", "product")):
            seen = [row for row in self._detections() if row["ordinal"] == number]
            names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
            steps = [
                {"frame": row["frame_number"], **{name: row[name] for name in names}, "seconds": self.settings.vid_stride / FPS}
                for row in seen
            ]
            if steps:
                yield {
                    "track_id": f"obj_{number + 1:03}", "object_class": kind, "label": seen[0]["label"],
                    "start_frame": steps[0]["frame"], "end_frame": steps[-1]["frame"] + 1,
                    "avg_confidence": float(np.mean([row["confidence"] for row in seen])), "frames": steps,
                }  # fmt: skip

    def _scenes(self) -> Iterator[dict[str, Any]]:
        cut = max(1, self.frame_count // 2)
        for number, (start, end) in enumerate([(0, cut), (cut, self.frame_count)], start=1):
            elements = [{"type": "person", "description": "walks", "difficulty": "easy", "tracks": ["obj_001"]}]
            analysis = {
                "scene_number": number, "start_frame": start, "end_frame": end, "description": self.text, "importance": 5,
                "scene_type": "both", "replaceable_elements": elements, "tracks": [{"track_id": "obj_002"}],
            }  # fmt: skip
            yield {
                "scene_number": number, "start_frame": start, "end_frame": end, "start_seconds": start / FPS, "end_seconds": end / FPS,
                "describer": "local", "analysis": json.dumps(analysis),
            }  # fmt: skip


def add_video(storage: Storage, seed: int = 0) -> tuple[str, str]:
    """Take in a video; its id and digest."""
    path = storage.settings.home_dir / f"upload-{seed}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(video_bytes(seed))
    result = ingest_file(path, storage.db, storage.store, storage.settings)
    assert result.failure is None and result.video_id
    return result.video_id, hashlib.sha256(path.read_bytes()).hexdigest()


def prepare(storage: Storage, video_id: str, maker: Maker, stage: str, output: StageOutput | None = None, **more: Any) -> Prepared:
    """Step 1 of a commit; `more` as for `results.prepare.prepare`."""
    ids = {name: maker.keys[name].result_id for name in upstream(stage)}
    found = storage.results.open_all(list(ids.values()))
    there = {name: found[result_id] for name, result_id in ids.items() if result_id in found}
    output = output or maker.output(stage, storage.settings.scratch_dir)
    scratch = storage.settings.scratch_dir
    video = orders.resolve(storage.db, storage.settings, video_id).video
    return preparing.prepare(video, maker.keys[stage], output, there, scratch, **more)


def whole(maker: Maker) -> dict[str, str]:
    """The set that a maker's results belong to."""
    return {stage: key.result_id for stage, key in maker.keys.items()}


def commit(
    storage: Storage, video_id: str, maker: Maker, stage: str, token: str, output: StageOutput | None = None, **more: Any
) -> Committed:
    """Commit a stage under a lease that is held."""
    prepared = prepare(storage, video_id, maker, stage, output, **more)
    return storage.results.commit_prepared(prepared, whole(maker), lease_token=token)


def commit_all(storage: Storage, video_id: str, maker: Maker, stages: tuple[str, ...] = NAMES, batch_rows: int = 7) -> dict[str, Committed]:
    """Commit the stages in order under a lease, as a run would."""
    with lease.hold(storage.db, video_id, "test") as token:
        return {
            stage: commit(
                storage, video_id, maker, stage, token, maker.output(stage, storage.settings.scratch_dir, batch_rows), run_id="run"
            )
            for stage in stages
        }


def plan_of(db: Database, video_id: str, settings: Settings, weights: dict[str, str] = WEIGHTS) -> VideoPlan:
    """How a video stands for these settings, whatever its overrides."""
    wanted = recipes(settings, weights)
    (plan,) = survey(db, [video_id], lambda overrides: (wanted, None))
    return plan


def start_job(db: Database, video_id: str, run_id: str, **more: Any) -> str:
    """A run takes up a video; `more` as for `jobs.start`."""
    with lease.hold(db, video_id, run_id) as token:
        return start_job_under(db, video_id, run_id, token, **more)


def start_job_under(db: Database, video_id: str, run_id: str, token: str, **more: Any) -> str:
    """The same under a lease that is held."""
    started = jobs.start(db, video_id, run_id, lease_token=token, pinned={"settings": {}, "weights": {}}, **more)
    assert started is not None
    return started.job_id


def spoken_for(db: Database) -> set[str]:
    """The videos that wait for their turn in a command that lives."""
    return {row["id"] for row in db.fetch(turns.SPOKEN_FOR, (turns.PREFIX, turns.QUIET_S))}


def begin(db: Database, video_id: str) -> None:
    """Let the video be `processing`, as a run's first stage does."""
    db.run(lambda conn: status.transition(conn, video_id, status.Event.BEGUN))
