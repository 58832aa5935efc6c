"""Rows: the one place that turns a stage's Arrow columns into Postgres rows.

What belongs here: which column becomes which, the reference's JSON, and COPY. What does not: reading files, transactions.
Everything is done on whole columns: the text of each COPY field is built by Arrow, and a batch is one write. Numbers appear with the
fewest digits that give back the same float, in JSON as in columns (so 0.92 stays 0.92, not 0.9200000166893005).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline.versions import StageKey, row_id

if TYPE_CHECKING:
    import psycopg

    from reframer_pipeline.database.postgres import Row

Columns = dict[str, pa.Array]
COPY_ROWS = 1024  # a write holds a few copies of its text; a mask is some 9 kB of it


@dataclass(frozen=True)
class Target:
    """A table, and how a batch becomes its columns."""

    table: str
    columns: Callable[[pa.RecordBatch, StageKey], Columns]


def copy_rows(conn: psycopg.Connection[Row], video_id: str, key: StageKey, batches: Iterable[pa.RecordBatch]) -> int:
    """COPY a result's rows within the caller's transaction.

    Args:
        conn: In a transaction.
        video_id: The video.
        key: The result's key.
        batches: Its rows, as they lie in Parquet.

    Returns:
        Rows copied; 0 for stages whose rows live in Parquet alone (`frames`) or in `videos` (`metadata`).
    """
    from psycopg import sql

    target = TARGETS.get(key.stage)
    if target is None:
        return 0
    count = 0
    for batch in (whole.slice(start, COPY_ROWS) for whole in batches for start in range(0, whole.num_rows, COPY_ROWS)):
        columns = target.columns(batch, key)
        names = sql.SQL(", ").join(map(sql.Identifier, ("video_id", "result_id", *columns)))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(target.table), names)
        with conn.cursor().copy(statement) as copy:
            copy.write(_copy_text([video_id, key.result_id, *columns.values()]))
        count += batch.num_rows
    return count


def _detections(batch: pa.RecordBatch, key: StageKey) -> Columns:
    data = _join(
        '{"class": ', _quoted(batch.column("object_class")), ', "confidence": ', _text(batch.column("confidence")),
        ', "bbox": ', _bbox(*(batch.column(name) for name in ("x1", "y1", "x2", "y2"))), ', "label": ', _quoted(batch.column("label")),
        pc.if_else(batch.column("candidate"), ', "candidate": true}', "}"),
    )  # fmt: skip
    return {
        "id": batch.column("detection_id"),
        "frame_number": batch.column("frame_number"),
        "timestamp": batch.column("timestamp"),
        "ordinal": batch.column("ordinal"),
        "detection_data": data,
    }


def _masks(batch: pa.RecordBatch, key: StageKey) -> Columns:
    return {
        "id": batch.column("mask_id"),
        "detection_result_id": pa.repeat(key.components["inputs"]["detections"], batch.num_rows),
        "detection_id": batch.column("detection_id"),
        "frame_number": batch.column("frame_number"),
        "timestamp": batch.column("timestamp"),
        "mask_rle": _plain_runs(batch.column("rle")),
        "mask_area_pixels": batch.column("area"),
        "height": batch.column("height"),
        "width": batch.column("width"),
        "predicted_iou": batch.column("predicted_iou"),
        "stability": batch.column("stability"),
    }


def _trajectories(batch: pa.RecordBatch, key: StageKey) -> Columns:
    tracks, lists = batch.column("track_id"), batch.column("frames")
    steps = lists.flatten()

    def field(name: str) -> pa.Array:
        return pc.struct_field(steps, name)

    texts = _join(
        '{"frame": ', _text(field("frame")), ', "timestamp": ', _text(field("timestamp")),
        ', "bbox": ', _bbox(*(field(name) for name in ("x1", "y1", "x2", "y2"))), ', "confidence": ', _text(field("confidence")),
        ', "detection_id": ', _quoted(field("detection_id")), "}",
    )  # fmt: skip
    offsets = np.concatenate(([0], np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False)))).astype(np.int32)
    start, end = batch.column("start_frame"), batch.column("end_frame")
    data = _join(
        '{"track_id": ', _quoted(tracks), ', "class": ', _quoted(batch.column("object_class")),
        ', "label": ', _quoted(batch.column("label")),
        ', "start_frame": ', _text(start), ', "end_frame": ', _text(end), ', "duration_frames": ', _text(pc.subtract(end, start)),
        ', "avg_confidence": ', _text(batch.column("avg_confidence")),
        ', "frames": [', pc.binary_join(pa.ListArray.from_arrays(offsets, texts), ", "), "]}",
    )  # fmt: skip
    return {
        "id": _ids(key, tracks.to_pylist()),
        "track_id": tracks,
        "object_class": batch.column("object_class"),
        "trajectory_data": data,
        "start_frame": start,
        "end_frame": end,
    }


def _scenes(batch: pa.RecordBatch, key: StageKey) -> Columns:
    names = ("scene_number", "start_frame", "end_frame", "start_seconds", "end_seconds", "describer")
    return {
        "id": _ids(key, batch.column("scene_number").to_pylist()),
        **{name: batch.column(name) for name in names},
        "analysis_data": batch.column("analysis"),  # cleaned when it was written to Parquet
    }


TARGETS: dict[str, Target] = {
    "detections": Target("detections", _detections),
    "masks": Target("segmentation_masks", _masks),
    "trajectories": Target("tracking_trajectories", _trajectories),
    "scenes": Target("scene_analysis", _scenes),
}


def _plain_runs(compressed: pa.Array) -> pa.Array:
    """Run lengths as text, `"3,5,10"`: what `vision.rle.counts_to_text` gives, but numbers become text for the batch at once (measured:
    0.62 ms a mask one by one, 0.30 ms so, of which 0.18 ms are the decoding).
    """
    from reframer_pipeline.vision.rle import counts_of

    counts = [counts_of(rle) for rle in compressed.to_pylist()]
    offsets = np.cumsum([0, *(runs.size for runs in counts)]).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(offsets, _text(pa.array(np.concatenate(counts)))), ",")


def _ids(key: StageKey, names: list[Any]) -> pa.Array:
    return pa.array([row_id(key.result_id, str(name)) for name in names], pa.string())


def _bbox(x1: pa.Array, y1: pa.Array, x2: pa.Array, y2: pa.Array) -> pa.Array:
    """`{"x", "y", "width", "height"}` of xyxy columns; the differences are taken, like the corners, in single precision."""
    width, height = pc.subtract(x2, x1), pc.subtract(y2, y1)
    return _join('{"x": ', _text(x1), ', "y": ', _text(y1), ', "width": ', _text(width), ', "height": ', _text(height), "}")


def _join(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _text(column: pa.Array) -> pa.Array:
    return pc.cast(column, pa.string())


def _quoted(column: pa.Array) -> pa.Array:
    """Texts as JSON strings; few are distinct, or none needs escaping, so each distinct one is quoted once."""
    encoded = column.dictionary_encode()
    quoted = pa.array([json.dumps(text) for text in encoded.dictionary.to_pylist()], pa.string())
    return quoted.take(encoded.indices)


def _copy_text(columns: list[pa.Array | str]) -> bytes:
    """Rows in COPY's text format: fields between tabs, with backslash, tab and line ends escaped, null as \\N."""
    fields = [column if isinstance(column, str) else _copy_field(column) for column in columns]
    rows = pc.binary_join_element_wise(*fields, "\t")
    return ("\n".join(rows.to_pylist()) + "\n").encode()


def _copy_field(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return pc.fill_null(_text(column), "\\N")
    for char, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        column = pc.replace_substring(column, char, escape)
    return pc.fill_null(column, "\\N")
