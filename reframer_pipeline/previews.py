"""What people see of a result: a small table and a contact sheet, for the UI and for the command line.

What belongs here: choosing rows and frames of committed results. What does not: drawing (`vision.drawing`, `vision.overlay`),
Dagster (the I/O manager wraps these texts). Everything is read from storage, so a preview shows what was kept, not what was meant.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from reframer_pipeline.failures import UnknownVideo
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.sampled import median_step, sampled_times
from reframer_pipeline.results import StageInput
from reframer_pipeline.storage import Storage
from reframer_pipeline.versions import STAGES
from reframer_pipeline.vision.boxes import Rgb
from reframer_pipeline.vision.drawing import INLINE_BYTES, contact_sheet, spread
from reframer_pipeline.vision.overlay import Caption, TrackNames, annotated_frames, track_names

INLINE_FRAMES: Final = 6
SHEET_FRAMES: Final = 12
TABLE_ROWS: Final = 12


def published(storage: Storage, video_id: str) -> dict[str, StageInput]:
    """The published results of a video by stage. Raises `UnknownVideo` when nothing has been published."""
    rows = storage.db.fetch("SELECT stage, result_id FROM published WHERE video_id = %s", (video_id,))
    if len(rows) < len(STAGES):
        raise UnknownVideo(f"Nothing has been published for video {video_id} yet.", "Finish it first: `reframer run` with its file.")
    return {row["stage"]: storage.results.open(str(row["result_id"])) for row in rows}


def sheet(results: Mapping[str, StageInput], frames: int = SHEET_FRAMES, *, columns: int = 4, max_bytes: int | None = None) -> bytes:
    """A JPEG of evenly spread sampled frames with everything drawn in that the given results know. Empty without frames."""
    seconds = dict(sampled_times(results["frames"]))
    with FrameStore(results["frames"].open_attachment()) as store:
        numbers = [store.frame_numbers[index] for index in spread(len(store.frame_numbers), frames)]
        if not numbers:
            return b""
        pictures: Iterable[tuple[int, Rgb]] = ((number, store.read(number)) for number in numbers)
        if "detections" in results:
            pictures = annotated_frames(pictures, results["detections"].batches(), _rows(results, "masks"), _tracks(results))
        drawn = [image for _, image in pictures]
    titles = [f"frame {number}, {seconds[number]:.2f} s" for number in numbers]
    return contact_sheet(drawn, titles, columns=columns, max_bytes=max_bytes)


def inline_sheet(results: Mapping[str, StageInput]) -> str:
    """The sheet as Markdown with the picture inside, small enough for Dagster's event log."""
    picture = sheet(results, INLINE_FRAMES, columns=3, max_bytes=INLINE_BYTES)
    return f"![contact sheet](data:image/jpeg;base64,{base64.b64encode(picture).decode()})" if picture else ""


def write_video(results: Mapping[str, StageInput], path: Path) -> None:
    """An H.264 mp4 of the sampled frames at their own pace, with boxes, masks, ids and scene captions."""
    from reframer_pipeline.vision.preview import write_preview

    captions = [
        Caption(row["start_frame"], row["end_frame"], f"Scene {row['scene_number']}: {_description(row['analysis'])}")
        for batch in results["scenes"].batches()
        for row in batch.to_pylist()
    ]
    with FrameStore(results["frames"].open_attachment()) as store:
        pictures = (frame for group in store.groups(1) for frame in group)
        drawn = annotated_frames(pictures, results["detections"].batches(), _rows(results, "masks"), _tracks(results), captions)
        write_preview((image for _, image in drawn), path, 1 / median_step(sampled_times(results["frames"])))


def table(result: StageInput) -> str:
    """A few rows that say what the result holds, as a Markdown table."""
    header, rows = _TABLES[result.stage](result)
    lines = [header, ["---"] * len(header), *rows[:TABLE_ROWS]]
    if len(rows) > TABLE_ROWS:
        lines.append([f"… {len(rows) - TABLE_ROWS} more", *[""] * (len(header) - 1)])
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ")[:160] for cell in line) + " |" for line in lines)


def _rows(results: Mapping[str, StageInput], stage: str) -> Iterable[pa.RecordBatch]:
    return results[stage].batches() if stage in results else ()


def _tracks(results: Mapping[str, StageInput]) -> TrackNames | None:
    return track_names(results["trajectories"].batches()) if "trajectories" in results else None


def _description(analysis: str) -> str:
    import json

    return str(json.loads(analysis)["description"])


Cells = tuple[list[str], list[list[Any]]]


def _metadata_table(result: StageInput) -> Cells:
    row = next(result.batches()).to_pylist()[0]
    rate = f"{row['fps_num']}/{row['fps_den']}{' (variable)' if row['variable_frame_rate'] else ''}"
    facts = {
        "container": row["container"],
        "codec": f"{row['codec']} {row['pix_fmt'] or ''}",
        "displayed": f"{row['width']}x{row['height']}, rotated {row['rotation']}°",
        "frames a second": rate,
        "duration": f"{row['duration_seconds']:.3f} s",
        "frames": row["frame_count"],
        "size": f"{row['size_bytes'] / 1e6:.2f} MB",
        "sha256": row["sha256"],
    }
    return ["fact", "value"], [[name, value] for name, value in facts.items()]


def _frames_table(result: StageInput) -> Cells:
    columns = pa.Table.from_batches(list(result.batches(["frame_number", "timestamp", "content_score", "sampled"]))).to_pydict()
    scores = np.asarray(columns["content_score"])
    top = sorted(np.argsort(scores)[::-1][:5].tolist())
    facts = [["source frames", len(scores)], ["sampled", sum(columns["sampled"])], ["last at", f"{columns['timestamp'][-1]:.3f} s"]]
    return ["fact", "value"], facts + [[f"change at frame {index}", f"{scores[index]:.1f}"] for index in top]


def _detections_table(result: StageInput) -> Cells:
    found = pa.Table.from_batches(list(result.batches(["object_class", "label", "confidence"])) or [_empty(result)])
    grouped = found.group_by(["object_class", "label"]).aggregate([("confidence", "count"), ("confidence", "mean"), ("confidence", "min")])
    rows = sorted(grouped.to_pylist(), key=lambda row: -row["confidence_count"])
    cells = [
        [row["object_class"], row["label"], row["confidence_count"], f"{row['confidence_mean']:.2f}", f"{row['confidence_min']:.2f}"]
        for row in rows
    ]
    return ["class", "label", "boxes", "mean confidence", "least"], cells


def _masks_table(result: StageInput) -> Cells:
    masks = pa.Table.from_batches(list(result.batches(["area", "height", "width", "predicted_iou", "stability"])) or [_empty(result)])
    columns = {name: np.asarray(masks[name].to_pylist(), dtype=float) for name in masks.column_names}
    if not masks.num_rows:
        return ["fact", "value"], [["masks", 0]]
    share = columns["area"] / (columns["height"] * columns["width"])
    facts = {
        "masks": masks.num_rows,
        "empty": int((columns["area"] == 0).sum()),
        "mean share of the frame": f"{share.mean():.1%}",
        "mean predicted IoU": f"{columns['predicted_iou'].mean():.2f}",
        "mean stability": f"{columns['stability'].mean():.2f}",
    }
    return ["fact", "value"], [[name, value] for name, value in facts.items()]


def _trajectories_table(result: StageInput) -> Cells:
    names = ["track_id", "object_class", "label", "start_frame", "end_frame", "avg_confidence"]
    rows = [list(row.values()) for batch in result.batches(names) for row in batch.to_pylist()]
    return ["track", "class", "label", "from", "to", "confidence"], [[*row[:5], f"{row[5]:.2f}"] for row in rows]


def _scenes_table(result: StageInput) -> Cells:
    rows = [row for batch in result.batches() for row in batch.to_pylist()]
    cells = [[row["scene_number"], f"{row['start_frame']}–{row['end_frame']}", _description(row["analysis"])] for row in rows]
    return ["scene", "frames", "what happens"], cells


def _empty(result: StageInput) -> pa.RecordBatch:
    from reframer_pipeline.schemas import TABLES

    return pa.RecordBatch.from_pylist([], schema=TABLES[result.stage])


_TABLES: Final[dict[str, Callable[[StageInput], Cells]]] = {
    "metadata": _metadata_table,
    "frames": _frames_table,
    "detections": _detections_table,
    "masks": _masks_table,
    "trajectories": _trajectories_table,
    "scenes": _scenes_table,
}
