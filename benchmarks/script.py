"""The peer of a whole clip: the script that a good engineer writes in an afternoon, with the same models.

What belongs here: OpenCV for frames, `predict` a frame, `SAM2ImagePredictor` with all boxes of a frame, pycocotools for run lengths,
ByteTrack a class, PySceneDetect over the file, `executemany` into Postgres. What does not: anything of ours but the models, which have to
be the same. It keeps no frames, describes no scene, judges nothing, and starts again from the beginning when it fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import psycopg
import supervision as sv
from pycocotools import mask as coco
from scenedetect import ContentDetector, detect
from trackers import ByteTrackTracker

STRIDE: Final = 5
CONFIDENCE: Final = 0.5
IOU: Final = 0.45
TABLES: Final = """
DROP TABLE IF EXISTS script_detections, script_tracks, script_scenes;
CREATE TABLE script_detections (frame integer, label text, confidence real, x1 real, y1 real, x2 real, y2 real, rle text, iou real);
CREATE TABLE script_tracks (frame integer, track integer, label text, x1 real, y1 real, x2 real, y2 real);
CREATE TABLE script_scenes (number integer, first integer, last integer);
"""


@dataclass
class Found:
    """What was found in a clip.

    Attributes:
        frames: The numbers of the frames that were looked at.
        detections: Frame, label, confidence, x1, y1, x2, y2, run lengths, predicted IoU.
        tracks: Frame, track, label, x1, y1, x2, y2.
        scenes: First frame, and one past the last.
    """

    frames: list[int] = field(default_factory=list)
    detections: list[tuple[Any, ...]] = field(default_factory=list)
    tracks: list[tuple[Any, ...]] = field(default_factory=list)
    scenes: list[tuple[int, int]] = field(default_factory=list)


class Models:
    """YOLO and SAM2, loaded."""

    def __init__(self, yolo: Any, predictor: Any, size: int, classes: dict[str, str]) -> None:
        self.yolo, self.predictor, self._size, self.classes = yolo, predictor, size, classes

    def look(self, number: int, bgr: npt.NDArray[np.uint8]) -> Iterator[tuple[Any, ...]]:
        """The detections of one picture, with masks."""
        (result,) = self.yolo.predict(bgr, conf=CONFIDENCE, iou=IOU, imgsz=self._size, verbose=False)
        boxes = result.boxes
        labels = [result.names[int(label)] for label in boxes.cls]
        wanted = [place for place, label in enumerate(labels) if label in self.classes]
        if not wanted:
            return
        xyxy = boxes.xyxy.cpu().numpy()[wanted]
        self.predictor.set_image(np.ascontiguousarray(bgr[..., ::-1]))
        masks, ious, _ = self.predictor.predict(box=xyxy, multimask_output=False)
        masks = masks.reshape(len(wanted), *masks.shape[-2:])
        for place, box, mask, iou in zip(wanted, xyxy, masks, ious.reshape(-1), strict=True):
            rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
            yield (number, labels[place], float(boxes.conf[place]), *map(float, box), rle, float(iou))


def analyse(path: Path, models: Models) -> Found:
    """One clip, from file to answers."""
    found = Found()
    video = cv2.VideoCapture(str(path))
    fps = video.get(cv2.CAP_PROP_FPS)
    trackers = {name: ByteTrackTracker(frame_rate=max(1, round(fps / STRIDE))) for name in set(models.classes.values())}
    number = 0
    while True:
        there, frame = video.read()
        if not there:
            break
        if number % STRIDE == 0:
            found.frames.append(number)
            rows = list(models.look(number, frame))
            found.detections += rows
            found.tracks += _tracked(trackers, models.classes, number, rows)
        number += 1
    video.release()
    found.scenes = [(first.frame_num, last.frame_num) for first, last in detect(str(path), ContentDetector())] or [(0, number)]
    return found


def _tracked(trackers: dict[str, Any], classes: dict[str, str], number: int, rows: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for name, tracker in trackers.items():
        own = [row for row in rows if classes[row[1]] == name]
        detections = sv.Detections(
            xyxy=np.array([row[3:7] for row in own], np.float32).reshape(-1, 4),
            confidence=np.array([row[2] for row in own], np.float32),
            class_id=np.zeros(len(own), int),
            data={"label": np.array([row[1] for row in own])},
        )
        tracks = tracker.update(detections)
        for box, track, label in zip(tracks.xyxy, tracks.tracker_id, tracks.data.get("label", []), strict=False):
            yield (number, int(track), str(label), *map(float, box))


def store(url: str, found: Found) -> None:
    """Everything into tables."""
    with psycopg.connect(url) as db, db.cursor() as cursor:
        cursor.execute(TABLES)
        for table, rows in {
            "script_detections": found.detections,
            "script_tracks": found.tracks,
            "script_scenes": [(number, *scene) for number, scene in enumerate(found.scenes, start=1)],
        }.items():
            if rows:
                cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)
