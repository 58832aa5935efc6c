"""The masks stage: SAM2, prompted with the detector's boxes.

What belongs here: all that is special about it. What does not: segmenting (`vision`), COPY (`results.rows`), running it
(`orchestration.stage`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline import schemas
from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.handover import StageInput, StageOutput
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.settings import EXACT, SAM2_IMGSZ, Settings
from reframer_pipeline.stages.checks import IdTable, Validator, numbers, packed
from reframer_pipeline.stages.columns import text
from reframer_pipeline.stages.metadata import frame_size
from reframer_pipeline.stages.stage import Cells, Columns, Rows, Stage, Work, facts
from reframer_pipeline.versions import StageKey
from reframer_pipeline.vision import models
from reframer_pipeline.vision.boxes import by_frame, count_frames
from reframer_pipeline.vision.rle import counts_of, inside
from reframer_pipeline.vision.segmenter import MaskChoice, segment_frames


def _compute(work: Work, frames: StageInput, detections: StageInput) -> StageOutput:
    store = work.hold(FrameStore(frames.open_attachment()))
    found, segmenter, total = by_frame(detections.batches()), models.segmenter(work.settings), count_frames(detections)
    rows = segment_frames(found, store.read, segmenter, work.result_id, work.progress, total, _choice(work.key))
    return StageOutput("masks", rows)


def _more_settings(settings: Settings) -> dict[str, Any]:
    """What makes masks fewer or coarser counts where it is asked for: what was made before one could ask stays as it is."""
    exact = {**asdict(MaskChoice()), "sam2_imgsz": SAM2_IMGSZ[settings.models], "precision": EXACT}
    asked = {**{name: getattr(settings, name) for name in exact}, "sam2_imgsz": settings.effective_sam2_imgsz}
    return {name: value for name, value in asked.items() if value != exact[name]}


def _choice(key: StageKey) -> MaskChoice:
    chosen = key.components["settings"]
    return MaskChoice(**{part.name: chosen[part.name] for part in fields(MaskChoice) if part.name in chosen})


class MasksValidator(Validator):
    """Exactly one mask for every detection that is to have one, as large as it says. Warns of masks that lie mostly outside their box:
    SAM2 was asked for what is in it, and has found something else.
    """

    names = (
        "size_is_frames", "rle_covers_frame", "area_is_rles", "no_orphans", "one_each", "none_missing", "scores_finite",
        "mostly_inside_box",
    )  # fmt: skip
    warnings = ("mostly_inside_box",)

    def __init__(self, key: StageKey, upstream: Mapping[str, StageInput]) -> None:
        super().__init__(key, upstream)
        self._width, self._height = frame_size(upstream["metadata"])
        self._known = _known(upstream["detections"], _choice(key))
        self._ids, self._boxes = _boxes(upstream["detections"])

    def judge(self, batch: pa.RecordBatch) -> None:
        ids = packed(batch.column("detection_id"))
        known, frame, left_out = self._known.find(ids)
        self.expect("no_orphans", known & ~left_out & (frame == numbers(batch, "frame_number")))
        self.expect("one_each", self._known.use(ids) | ~known)
        self.expect("size_is_frames", (numbers(batch, "width") == self._width) & (numbers(batch, "height") == self._height))
        at = np.minimum(np.searchsorted(self._ids, ids), max(self._ids.size - 1, 0))
        boxes = self._boxes[at] if self._ids.size else np.zeros((ids.size, 4), np.float32)
        total, ones, in_box = _pixels(batch.column("rle").to_pylist(), self._height, boxes)
        self.expect("rle_covers_frame", total == self._width * self._height)
        self.expect("area_is_rles", ones == numbers(batch, "area"))
        self.expect("mostly_inside_box", ~known | (2 * in_box >= ones))
        self.expect("scores_finite", np.isfinite(numbers(batch, "predicted_iou")) & np.isfinite(numbers(batch, "stability")))

    def conclude(self) -> None:
        missing = self._known.unused(flag=False)
        self.expect("none_missing", missing == 0, f"{missing} detections have no mask")


def _known(detections: StageInput, choice: MaskChoice) -> IdTable:
    """All detections with their frame; the flag says that it is to have no mask."""
    batches = list(detections.batches(["detection_id", "frame_number", "confidence", "candidate"]))
    frames = [numbers(batch, "frame_number") for batch in batches]
    real = [frame[~numbers(batch, "candidate").astype(bool)] for frame, batch in zip(frames, batches, strict=True)]
    in_order = np.unique(np.concatenate([*real, np.zeros(0, np.int32)]))
    chosen = [
        choice.of(np.searchsorted(in_order, frame), numbers(batch, "confidence"), numbers(batch, "candidate"))
        for frame, batch in zip(frames, batches, strict=True)
    ]
    return IdTable([packed(batch.column("detection_id")) for batch in batches], frames, [~one for one in chosen])


def _boxes(detections: StageInput) -> tuple[Any, Any]:
    """The ids of all detections in rising order, and their boxes, `(n, 4)`: 24 bytes each."""
    ids, boxes = [np.zeros(0, np.uint64)], [np.zeros((0, 4), np.float32)]
    for batch in detections.batches(["detection_id", "x1", "y1", "x2", "y2"]):
        ids.append(packed(batch.column("detection_id")))
        boxes.append(np.stack([numbers(batch, name) for name in ("x1", "y1", "x2", "y2")], axis=1))
    order = np.argsort(np.concatenate(ids))
    return np.concatenate(ids)[order], np.concatenate(boxes)[order]


def _pixels(rles: list[str], height: int, boxes: Any) -> tuple[Any, Any, Any]:
    """For each mask: pixels the runs cover, pixels set, and those of them in its box (all -1 where it is no run-length string)."""
    found = np.full((3, len(rles)), -1, np.int64)
    for at, rle in enumerate(rles):
        try:
            counts = counts_of(rle)
        except InvalidResult:
            continue
        if counts.size and counts.min() >= 0:
            found[:, at] = counts.sum(), counts[1::2].sum(), inside(counts, height, boxes[at])
    return found[0], found[1], found[2]


def _columns(batch: pa.RecordBatch, key: StageKey) -> Columns:
    names = ("detection_id", "frame_number", "timestamp", "height", "width", "predicted_iou", "stability")
    return {
        "id": batch.column("mask_id"),
        "detection_result_id": pa.repeat(key.components["inputs"]["detections"], batch.num_rows),
        "mask_rle": _plain_runs(batch.column("rle")),
        "mask_area_pixels": batch.column("area"),
        **{name: batch.column(name) for name in names},
    }


def _plain_runs(compressed: pa.Array) -> pa.Array:
    """Run lengths as text, `"3,5,10"`. Numbers become text for the batch at once (measured: 0.62 ms a mask one by one, 0.30 ms so, of
    which 0.18 ms are the decoding).
    """
    counts = [counts_of(rle) for rle in compressed.to_pylist()]
    offsets = np.cumsum([0, *(runs.size for runs in counts)]).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(offsets, text(pa.array(np.concatenate(counts)))), ",")


def _cells(result: StageInput) -> Cells:
    count, empty, sums = result.row_count, 0, np.zeros(3)
    for batch in result.batches(["area", "height", "width", "predicted_iou", "stability"]):
        area, height, width, iou, stability = (np.asarray(column.to_numpy(), float) for column in batch.columns)
        empty += int((area == 0).sum())
        sums += [(area / (height * width)).sum(), iou.sum(), stability.sum()]
    if not count:
        return facts({"masks": 0})
    share, iou, stability = sums / count
    means = {"mean share of the frame": f"{share:.1%}", "mean predicted IoU": f"{iou:.2f}", "mean stability": f"{stability:.2f}"}
    return facts({"masks": count, "empty": empty, **means})


MASKS: Final = Stage(
    name="masks",
    says="The pixels of every detection, run-length encoded (SAM2: one image encoding a frame, all its boxes in one decoder call).",
    inputs=("frames", "detections"),
    code_version=1,
    settings=(),
    schema=schemas.MASKS,
    compute=_compute,
    validator=MasksValidator,
    cells=_cells,
    kinds=frozenset({"sam2", "parquet", "postgres"}),
    weights="segmenter",
    rows=Rows("segmentation_masks", _columns),
    more_settings=_more_settings,
    looks_at_pictures=lambda chosen: True,
)
