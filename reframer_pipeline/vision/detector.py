"""Finding persons and products in frames.

What belongs here: the `Detector` protocol, YOLO behind it, and the stage that turns frames into rows of `schemas.DETECTIONS`.
What does not: labels and suppression after mapping (`labels`), loading weights (`models`), reading frames (`media`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa

from reframer_pipeline.failures import WeightsUnsuitable
from reframer_pipeline.handover import Progress, no_progress, record_batches
from reframer_pipeline.media.sampled import TimedFrame
from reframer_pipeline.schemas import DETECTIONS
from reframer_pipeline.settings import Settings
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.boxes import Boxes, Rgb
from reframer_pipeline.vision.device import ShrinkingBatch, keeping_threads
from reframer_pipeline.vision.labels import mapped

if TYPE_CHECKING:
    from ultralytics import YOLO

MOST_BOXES: Final = 1000  # of a picture. YOLO gives 300 at most; of 100,000 the overlaps alone would take 80 GB


class Detector(Protocol):
    """Anything that finds labelled boxes in pictures."""

    def detect(self, images: Sequence[Rgb]) -> list[Boxes]:
        """Boxes of each image, in pixels of that image; the images form one batch."""


class YoloDetector:
    """Ultralytics' own `predict`: its letterboxing, its suppression, its boxes."""

    def __init__(self, model: YOLO, settings: Settings, device: str = "cpu") -> None:
        """Wrap a model.

        Args:
            model: A detection model.
            settings: `detector_floor`, `iou` and `effective_imgsz` are used.
            device: A result of `resolve_device`.
        """
        self._model = model
        self._lock = threading.Lock()  # a YOLO object keeps the running batch in itself
        self._options: dict[str, Any] = {
            "conf": settings.detector_floor,
            "iou": settings.iou,
            "imgsz": settings.effective_imgsz,
            "device": device,
            "verbose": False,
            "save": False,
        }

    def detect(self, images: Sequence[Rgb]) -> list[Boxes]:
        """Boxes of each image, as `predict` returns them for that batch."""
        bgr = [np.ascontiguousarray(image[..., ::-1]) for image in images]  # ultralytics takes arrays as BGR
        with self._lock, keeping_threads():
            results = self._model.predict(bgr, **self._options)
        found = []
        for result in results:
            table = result.boxes.data.cpu().numpy().astype(np.float32)
            found.append(Boxes(table[:, :4], table[:, 4], [result.names[int(number)] for number in table[:, 5]]))
        return found


def detect_frames(
    groups: Iterable[Sequence[TimedFrame]],
    detector: Detector,
    settings: Settings,
    result_id: str,
    progress: Progress = no_progress,
    total: int = 0,
) -> Iterator[pa.RecordBatch]:
    """The detections stage.

    Args:
        groups: The sampled frames in order, some at a time; they are cut into batches of `settings.batch`.
        detector: Finds the boxes.
        settings: See `labels.mapped`; boxes below `conf` (kept down to `detector_floor`) become candidates.
        result_id: Of this stage's result.
        progress: Called after each group with frames done.
        total: Number of sampled frames, 0 if unknown.

    Yields:
        Batches of `schemas.DETECTIONS`, by frame and falling confidence. Frames without detections have no rows.

    Raises:
        OutOfMemory: Not even one frame fits the device.
        WeightsUnsuitable: The detector answers with more than `MOST_BOXES` boxes of a picture.
    """

    def rows() -> Iterator[dict[str, Any]]:
        batch, done = ShrinkingBatch(settings.batch, "frames"), 0
        for group in groups:
            found = batch.run([image for _, _, image in group], detector.detect)
            for (frame_number, timestamp, image), boxes in zip(group, found, strict=True):
                for row in _rows_of(boxes, image, settings):
                    identity = row_id(result_id, f"{frame_number}:{row['ordinal']}")
                    yield {"detection_id": identity, "frame_number": frame_number, "timestamp": timestamp, **row}
            done += len(group)
            progress(done, total)

    return record_batches(rows(), DETECTIONS)


def _rows_of(boxes: Boxes, image: Rgb, settings: Settings) -> Iterator[dict[str, Any]]:
    """One frame's rows, but for what names the frame."""
    if len(boxes) > MOST_BOXES:
        raise WeightsUnsuitable(
            f"The detector sees {len(boxes)} boxes in one picture; {MOST_BOXES} are allowed.",
            "Use a detector that suppresses overlapping boxes, or raise REFRAMER_CONF.",
        )
    kept, classes = mapped(boxes, image.shape[0], image.shape[1], settings)
    for ordinal, (box, confidence, label, object_class) in enumerate(zip(kept.xyxy, kept.confidence, kept.labels, classes, strict=True)):
        yield {
            "ordinal": ordinal,
            "object_class": object_class,
            "label": label,
            "confidence": confidence,
            **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
            "candidate": bool(confidence < settings.conf),
        }
