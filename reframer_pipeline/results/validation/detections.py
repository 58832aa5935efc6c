"""What detections and their masks must keep.

What belongs here: rules about single frames. What does not: rules over time (`tracks`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.sampled import sampled_times
from reframer_pipeline.results.validation.checks import Bools, IdTable, Validator, numbers, packed
from reframer_pipeline.schemas import CLASSES

_EPSILON = 1e-5  # thresholds are compared in single precision by the detector


def frame_size(metadata: StageInput) -> tuple[int, int]:
    """Displayed width and height."""
    row: dict[str, Any] = next(metadata.batches(["width", "height"])).to_pylist()[0]
    return row["width"], row["height"]


def known_detections(detections: StageInput) -> IdTable:
    """All detections with their frame; the flag says candidate (kept for the tracker alone)."""
    batches = list(detections.batches(["detection_id", "frame_number", "candidate"]))
    return IdTable(
        [packed(batch.column("detection_id")) for batch in batches],
        [numbers(batch, "frame_number") for batch in batches],
        [numbers(batch, "candidate").astype(bool) for batch in batches],
    )


class DetectionsValidator(Validator):
    """Boxes inside sampled frames, in order, of known classes, above the detector's floor, with ids of their own."""

    names = ("on_sampled_frames", "ordered", "boxes_inside_frame", "classes_known", "confidence_in_range", "ids_unique")

    def __init__(self, size: tuple[int, int], frames: StageInput, conf: float, floor: float) -> None:
        super().__init__()
        self._width, self._height = size
        self._conf, self._floor = conf, floor
        self._frames, self._times = sampled_times(frames)
        self._ids: list[Any] = []
        self._last = (-1, -1, 2.0)  # frame, ordinal, confidence

    def judge(self, batch: pa.RecordBatch) -> None:
        frame, ordinal, conf = (numbers(batch, name) for name in ("frame_number", "ordinal", "confidence"))
        x1, y1, x2, y2 = (numbers(batch, name) for name in ("x1", "y1", "x2", "y2"))
        candidate = numbers(batch, "candidate").astype(bool)
        at = np.minimum(np.searchsorted(self._frames, frame), self._frames.size - 1)
        self.expect("on_sampled_frames", (self._frames[at] == frame) & (self._times[at] == numbers(batch, "timestamp")))
        self.expect("ordered", self._in_order(frame, ordinal, conf))
        self.expect("boxes_inside_frame", (x1 >= 0) & (y1 >= 0) & (x1 < x2) & (y1 < y2) & (x2 <= self._width) & (y2 <= self._height))
        self.expect("classes_known", np.isin(np.asarray(batch.column("object_class").to_pylist()), CLASSES))
        in_range = (conf >= self._floor - _EPSILON) & (conf <= 1 + _EPSILON)
        self.expect("confidence_in_range", in_range & np.where(candidate, conf < self._conf + _EPSILON, conf >= self._conf - _EPSILON))
        self._ids.append(packed(batch.column("detection_id")))
        self.figures["candidates"] = self.figures.get("candidates", 0) + int(np.count_nonzero(candidate))

    def _in_order(self, frame: Any, ordinal: Any, conf: Any) -> Bools:
        frames = np.concatenate(([self._last[0]], frame))
        ordinals = np.concatenate(([self._last[1]], ordinal))
        confs = np.concatenate(([self._last[2]], conf))
        same = frames[1:] == frames[:-1]
        follows = (ordinals[1:] == ordinals[:-1] + 1) & (confs[1:] <= confs[:-1])
        self._last = (int(frame[-1]), int(ordinal[-1]), float(conf[-1]))
        kept: Bools = np.where(same, follows, (frames[1:] > frames[:-1]) & (ordinals[1:] == 0))
        return kept

    def conclude(self) -> None:
        ids = np.concatenate(self._ids) if self._ids else np.zeros(0, np.uint64)
        doubles = ids.size - np.unique(ids).size
        self.expect("ids_unique", doubles == 0, f"{doubles} ids occur again")
        self.figures.setdefault("candidates", 0)


class MasksValidator(Validator):
    """Exactly one mask for every detection that is no candidate, as large as it says."""

    names = ("size_is_frames", "rle_covers_frame", "area_is_rles", "no_orphans", "one_each", "none_missing", "scores_finite")

    def __init__(self, size: tuple[int, int], detections: StageInput) -> None:
        super().__init__()
        self._width, self._height = size
        self._known = known_detections(detections)

    def judge(self, batch: pa.RecordBatch) -> None:
        ids = packed(batch.column("detection_id"))
        known, frame, candidate = self._known.find(ids)
        self.expect("no_orphans", known & ~candidate & (frame == numbers(batch, "frame_number")))
        self.expect("one_each", self._known.use(ids) | ~known)
        self.expect("size_is_frames", (numbers(batch, "width") == self._width) & (numbers(batch, "height") == self._height))
        total, ones = _pixels(batch.column("rle").to_pylist())
        self.expect("rle_covers_frame", total == self._width * self._height)
        self.expect("area_is_rles", ones == numbers(batch, "area"))
        self.expect("scores_finite", np.isfinite(numbers(batch, "predicted_iou")) & np.isfinite(numbers(batch, "stability")))

    def conclude(self) -> None:
        missing = self._known.unused(flag=False)
        self.expect("none_missing", missing == 0, f"{missing} detections have no mask")


def _pixels(rles: list[str]) -> tuple[Any, Any]:
    """For each mask: pixels the runs cover, and pixels set (-1, -1 where it is no run-length string)."""
    from reframer_pipeline.vision.rle import counts_of

    found = np.full((2, len(rles)), -1, np.int64)
    for at, rle in enumerate(rles):
        try:
            counts = counts_of(rle)
        except InvalidResult:
            continue
        if counts.size and counts.min() >= 0:
            found[:, at] = counts.sum(), counts[1::2].sum()
    return found[0], found[1]
