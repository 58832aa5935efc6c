"""What people see of a result: a small table and a contact sheet, for the UI and for the command line.

What belongs here: choosing rows and frames of committed results. What does not: drawing (`vision.drawing`, `vision.overlay`),
Dagster (the I/O manager wraps these texts). Everything is read from storage, so a preview shows what was kept, not what was meant.
"""

from __future__ import annotations

import base64
import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, LiteralString

import numpy as np
import pyarrow as pa

from reframer_pipeline.failures import NotPublished
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.sampled import median_step, sampled_times, seconds_by_frame
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.versions import STAGES
from reframer_pipeline.vision.boxes import Rgb
from reframer_pipeline.vision.drawing import INLINE_BYTES, contact_sheet, spread
from reframer_pipeline.vision.overlay import Caption, TrackNames, annotated_frames, track_names
from reframer_pipeline.work.videos import get_video

INLINE_FRAMES: Final = 6
SHEET_FRAMES: Final = 12
TABLE_ROWS: Final = 12
LARGEST_CHANGES: Final = 5
DEMO_MODELS: Final = "demonstration models"


def published(storage: Storage, video_id: str) -> dict[str, StageInput]:
    """The published results of a video by stage. Raises `NotPublished` when nothing has been published, and `UnknownVideo`."""
    rows = storage.db.fetch("SELECT stage, result_id FROM published WHERE video_id = %s", (video_id,))
    if len(rows) < len(STAGES):
        video = get_video(storage.db, video_id)
        if video["failure_code"] is None:
            raise NotPublished(f"Video {video_id} has no results yet.")
        raise NotPublished(f"Video {video_id} has no results.", f"It failed with [{video['failure_code']}]: {video['failure_message']}")
    return {row["stage"]: storage.results.open(str(row["result_id"])) for row in rows}


def is_demo(results: Mapping[str, StageInput]) -> bool:
    """Whether the demonstration models made any of these results; detections or masks must be among them."""
    made = [result.manifest.components["weights"] for result in results.values() if isinstance(result, StoredResult)]
    return any(str(weights).startswith("demo:") for weights in made)


def demo_videos(storage: Storage, video_ids: Collection[str]) -> set[str]:
    """Those of the videos whose published results the demonstration models made."""
    query: LiteralString = """SELECT DISTINCT video_id::text AS video_id FROM current_results
        WHERE video_id = ANY(%s::uuid[]) AND starts_with(components ->> 'weights', 'demo:')"""
    return {row["video_id"] for row in storage.db.fetch(query, (list(video_ids),))}


def sheet(results: Mapping[str, StageInput], frames: int = SHEET_FRAMES, *, columns: int = 4, max_bytes: int | None = None) -> bytes:
    """A JPEG of evenly spread sampled frames with everything drawn in that the given results know. Empty without frames."""
    with FrameStore(results["frames"].open_attachment()) as store:
        numbers = [store.frame_numbers[index] for index in spread(len(store.frame_numbers), frames)]
        if not numbers:
            return b""
        seconds = seconds_by_frame(results["frames"])
        pictures: Iterable[tuple[int, Rgb]] = ((number, store.read(number)) for number in numbers)
        if "detections" in results:
            pictures = annotated_frames(pictures, results["detections"].batches(), _rows(results, "masks"), _tracks(results, numbers))
        drawn = [image for _, image in pictures]
    mark = f", {DEMO_MODELS}" if is_demo(results) else ""
    titles = [f"frame {number}, {seconds[number]:.2f} s{mark}" for number in numbers]
    return contact_sheet(drawn, titles, columns=columns, max_bytes=max_bytes)


def inline_sheet(results: Mapping[str, StageInput]) -> str:
    """The sheet as Markdown with the picture inside, small enough for Dagster's event log."""
    picture = sheet(results, INLINE_FRAMES, columns=3, max_bytes=INLINE_BYTES)
    mark = f"Made by {DEMO_MODELS}.\n\n" if is_demo(results) else ""
    return f"{mark}![contact sheet](data:image/jpeg;base64,{base64.b64encode(picture).decode()})" if picture else ""


def write_video(results: Mapping[str, StageInput], path: Path) -> None:
    """An H.264 mp4 of the sampled frames at their own pace, with boxes, masks, ids and scene captions."""
    from reframer_pipeline.vision.preview import write_preview

    mark = f"[{DEMO_MODELS}] " if is_demo(results) else ""
    captions = [
        Caption(row["start_frame"], row["end_frame"], f"{mark}Scene {row['scene_number']}: {_description(row['analysis'])}")
        for batch in results["scenes"].batches()
        for row in batch.to_pylist()
    ]
    with FrameStore(results["frames"].open_attachment()) as store:
        pictures = (frame for group in store.groups(1) for frame in group)
        drawn = annotated_frames(pictures, results["detections"].batches(), _rows(results, "masks"), _tracks(results), captions)
        write_preview((image for _, image in drawn), path, 1 / median_step(sampled_times(results["frames"])[1]))


def table(result: StageInput) -> str:
    """A few rows that say what the result holds, as a Markdown table. Reads the result once, a batch at a time."""
    header, rows, count = _TABLES[result.stage](result)
    lines = [header, ["---"] * len(header), *rows[:TABLE_ROWS]]
    if count > TABLE_ROWS:
        lines.append([f"… {count - TABLE_ROWS} more", *[""] * (len(header) - 1)])
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ")[:160] for cell in line) + " |" for line in lines)


def _rows(results: Mapping[str, StageInput], stage: str) -> Iterable[pa.RecordBatch]:
    return results[stage].batches() if stage in results else ()


def _tracks(results: Mapping[str, StageInput], frames: Collection[int] | None = None) -> TrackNames | None:
    return track_names(results["trajectories"].batches(), frames) if "trajectories" in results else None


def _description(analysis: str) -> str:
    import json

    return str(json.loads(analysis)["description"])


Cells = tuple[list[str], list[list[Any]], int]  # header, the first rows at least, and how many rows there are


def _facts(facts: Mapping[str, Any]) -> Cells:
    return ["fact", "value"], [[name, value] for name, value in facts.items()], len(facts)


def _first_rows(result: StageInput, columns: list[str] | None = None) -> list[dict[str, Any]]:
    rows = (row for batch in result.batches(columns) for row in batch.slice(0, TABLE_ROWS).to_pylist())
    return list(islice(rows, TABLE_ROWS))


def _metadata_table(result: StageInput) -> Cells:
    (row,) = _first_rows(result)
    return _facts(
        {
            "container": row["container"],
            "codec": f"{row['codec']} {row['pix_fmt'] or ''}",
            "displayed": f"{row['width']}x{row['height']}, rotated {row['rotation']}°",
            "frames a second": f"{row['fps_num']}/{row['fps_den']}{' (variable)' if row['variable_frame_rate'] else ''}",
            "duration": f"{row['duration_seconds']:.3f} s",
            "frames": row["frame_count"],
            "size": f"{row['size_bytes'] / 1e6:.2f} MB",
            "sha256": row["sha256"],
        }
    )


def _frames_table(result: StageInput) -> Cells:
    top: list[tuple[float, int]] = []
    sampled, last = 0, 0.0
    for batch in result.batches(["frame_number", "timestamp", "content_score", "sampled"]):
        numbers, seconds, scores = (batch.column(name).to_numpy() for name in ("frame_number", "timestamp", "content_score"))
        best = np.argsort(scores, kind="stable")[-LARGEST_CHANGES:]
        top = heapq.nlargest(LARGEST_CHANGES, [*top, *zip(scores[best].tolist(), numbers[best].tolist(), strict=True)])
        sampled += batch.column("sampled").true_count
        last = float(seconds[-1]) if len(seconds) else last
    changes = {f"change at frame {number}": f"{score:.1f}" for score, number in sorted(top, key=lambda change: change[1])}
    return _facts({"source frames": result.row_count, "sampled": sampled, "last at": f"{last:.3f} s", **changes})


def _detections_table(result: StageInput) -> Cells:
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


def _masks_table(result: StageInput) -> Cells:
    count, empty, sums = result.row_count, 0, np.zeros(3)
    for batch in result.batches(["area", "height", "width", "predicted_iou", "stability"]):
        area, height, width, iou, stability = (np.asarray(column.to_numpy(), float) for column in batch.columns)
        empty += int((area == 0).sum())
        sums += [(area / (height * width)).sum(), iou.sum(), stability.sum()]
    if not count:
        return _facts({"masks": 0})
    share, iou, stability = sums / count
    means = {"mean share of the frame": f"{share:.1%}", "mean predicted IoU": f"{iou:.2f}", "mean stability": f"{stability:.2f}"}
    return _facts({"masks": count, "empty": empty, **means})


def _trajectories_table(result: StageInput) -> Cells:
    names = ["track_id", "object_class", "label", "start_frame", "end_frame", "avg_confidence"]
    rows = [list(row.values()) for row in _first_rows(result, names)]
    return ["track", "class", "label", "from", "to", "confidence"], [[*row[:5], f"{row[5]:.2f}"] for row in rows], result.row_count


def _scenes_table(result: StageInput) -> Cells:
    rows = [[row["scene_number"], f"{row['start_frame']}–{row['end_frame']}", _description(row["analysis"])] for row in _first_rows(result)]
    return ["scene", "frames", "what happens"], rows, result.row_count


_TABLES: Final[dict[str, Callable[[StageInput], Cells]]] = {
    "metadata": _metadata_table,
    "frames": _frames_table,
    "detections": _detections_table,
    "masks": _masks_table,
    "trajectories": _trajectories_table,
    "scenes": _scenes_table,
}
