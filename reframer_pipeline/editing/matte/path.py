"""Where a track is in every frame of the source, and in which frames it has a matte.

What belongs here: boxes between sightings, and where there is none to be had. What does not: pixels (`mattes`).

Boxes are interpolated in time, straight from one sighting to the next. A track ends at cuts, so nothing is interpolated over one. Frames in
which nobody looked belong to the sightings beside them:

- Between two sightings there is a matte, unless the track was lost for longer than the tracker waits.
- A cut seldom falls on a sampled frame. Before the first sighting, and after the last, there is a matte up to the cut (or the video's end)
  if no sampled frame lies between. Boxes are extrapolated there, a few frames far.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reframer_pipeline.vision.boxes import Floats

Span = tuple[int, int]
"""Source frames from the first up to, and without, the second."""


@dataclass(frozen=True)
class Place:
    """Where a track is in a frame.

    Attributes:
        xyxy: `(4,)` float32 in pixels, half-open, within the picture.
        sightings: Places in `TrackPath.frames` of the sightings around it: two, or one at a sighting itself and beyond the outer ones.
    """

    xyxy: Floats
    sightings: tuple[int, ...]


@dataclass(frozen=True)
class TrackPath:
    """A track, frame by frame.

    Attributes:
        track_id: Such as `obj_001`.
        frames: `(n,)` source frames of its sightings, rising.
        seconds: `(n,)` their times since the first frame.
        xyxy: `(n, 4)` float32: the measured boxes.
        detection_ids: `n` ids.
        spans: Where it has a matte, rising.
        size: Width and height of the picture.
    """

    track_id: str
    frames: npt.NDArray[np.int32]
    seconds: npt.NDArray[np.float64]
    xyxy: Floats
    detection_ids: tuple[str, ...]
    spans: tuple[Span, ...]
    size: tuple[int, int]

    def at(self, frame: int, seconds: float) -> Place | None:
        """Where it is in a frame at that time; None where it has no matte."""
        if not any(start <= frame < stop for start, stop in self.spans):
            return None
        after = bisect_left(self.frames, frame)
        if after < len(self.frames) and self.frames[after] == frame:
            return Place(self.xyxy[after], (after,))
        around = tuple(one for one in (after - 1, after) if 0 <= one < len(self.frames))
        return Place(self._box(seconds, around), around)

    def _box(self, seconds: float, around: tuple[int, ...]) -> Floats:
        first = min(max(around[0] - (around[0] > 0 and len(around) == 1), 0), max(len(self.frames) - 2, 0))
        pair = slice(first, first + 2)
        times, boxes = self.seconds[pair], self.xyxy[pair]
        share = (seconds - times[0]) / (times[-1] - times[0]) if len(times) == 2 and times[-1] > times[0] else 0.0
        box = boxes[0] + np.float32(share) * (boxes[-1] - boxes[0])
        limits = np.tile(np.asarray(self.size, np.float32), 2)
        box = np.clip(box, 0, limits)
        return box if (box[2:] > box[:2]).all() else self.xyxy[around[0]]  # what moved out of the picture is looked for at its edge


def paths_of(
    tracks: Iterable[dict[str, Any]], shots: Sequence[Span], sampled: npt.NDArray[np.int32], buffer_s: float, size: tuple[int, int]
) -> list[TrackPath]:
    """The paths of tracks.

    Args:
        tracks: Rows of `schemas.TRAJECTORIES`.
        shots: The video's shots, in order.
        sampled: The sampled frames, rising.
        buffer_s: How long the tracker waits for a lost track, seconds.
        size: Width and height of the picture.
    """
    return [_path(track, shots, sampled, buffer_s, size) for track in tracks]


def _path(
    track: dict[str, Any], shots: Sequence[Span], sampled: npt.NDArray[np.int32], buffer_s: float, size: tuple[int, int]
) -> TrackPath:
    seen = track["frames"]
    frames = np.array([one["frame"] for one in seen], np.int32)
    seconds = np.array([one["timestamp"] for one in seen], np.float64)
    return TrackPath(
        track_id=track["track_id"],
        frames=frames,
        seconds=seconds,
        xyxy=np.array([[one[side] for side in ("x1", "y1", "x2", "y2")] for one in seen], np.float32),
        detection_ids=tuple(one["detection_id"] for one in seen),
        spans=tuple(_spans(frames, seconds, shots, sampled, buffer_s)),
        size=size,
    )


def _spans(
    frames: npt.NDArray[np.int32], seconds: npt.NDArray[np.float64], shots: Sequence[Span], sampled: npt.NDArray[np.int32], buffer_s: float
) -> Iterable[Span]:
    nth = np.searchsorted(sampled, frames)
    lost = (np.diff(seconds) > buffer_s + 1e-6) & (np.diff(nth) > 1)  # slides may be further apart than the tracker waits
    shot_of = [bisect_right([start for start, _ in shots], frame) for frame in frames.tolist()]
    breaks = np.flatnonzero(lost | (np.diff(shot_of) > 0))
    firsts, lasts = [0, *(breaks + 1).tolist()], [*breaks.tolist(), len(frames) - 1]
    for first, last in zip(firsts, lasts, strict=True):
        start, stop = int(frames[first]), int(frames[last]) + 1
        begins, ends = shots[shot_of[first] - 1][0], shots[shot_of[last] - 1][1]
        if nth[first] == 0 or sampled[nth[first] - 1] < begins:
            start = begins
        if nth[last] == len(sampled) - 1 or sampled[nth[last] + 1] >= ends:
            stop = ends
        yield start, stop
