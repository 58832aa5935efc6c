"""The value types of what was found in one frame, and reading it back from stored rows.

What belongs here: `Boxes` as a detector finds them, `FrameDetections` as they are stored, and grouping these. What does not: finding
them (`detector`, `labels`). Boxes are `xyxy` in pixels of the displayed frame, origin top left, half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reframer_pipeline.handover import StageInput

Floats = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]
"""A frame: `(height, width, 3)`, red first."""

COLUMNS = ["detection_id", "frame_number", "timestamp", "object_class", "label", "confidence", "x1", "y1", "x2", "y2", "candidate"]


@dataclass(frozen=True)
class Boxes:
    """Boxes of one frame as the detector sees them.

    Attributes:
        xyxy: `(n, 4)` float32, pixels of the frame.
        confidence: `(n,)` float32.
        labels: `n` of the model's own labels.
    """

    xyxy: Floats
    confidence: Floats
    labels: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.intp]) -> Boxes:
        """The boxes at these rows, in this order."""
        return Boxes(self.xyxy[rows], self.confidence[rows], [self.labels[row] for row in rows])


@dataclass(frozen=True)
class FrameDetections:
    """The detections of one frame, by falling confidence.

    Attributes:
        frame_number: Source frame.
        timestamp: Seconds since the first frame.
        detection_ids: `n` row ids.
        object_classes: `n` times `person` or `product`.
        labels: `n` of the model's own labels.
        confidence: `(n,)` float32.
        xyxy: `(n, 4)` float32.
        candidate: `(n,)` bool: kept only for the tracker's second pass.
    """

    frame_number: int
    timestamp: float
    detection_ids: list[str]
    object_classes: list[str]
    labels: list[str]
    confidence: Floats
    xyxy: Floats
    candidate: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.detection_ids)


def by_frame(batches: Iterable[pa.RecordBatch]) -> Iterator[FrameDetections]:
    """Group stored detection rows by frame; a frame may straddle batches.

    Args:
        batches: Rows with at least `COLUMNS`, in the order they were written (by frame, then ordinal).

    Yields:
        One value per frame that has detections, in order. At most one batch and one frame are held.
    """
    waiting: pa.RecordBatch | None = None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        rows = batch.select(COLUMNS)
        joined = rows if waiting is None else pa.Table.from_batches([waiting, rows]).combine_chunks().to_batches()[0]
        numbers = joined.column("frame_number").to_numpy()
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist()]
        for start, end in zip(starts[:-1], starts[1:], strict=True):
            yield _frame(joined.slice(start, end - start))
        waiting = joined.slice(starts[-1])
    if waiting is not None:
        yield _frame(waiting)


def count_frames(detections: StageInput) -> int:
    """Number of frames that have detections: what `by_frame` will yield. Reads one column."""
    count, last = 0, None
    for batch in detections.batches(["frame_number"]):
        numbers = batch.column("frame_number").to_numpy()
        if len(numbers):
            count += int(np.count_nonzero(np.diff(numbers))) + (numbers[0] != last)
            last = numbers[-1]
    return int(count)


def _frame(rows: pa.RecordBatch) -> FrameDetections:
    def floats(name: str) -> Floats:
        return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), dtype=np.float32)

    return FrameDetections(
        frame_number=rows.column("frame_number")[0].as_py(),
        timestamp=rows.column("timestamp")[0].as_py(),
        detection_ids=rows.column("detection_id").to_pylist(),
        object_classes=rows.column("object_class").to_pylist(),
        labels=rows.column("label").to_pylist(),
        confidence=floats("confidence"),
        xyxy=np.stack([floats(name) for name in ("x1", "y1", "x2", "y2")], axis=1),
        candidate=rows.column("candidate").to_numpy(zero_copy_only=False).astype(bool),
    )
