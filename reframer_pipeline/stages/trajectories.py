"""The trajectories stage: ByteTrack over the detections.

What belongs here: all that is special about it. What does not: tracking (`vision`), COPY (`results.rows`), running it
(`orchestration.stage`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline import schemas
from reframer_pipeline.handover import StageInput, StageOutput
from reframer_pipeline.media.sampled import median_step, sampled_times
from reframer_pipeline.scenes.measures import Sampling
from reframer_pipeline.scenes.shots import find_shots
from reframer_pipeline.schemas import CLASSES
from reframer_pipeline.stages.checks import Validator, numbers, packed
from reframer_pipeline.stages.columns import bbox, ids, join, quoted, text
from reframer_pipeline.stages.detections import known_detections
from reframer_pipeline.stages.stage import Cells, Columns, Rows, Stage, Work, first_rows
from reframer_pipeline.versions import StageKey
from reframer_pipeline.vision.boxes import by_frame
from reframer_pipeline.vision.trajectories import track_detections


def _compute(work: Work, metadata: StageInput, frames: StageInput, detections: StageInput) -> StageOutput:
    sampling, found = Sampling(*sampled_times(frames)), by_frame(detections.batches())
    shots = find_shots(frames.batches(), next(metadata.batches()).to_pylist()[0], work.settings)
    spans = np.concatenate([np.empty(0), *(sampling.within(shot).spans(shot) for shot in shots)])
    looks = zip(sampling.frame.tolist(), sampling.seconds.tolist(), spans.tolist(), strict=True)
    step, cuts = median_step(sampling.seconds), [shot.start_frame for shot in shots[1:]]
    return StageOutput("trajectories", track_detections(looks, found, step, work.settings, work.progress, spans.size, cuts))


class TrajectoriesValidator(Validator):
    """Tracks that rise in time over existing detections, none of which is in two tracks."""

    names = (
        "frames_rise", "span_is_frames", "seconds_finite", "detections_exist", "detections_used_once", "track_ids_unique", "classes_known",
    )  # fmt: skip

    def __init__(self, key: StageKey, upstream: Mapping[str, StageInput]) -> None:
        super().__init__(key, upstream)
        self._known = known_detections(upstream["detections"])
        self._tracks: set[str] = set()

    def judge(self, batch: pa.RecordBatch) -> None:
        lists = batch.column("frames")
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        steps = lists.flatten()
        frame, seen = pc.struct_field(steps, "frame").to_numpy(zero_copy_only=False), packed(pc.struct_field(steps, "detection_id"))
        start, end = numbers(batch, "start_frame"), numbers(batch, "end_frame")
        first = np.cumsum(lengths) - lengths
        rising = np.ones(frame.size, bool)
        rising[1:] = np.diff(frame) > 0
        rising[first[lengths > 0]] = True
        self.expect("frames_rise", rising, "a later step has no later frame")
        filled = lengths > 0
        spans = filled.copy()
        spans[filled] = (frame[first[filled]] == start[filled]) & (frame[(first + lengths - 1)[filled]] + 1 == end[filled])
        self.expect("span_is_frames", spans)
        seconds = pc.struct_field(steps, "seconds").to_numpy(zero_copy_only=False)
        self.expect("seconds_finite", np.isfinite(seconds) & (seconds >= 0), "a step stands for no time")
        known, seen_in, _ = self._known.find(seen)
        self.expect("detections_exist", known & (seen_in == frame), "a step names no detection of its frame")
        self.expect("detections_used_once", self._known.use(seen) | ~known, "a detection is in two tracks")
        names = batch.column("track_id").to_pylist()
        self.expect("track_ids_unique", len(set(names) - self._tracks) == len(names), "a track id occurs again")
        self._tracks.update(names)
        self.expect("classes_known", np.isin(np.asarray(batch.column("object_class").to_pylist()), CLASSES))


def _columns(batch: pa.RecordBatch, key: StageKey) -> Columns:
    tracks, lists = batch.column("track_id"), batch.column("frames")
    steps = lists.flatten()

    def field(name: str) -> pa.Array:
        return pc.struct_field(steps, name)

    ends = np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False))
    of_step: Sequence[pa.Array | str] = ()
    of_track: Sequence[pa.Array | str] = ()
    if steps.type.get_field_index("seconds") >= 0:  # results of version 2 and before do not say what a sighting stands for
        sums = np.diff(np.concatenate(([0.0], np.cumsum(field("seconds").to_numpy())))[np.concatenate(([0], ends))])
        of_step, of_track = (', "seconds": ', text(field("seconds"))), (', "seconds": ', text(pa.array(np.round(sums, 6))))
    texts = join(
        '{"frame": ', text(field("frame")), ', "timestamp": ', text(field("timestamp")),
        ', "bbox": ', bbox(*(field(name) for name in ("x1", "y1", "x2", "y2"))), ', "confidence": ', text(field("confidence")),
        ', "detection_id": ', quoted(field("detection_id")), *of_step, "}",
    )  # fmt: skip
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    start, end = batch.column("start_frame"), batch.column("end_frame")
    data = join(
        '{"track_id": ', quoted(tracks), ', "class": ', quoted(batch.column("object_class")),
        ', "label": ', quoted(batch.column("label")),
        ', "start_frame": ', text(start), ', "end_frame": ', text(end), ', "duration_frames": ', text(pc.subtract(end, start)), *of_track,
        ', "avg_confidence": ', text(batch.column("avg_confidence")),
        ', "frames": [', pc.binary_join(pa.ListArray.from_arrays(offsets, texts), ", "), "]}",
    )  # fmt: skip
    named = {name: batch.column(name) for name in ("track_id", "object_class", "start_frame", "end_frame")}
    return {"id": ids(key, tracks.to_pylist()), **named, "trajectory_data": data}


def _cells(result: StageInput) -> Cells:
    names = ["track_id", "object_class", "label", "start_frame", "end_frame", "avg_confidence"]
    rows = [list(row.values()) for row in first_rows(result, names)]
    return ["track", "class", "label", "from", "to", "confidence"], [[*row[:5], f"{row[5]:.2f}"] for row in rows], result.row_count


TRAJECTORIES: Final = Stage(
    name="trajectories",
    says="The path of every person and product through time, one row per track (ByteTrack: motion only, fresh for every shot).",
    inputs=("metadata", "frames", "detections"),
    code_version=3,
    settings=("track_thresh", "track_buffer", "match_thresh", "min_sightings", "shot_threshold", "min_shot_s"),
    schema=schemas.TRAJECTORIES,
    compute=_compute,
    validator=TrajectoriesValidator,
    cells=_cells,
    kinds=frozenset({"bytetrack", "parquet", "postgres"}),
    rows=Rows("tracking_trajectories", _columns),
)
