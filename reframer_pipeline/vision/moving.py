"""What is in view in every source frame: measured in sampled ones, told from both neighbours between them.

What belongs here: that rule, the page's too (`page/app/video/between.js`). What does not: drawing (`drawing`), reading rows (`overlay`).

A sighting stands for the time until the next sampled frame, within its shot. Between two sampled frames its box lies on the straight line
to the box of the same track in the next one. Without such a box, because the track ends or is lost, it stays where it was for as long as it
stands for. A mask goes along with its box: it is the one that was measured last, moved and stretched with it.

The frames from one sampled frame to the next are held as numbers, and masks of one sampled frame.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from reframer_pipeline.vision import rle
from reframer_pipeline.vision.between import Floats, between
from reframer_pipeline.vision.boxes import FrameDetections
from reframer_pipeline.vision.drawing import Item
from reframer_pipeline.vision.overlay import Cursor, Tracks, tracked_item

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class FrameTime:
    """A source frame: its number, its seconds since the first, and whether it was looked at."""

    number: int
    seconds: float
    sampled: bool


@dataclass(frozen=True)
class Seen:
    """A track in a frame.

    Attributes:
        track: Its place in order of first sight, and its id.
        label: The model's own word.
        xyxy: `(4,)` its box here, in pixels of the video's frames.
        detection_id: The sighting that this is, or follows from.
        seen_at: `(4,)` the box of that.
        measured: Whether it was seen in this very frame.
    """

    track: tuple[int, str]
    label: str
    xyxy: Floats
    detection_id: str
    seen_at: Floats
    measured: bool


def in_view(
    frames: Iterable[FrameTime], found: Iterable[FrameDetections], tracks: Tracks, cuts: Sequence[int]
) -> Iterator[tuple[FrameTime, list[Seen]]]:
    """What is in view in each frame.

    Args:
        frames: All source frames, in order.
        found: What was detected, in order; frames without anything may be left out.
        tracks: Ids of those detections that are meant.
        cuts: First frames of the shots, rising.

    Yields:
        Each frame, and what is in view; the strongest last, so that it is drawn on top.
    """
    boxes = Cursor((one.frame_number, one) for one in found)

    def sights(span: list[FrameTime]) -> list[Seen]:
        one = boxes.at(span[0].number) if span[0].sampled else None
        if one is None:
            return []
        rows = [row for row in reversed(range(len(one))) if one.detection_ids[row] in tracks]
        places = [(one.detection_ids[row], one.labels[row], one.xyxy[row].astype(float)) for row in rows]
        return [Seen(tracks[known], label, xyxy, known, xyxy, True) for known, label, xyxy in places]

    spans = _spans(frames)
    span = next(spans, [])
    here = sights(span) if span else []
    for following in chain(spans, [[]]):
        there = sights(following) if following else []
        next_at = following[0].seconds if following else None
        place = bisect_right(cuts, span[0].number) if span else 0
        ends = cuts[place] if place < len(cuts) else None
        yield from _told(span, here, {one.track: one for one in there}, next_at, ends)
        span, here = following, there


def _spans(frames: Iterable[FrameTime]) -> Iterator[list[FrameTime]]:
    """The frames from each sampled one up to the next."""
    span: list[FrameTime] = []
    for frame in frames:
        if frame.sampled and span:
            yield span
            span = []
        span.append(frame)
    if span:
        yield span


def _told(
    span: list[FrameTime], here: list[Seen], there: dict[tuple[int, str], Seen], next_at: float | None, ends: int | None
) -> Iterator[tuple[FrameTime, list[Seen]]]:
    seconds = np.array([frame.seconds for frame in span])
    paths = []
    for one in here:
        other = there.get(one.track)
        if other is None or next_at is None:
            paths.append(np.tile(one.xyxy, (len(span), 1)))
        else:
            paths.append(between(np.array([span[0].seconds, next_at]), np.stack([one.xyxy, other.xyxy]), seconds))
    for row, frame in enumerate(span):
        if ends is not None and frame.number >= ends:
            yield frame, []
        else:
            known = zip(here, paths, strict=True)
            yield frame, [Seen(one.track, one.label, path[row], one.detection_id, one.seen_at, row == 0) for one, path in known]


class Masks:
    """Masks of what is in view, as they are drawn.

    Args:
        at: Run lengths by detection id of a frame; frames are asked for in rising order.
        size: Height and width of the video's frames.
        shown: Of the pictures.
    """

    def __init__(self, at: Callable[[int], dict[str, str] | None], size: Size, shown: Size) -> None:
        self._at, self._size, self._shown = at, size, shown
        self._known: dict[str, rle.BoolMask] = {}

    def look(self, frame: FrameTime) -> None:
        """Turn to the next frame."""
        if frame.sampled:
            known = self._at(frame.number) or {}
            self._known = {one: rle.decode_small(mask, *self._size, self._shown) for one, mask in known.items()}

    def of(self, one: Seen, xyxy: Floats, seen_at: Floats) -> rle.BoolMask | None:
        """Its mask; the boxes, here and where it was measured, are in pixels of the pictures."""
        mask = self._known.get(one.detection_id)
        return mask if mask is None or one.measured else _along(mask, seen_at, xyxy)


def items(seen: list[Seen], masks: Masks | None, size: Size, shown: Size) -> list[Item]:
    """What to draw of what is in view; `size` is that of the video's frames, `shown` of the picture to draw on."""
    scale, made = np.tile(np.divide(shown, size)[::-1], 2), []
    for one in seen:
        xyxy = one.xyxy * scale
        mask = masks.of(one, xyxy, one.seen_at * scale) if masks else None
        x1, y1, x2, y2 = (float(side) for side in xyxy)
        made.append(tracked_item((x1, y1, x2, y2), one.label, one.track, mask, one.measured))
    return made


def _along(mask: rle.BoolMask, before: Floats, now: Floats) -> rle.BoolMask:
    """A mask moved and stretched as its box is."""
    import cv2

    stretch = (now[2:] - now[:2]) / np.maximum(before[2:] - before[:2], 1)
    shift = now[:2] - stretch * before[:2]
    matrix = np.array([[stretch[0], 0, shift[0]], [0, stretch[1], shift[1]]])
    height, width = mask.shape
    return cv2.warpAffine(mask.astype(np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST).astype(bool)
