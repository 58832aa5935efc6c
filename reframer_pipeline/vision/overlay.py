"""From stored rows to what is drawn on each frame.

What belongs here: bringing detections, masks and tracks of one video together by frame. What does not: drawing (`drawing`), what is in
view between sampled frames (`moving`), files (`reading.sheets`, `reading.previews`). Masks are read along with the frames and never held;
of the tracks some 100 bytes a sighting are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final, Generic, TypeVar

import numpy as np
import pyarrow as pa

from reframer_pipeline.failures import NothingThere
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.boxes import FrameDetections, Rgb, by_frame
from reframer_pipeline.vision.drawing import Item, annotate, colour_of
from reframer_pipeline.vision.trajectories import number_of

Value = TypeVar("Value")


@dataclass(frozen=True)
class Look:
    """What somebody wants to see drawn.

    Attributes:
        boxes: With the names of tracks at them.
        masks: Where there are some.
        caption: Times, and what happens in the scene, beside the picture.
        track_ids: These tracks alone; empty for all.
        min_sightings: Only tracks with so many in the whole video.
    """

    boxes: bool = True
    masks: bool = True
    caption: bool = True
    track_ids: frozenset[str] = frozenset()
    min_sightings: int = 1


ALL: Final = Look()

# Detection id to its track: the number in its id, and the id.
Tracks = Mapping[str, tuple[int, str]]


def tracks_of(
    trajectories: Iterable[pa.RecordBatch],
    frames: Collection[int] | None = None,
    min_sightings: int = 1,
    track_ids: Collection[str] = (),
) -> Tracks:
    """Which track each detection belongs to, from rows of `schemas.TRAJECTORIES`.

    Args:
        trajectories: The rows.
        frames: Only the sightings in these, if given.
        min_sightings: Only tracks with so many in the whole video.
        track_ids: Only these, if there are any.

    Raises:
        NothingThere: There is no such track.
    """
    import pyarrow.compute as pc

    strange = set(track_ids)
    wanted = None if frames is None else pa.array(sorted(frames), pa.int32())
    rows = (row for batch in trajectories for row in zip(batch.column("track_id").to_pylist(), batch.column("frames"), strict=True))
    found: dict[str, tuple[int, str]] = {}
    for track_id, sightings in rows:
        seen = sightings.values
        strange.discard(track_id)
        if len(seen) < min_sightings or (track_ids and track_id not in track_ids):
            continue
        if wanted is not None:
            seen = seen.filter(pc.is_in(seen.field("frame"), wanted))
        found.update(dict.fromkeys(seen.field("detection_id").to_pylist(), (number_of(track_id), track_id)))
    if strange:
        raise NothingThere(f"The video has no track {min(strange)}.", "`reframer show` lists the tracks.")
    return found


def rows_of(batches: Iterable[pa.RecordBatch], frames: Collection[int]) -> Iterator[pa.RecordBatch]:
    """Of rows with a `frame_number`, those of these frames alone."""
    import pyarrow.compute as pc

    wanted = pa.array(sorted(frames), pa.int32())
    return (batch.filter(pc.is_in(batch.column("frame_number"), wanted)) for batch in batches)


def annotated_frames(
    frames: Iterable[tuple[int, Rgb]],
    detections: Iterable[pa.RecordBatch],
    masks: Iterable[pa.RecordBatch] = (),
    tracks: Tracks | None = None,
    size: tuple[int, int] | None = None,
    boxes: bool = True,
) -> Iterator[tuple[int, Rgb]]:
    """Draw what is known on each frame.

    Args:
        frames: Source frame number and picture, in order; any part of the video's sampled frames.
        detections: Rows of `schemas.DETECTIONS`.
        masks: Rows of `schemas.MASKS`, in the same order; none before that stage.
        tracks: Ids and colours of what is drawn: of detections that are in none of them, nothing is. Without them, all but candidates,
            with labels and confidences in the order of confidence.
        size: Height and width of the video's frames, if the pictures have another.
        boxes: Whether boxes and their labels are drawn.

    Yields:
        Frame number and annotated picture.
    """
    seen, pixels = Cursor((one.frame_number, one) for one in by_frame(detections)), Cursor(masks_by_frame(masks))
    for number, image in frames:
        found, shown = seen.at(number), (image.shape[0], image.shape[1])
        items = items_of(found, pixels.at(number) or {}, tracks, size or shown, shown) if found else []
        yield number, annotate(image, items, boxes, boxes)


def items_of(
    found: FrameDetections, masks: dict[str, str], tracks: Tracks | None, size: tuple[int, int], shown: tuple[int, int]
) -> list[Item]:
    """What to draw for one frame's detections; weakest first, so that the strongest lie on top.

    `size` is that of the frame, `shown` that of the picture to draw on: height and width.
    """
    items, boxes = [], found.xyxy * np.tile(np.divide(shown, size)[::-1], 2)
    for row in reversed(range(len(found))):
        track = None if tracks is None else tracks.get(found.detection_ids[row])
        if track is None and (tracks is not None or found.candidate[row]):
            continue
        compressed = masks.get(found.detection_ids[row])
        mask = rle.decode_small(compressed, *size, shown) if compressed else None
        label = found.labels[row]
        x1, y1, x2, y2 = (float(side) for side in boxes[row])
        if track is None:
            items.append(Item((x1, y1, x2, y2), f"{label} {found.confidence[row]:.2f}", colour_of(row), mask))
        else:
            items.append(tracked_item((x1, y1, x2, y2), label, track, mask))
    return items


def tracked_item(
    xyxy: tuple[float, float, float, float], label: str, track: tuple[int, str], mask: rle.BoolMask | None, measured: bool = True
) -> Item:
    """What to draw for a sighting of a track: its number, and its id."""
    return Item(xyxy, f"{track[1]} {label}", colour_of(track[0]), mask, measured)


def masks_by_frame(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, dict[str, str]]]:
    """Source frame, and the run lengths of its masks by detection id."""
    columns = ("frame_number", "detection_id", "rle")
    rows = (row for batch in batches for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True))
    for number, masks in groupby(rows, key=itemgetter(0)):
        yield number, {detection_id: compressed for _, detection_id, compressed in masks}


class Cursor(Generic[Value]):
    """Steps through what there is by frame, in order, skipping what nobody asks for."""

    def __init__(self, values: Iterator[tuple[int, Value]]) -> None:
        self._values = values
        self._next = next(values, None)

    def at(self, frame_number: int) -> Value | None:
        """What belongs to a frame, or None; frames are asked for in rising order."""
        while self._next is not None and self._next[0] < frame_number:
            self._next = next(self._values, None)
        return self._next[1] if self._next is not None and self._next[0] == frame_number else None
