"""Does the database hold what the Parquet objects hold? Both read independently of the code that wrote them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pycocotools import mask as coco

from reframer_pipeline.results.storage import Storage

Rows = list[dict[str, Any]]


def assert_database_holds_parquet(storage: Storage, video_id: str) -> dict[str, int]:
    """Compare every published row of a video, after JSON. Returns how many rows of each stage were compared."""
    kept = {stage: _parquet(storage, video_id, stage) for stage in ("metadata", "detections", "masks", "trajectories", "scenes")}
    _facts(storage, video_id, kept["metadata"])
    _detections(storage, video_id, kept["detections"])
    _masks(storage, video_id, kept["masks"])
    _tracks(storage, video_id, kept["trajectories"])
    _scenes(storage, video_id, kept["scenes"])
    return {stage: len(rows) for stage, rows in kept.items()}


def single(value: float) -> float:
    """The shortest decimal that is the same single."""
    return float(str(np.float32(value)))


def bbox(row: dict[str, Any]) -> dict[str, float]:
    """The JSON form of a box."""
    x1, y1, x2, y2 = (np.float32(row[name]) for name in ("x1", "y1", "x2", "y2"))
    return {"x": single(x1), "y": single(y1), "width": single(x2 - x1), "height": single(y2 - y1)}


def _parquet(storage: Storage, video_id: str, stage: str) -> Rows:
    row = storage.db.fetch_one(
        "SELECT r.* FROM published p JOIN results r USING (result_id) WHERE p.video_id = %s AND p.stage = %s", (video_id, stage)
    )
    assert row is not None
    with storage.store.open_object(row["object_key"]) as file:
        rows: Rows = pq.read_table(file).to_pylist()
    assert {(r["video_id"], r["result_id"]) for r in rows} <= {(video_id, str(row["result_id"]))}
    assert len(rows) == row["row_count"]
    return rows


def _facts(storage: Storage, video_id: str, kept: Rows) -> None:
    video = storage.db.fetch_one("SELECT * FROM videos WHERE id = %s", (video_id,))
    assert video is not None
    (facts,) = kept
    for name in ("container", "codec", "width", "height", "rotation", "fps_num", "fps_den", "size_bytes", "sha256"):
        assert video[name] == facts[name], name
    assert video["duration"] == facts["duration_seconds"]


def _detections(storage: Storage, video_id: str, kept: Rows) -> None:
    rows = storage.db.fetch("SELECT * FROM current_detections WHERE video_id = %s ORDER BY frame_number, ordinal", (video_id,))
    expected = [
        (
            r["detection_id"],
            r["frame_number"],
            r["timestamp"],
            r["ordinal"],
            {"class": r["object_class"], "confidence": single(r["confidence"]), "bbox": bbox(r), "label": r["label"]}
            | ({"candidate": True} if r["candidate"] else {}),
        )
        for r in kept
    ]
    assert [(str(r["id"]), r["frame_number"], r["timestamp"], r["ordinal"], r["detection_data"]) for r in rows] == expected


def _masks(storage: Storage, video_id: str, kept: Rows) -> None:
    rows = storage.db.fetch(
        """SELECT m.* FROM current_segmentation_masks m JOIN current_detections d ON d.id = m.detection_id
           WHERE m.video_id = %s ORDER BY d.frame_number, d.ordinal""",
        (video_id,),
    )
    for row, stored in zip(rows, kept, strict=True):
        assert (str(row["id"]), str(row["detection_id"])) == (stored["mask_id"], stored["detection_id"])
        plain = {"size": [row["height"], row["width"]], "counts": list(map(int, row["mask_rle"].split(",")))}
        theirs = coco.decode(coco.frPyObjects(plain, row["height"], row["width"]))
        ours = coco.decode({"size": [stored["height"], stored["width"]], "counts": stored["rle"].encode()})
        assert np.array_equal(theirs, ours)
        assert row["mask_area_pixels"] == stored["area"] == ours.sum()


def _tracks(storage: Storage, video_id: str, kept: Rows) -> None:
    expected = [
        {
            "track_id": r["track_id"],
            "class": r["object_class"],
            "label": r["label"],
            "start_frame": r["start_frame"],
            "end_frame": r["end_frame"],
            "duration_frames": r["end_frame"] - r["start_frame"],
            **({"seconds": round(sum(s["seconds"] for s in r["frames"]), 6)} if "seconds" in r["frames"][0] else {}),
            "avg_confidence": r["avg_confidence"],
            "frames": [
                {
                    "frame": s["frame"],
                    "timestamp": s["timestamp"],
                    "bbox": bbox(s),
                    "confidence": single(s["confidence"]),
                    "detection_id": s["detection_id"],
                    **({"seconds": s["seconds"]} if "seconds" in s else {}),
                }
                for s in r["frames"]
            ],
        }
        for r in kept
    ]
    rows = storage.db.fetch("SELECT * FROM current_tracking_trajectories WHERE video_id = %s ORDER BY track_id", (video_id,))
    assert [r["trajectory_data"] for r in rows] == expected
    for r in rows:
        data = r["trajectory_data"]
        assert (r["track_id"], r["object_class"]) == (data["track_id"], data["class"])
        assert (r["start_frame"], r["end_frame"]) == (data["start_frame"], data["end_frame"])


def _scenes(storage: Storage, video_id: str, kept: Rows) -> None:
    rows = storage.db.fetch("SELECT * FROM current_scene_analysis WHERE video_id = %s ORDER BY scene_number", (video_id,))
    assert [(r["scene_number"], r["start_frame"], r["end_frame"], r["analysis_data"]) for r in rows] == [
        (r["scene_number"], r["start_frame"], r["end_frame"], json.loads(r["analysis"])) for r in kept
    ]
