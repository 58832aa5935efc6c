"""The detections stage: YOLOv8 on every sampled frame.

What belongs here: all that is special about it. What does not: finding (`vision`), COPY (`results.rows`), running it
(`orchestration.stage`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline import schemas
from reframer_pipeline.handover import StageInput, StageOutput
from reframer_pipeline.media.sampled import sampled_times, timed_groups
from reframer_pipeline.schemas import CLASSES
from reframer_pipeline.settings import EXACT, Settings
from reframer_pipeline.stages.checks import Bools, IdTable, Validator, numbers, packed
from reframer_pipeline.stages.columns import bbox, join, quoted, text
from reframer_pipeline.stages.metadata import frame_size
from reframer_pipeline.stages.stage import Cells, Columns, Rows, Stage, Work
from reframer_pipeline.versions import StageKey
from reframer_pipeline.vision import models
from reframer_pipeline.vision.detector import detect_frames

_EPSILON: Final = 1e-5  # thresholds are compared in single precision by the detector


def _compute(work: Work, frames: StageInput) -> StageOutput:
    groups, total = timed_groups(frames, work.settings.batch)
    rows = detect_frames(groups, models.detector(work.settings), work.settings, work.result_id, work.progress, total)
    return StageOutput("detections", rows)


def _more_settings(settings: Settings) -> dict[str, Any]:
    """Less than exact arithmetic counts where it is asked for: what was made before one could ask stays as it is."""
    return {} if settings.precision == EXACT else {"precision": settings.precision}


class DetectionsValidator(Validator):
    """Boxes inside sampled frames, in order, of known classes, above the detector's floor, with ids of their own."""

    names = ("on_sampled_frames", "ordered", "boxes_inside_frame", "classes_known", "confidence_in_range", "ids_unique")

    def __init__(self, key: StageKey, upstream: Mapping[str, StageInput]) -> None:
        super().__init__(key, upstream)
        chosen = key.components["settings"]
        self._width, self._height = frame_size(upstream["metadata"])
        self._conf, self._floor = chosen["conf"], chosen["detector_floor"]
        self._frames, self._times = sampled_times(upstream["frames"])
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


def known_detections(detections: StageInput) -> IdTable:
    """All detections of a result with their frame; the flag says candidate (kept for the tracker alone)."""
    batches = list(detections.batches(["detection_id", "frame_number", "candidate"]))
    return IdTable(
        [packed(batch.column("detection_id")) for batch in batches],
        [numbers(batch, "frame_number") for batch in batches],
        [numbers(batch, "candidate").astype(bool) for batch in batches],
    )


def _columns(batch: pa.RecordBatch, key: StageKey) -> Columns:
    data = join(
        '{"class": ', quoted(batch.column("object_class")), ', "confidence": ', text(batch.column("confidence")),
        ', "bbox": ', bbox(*(batch.column(name) for name in ("x1", "y1", "x2", "y2"))), ', "label": ', quoted(batch.column("label")),
        pc.if_else(batch.column("candidate"), ', "candidate": true}', "}"),
    )  # fmt: skip
    named = {name: batch.column(name) for name in ("frame_number", "timestamp", "ordinal")}
    return {"id": batch.column("detection_id"), **named, "detection_data": data}


def _cells(result: StageInput) -> Cells:
    found: dict[tuple[str, str], tuple[int, float, float]] = {}
    for batch in result.batches(["object_class", "label", "confidence"]):
        grouped = pa.Table.from_batches([batch]).group_by(["object_class", "label"])
        for row in grouped.aggregate([("confidence", "count"), ("confidence", "sum"), ("confidence", "min")]).to_pylist():
            count, total, least = found.get((row["object_class"], row["label"]), (0, 0.0, 1.0))
            figures = count + row["confidence_count"], total + row["confidence_sum"], min(least, row["confidence_min"])
            found[row["object_class"], row["label"]] = figures
    falling = sorted(found.items(), key=lambda item: -item[1][0])
    rows = [[*names, count, f"{total / count:.2f}", f"{least:.2f}"] for names, (count, total, least) in falling]
    return ["class", "label", "boxes", "mean confidence", "least"], rows, len(rows)


DETECTIONS: Final = Stage(
    name="detections",
    says="Where every person and product is: boxes with class, label and confidence on each sampled frame (YOLOv8).",
    inputs=("frames",),
    code_version=1,
    settings=("effective_imgsz", "conf", "detector_floor", "iou", "min_size", "person_labels", "product_labels"),
    schema=schemas.DETECTIONS,
    compute=_compute,
    validator=DetectionsValidator,
    cells=_cells,
    kinds=frozenset({"yolo", "parquet", "postgres"}),
    weights="detector",
    more_settings=_more_settings,
    rows=Rows("detections", _columns),
    looks_at_pictures=lambda chosen: True,
)
