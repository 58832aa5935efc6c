"""What people see of a result: a small table and a contact sheet, for the UI and for the command line.

What belongs here: choosing rows and frames of committed results. What does not: drawing (`vision.drawing`, `vision.overlay`),
Dagster (the I/O manager wraps these texts). Everything is read from storage, so a preview shows what was kept, not what was meant.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from reframer_pipeline.failures import NotPublished, ResultsGone
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.sampled import seconds_by_frame
from reframer_pipeline.media.timecode import Timecode
from reframer_pipeline.reading.tables import GONE
from reframer_pipeline.results.corrected import as_corrected
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.stages import BY_NAME, upstream
from reframer_pipeline.stages.stage import TABLE_ROWS
from reframer_pipeline.vision.boxes import Rgb
from reframer_pipeline.vision.drawing import INLINE_BYTES, contact_sheet, spread
from reframer_pipeline.vision.overlay import ALL, Look, Tracks, annotated_frames, rows_of, tracks_of
from reframer_pipeline.work.videos import get_video

INLINE_FRAMES: Final = 6
INLINE_COLUMNS: Final = 3
INLINE_PIXELS: Final = 180_000  # of the whole sheet: what a JPEG of `INLINE_BYTES` shows at a fair quality
SHEET_FRAMES: Final = 12
TABLE_CHARACTERS: Final = 20_000  # as long as a picture may be
DEMO_MODELS: Final = "demonstration models"


def published(storage: Storage, video_id: str) -> dict[str, StageInput]:
    """The published results of a video by stage. Raises `NotPublished` when nothing has been published, and `UnknownVideo`."""
    rows = storage.db.fetch("SELECT stage, result_id FROM published WHERE video_id = %s", (video_id,))
    if not rows:
        video = get_video(storage.db, video_id)
        if video["failure_code"] is None:
            raise NotPublished(f"Video {video_id} has no results yet.")
        raise NotPublished(f"Video {video_id} has no results.", f"It failed with [{video['failure_code']}]: {video['failure_message']}")
    return _with_corrections(
        storage, {one.stage: one for one in storage.results.open_all([str(row["result_id"]) for row in rows]).values()}
    )


def results_of(storage: Storage, result_id: str) -> dict[str, StageInput]:
    """A set of results by stage, named by its scenes result (`reading.tables`).

    Raises:
        ResultsGone: It is not there any more, or not whole.
    """
    scenes = storage.results.open_all([result_id]).get(result_id)
    found = scenes and {one.stage: one for one in (scenes, *storage.results.open_all(list(scenes.manifest.inputs.values())).values())}
    if not found or {"scenes", *upstream("scenes")} - found.keys():
        raise ResultsGone(GONE)
    return _with_corrections(storage, found)


def _with_corrections(storage: Storage, results: Mapping[str, StoredResult]) -> dict[str, StageInput]:
    """The same; of a set that was corrected by hand detections and masks, which are stored as they were computed, fit the tracks."""
    trajectories = results.get("trajectories")
    corrects = trajectories.manifest.corrects if trajectories is not None else None
    return as_corrected(results, storage.results.open(corrects) if corrects else None)


def is_demo(results: Mapping[str, StageInput]) -> bool:
    """Whether the demonstration models made any of these results; detections or masks must be among them."""
    made = [result.manifest.components["weights"] for result in results.values() if isinstance(result, StoredResult)]
    return any(str(weights).startswith("demo:") for weights in made)


def sheet(results: Mapping[str, StageInput], frames: int = SHEET_FRAMES, look: Look = ALL) -> bytes:
    """A JPEG of evenly spread sampled frames with what the given results know drawn in. Empty without frames.

    Raises:
        NothingThere: A track that is to be seen is not there.
        FramesEvicted: The pictures were deleted to save space.
    """
    drawn, titles = _tiles(results, frames, FrameStore.read, look)
    return contact_sheet(drawn, titles if look.caption else ()) if drawn else b""


def inline_sheet(results: Mapping[str, StageInput]) -> str:
    """The sheet as Markdown with the picture inside, small enough for Dagster's event log.

    It is read and drawn as small as it is shown: one of large frames takes hardly longer.
    """
    drawn, titles = _tiles(results, INLINE_FRAMES, lambda store, number: store.thumbnail(number, INLINE_PIXELS // INLINE_FRAMES))
    columns = min(INLINE_COLUMNS, len(drawn))
    picture = contact_sheet(drawn, titles, columns=columns, width=columns * drawn[0].shape[1], max_bytes=INLINE_BYTES) if drawn else b""
    mark = f"Made by {DEMO_MODELS}.\n\n" if is_demo(results) else ""
    return f"{mark}![contact sheet](data:image/jpeg;base64,{base64.b64encode(picture).decode()})" if picture else ""


def _tiles(
    results: Mapping[str, StageInput], frames: int, read: Callable[[FrameStore, int], Rgb], look: Look = ALL
) -> tuple[list[Rgb], list[str]]:
    """Evenly spread sampled frames, of whatever size they are read in, with everything drawn in that is known; and their titles."""
    facts = VideoMetadata.from_batch(next(results["metadata"].batches()))
    with FrameStore(results["frames"].open_attachment()) as store:
        every = store.frame_numbers
        numbers = [every[index] for index in spread(len(every), frames)]
        pictures: Iterable[tuple[int, Rgb]] = ((number, read(store, number)) for number in numbers)
        if "detections" in results:
            pictures = annotated_frames(
                pictures,
                rows_of(results["detections"].batches(), numbers),
                rows_of(_masks(results, look), numbers),
                _tracks(results, numbers, look),
                (facts.height, facts.width),
                look.boxes,
            )
        drawn = [image for _, image in pictures]
    seconds, mark = seconds_by_frame(results["frames"]), f", {DEMO_MODELS}" if is_demo(results) else ""
    called = Timecode.of(facts.fps, seconds.items())
    return drawn, [f"{called.at(number, seconds[number])}, frame {number}{mark}" for number in numbers]


def table(result: StageInput) -> str:
    """A few rows that say what the result holds, as a Markdown table. Reads the result once, a batch at a time.

    Texts are whole; of a table that would be too long for Dagster's event log, the last rows are left out.
    """
    header, rows, count = BY_NAME[result.stage].cells(result)
    lines, shown = [_line(header), _line(["---"] * len(header))], 0
    for row in rows:
        line, begins = _line(row), row[0] != ""
        if shown + begins > TABLE_ROWS or sum(map(len, lines)) + len(line) > TABLE_CHARACTERS:
            break
        lines.append(line)
        shown += begins
    else:
        if shown == count:
            return "\n".join(lines)
    return "\n".join([*lines, _line([f"… {count - shown} more" if shown < count else "…", *[""] * (len(header) - 1)])])


def _line(cells: Iterable[Any]) -> str:
    """A line of a Markdown table. What a text holds is text: neither pictures nor links nor other cells."""
    return "| " + " | ".join(re.sub(r"[\\`*<>\[\]|~]", r"\\\g<0>", " ".join(str(cell).split())) for cell in cells) + " |"


def _masks(results: Mapping[str, StageInput], look: Look) -> Iterable[pa.RecordBatch]:
    return results["masks"].batches() if look.masks and "masks" in results else ()


def _tracks(results: Mapping[str, StageInput], frames: Collection[int], look: Look) -> Tracks | None:
    if "trajectories" not in results:
        return None
    return tracks_of(results["trajectories"].batches(), frames, look.min_sightings, look.track_ids)
