"""Tracks as corrections see them, and what each kind of correction makes of them.

What belongs here: tracks out of rows of `schemas.TRAJECTORIES` and back, and the five changes. What does not: which track is meant in other
results (`evidence`), several corrections after one another (`applying`).

All tracks of a video are held, some 80 bytes a sighting. Nothing is changed in place: each change gives new tracks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline.corrections.events import Change, Delete, Merge, Reclass, Regrade, Rename, Split
from reframer_pipeline.failures import CorrectionRefused, TracksOverlap, UnknownTrack
from reframer_pipeline.schemas import TRAJECTORIES
from reframer_pipeline.vision.trajectories import number_of

TRACKS_A_BATCH: Final = 64
SIDES: Final = ("x1", "y1", "x2", "y2")
Around = tuple[float, ...]  # first frame, last frame, least x, greatest x, least y, greatest y


@dataclass(frozen=True)
class Track:
    """A track.

    Attributes:
        track_id: `obj_003`.
        object_class: `person` or `product`.
        label: What it is.
        frames: Its sightings in order, structs of `schemas.TRAJECTORY_FRAME`; at least one.
        confidence: Mean confidence of its sightings, 0 to 1.
        by_hand: What of it was corrected: `label` and `class` to the new one, `merged` to the ids of tracks that became part of it, `split`
            to the id of the track that it was part of, or of that which was part of it.
    """

    track_id: str
    object_class: str
    label: str
    frames: pa.StructArray
    confidence: float
    by_hand: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def numbers(self) -> np.ndarray:
        """`(n,)`: the source frames that it is seen in, rising."""
        numbers: np.ndarray = self.frames.field("frame").to_numpy()
        return numbers

    @property
    def boxes(self) -> np.ndarray:
        """`(n, 4)`: xyxy in these frames, pixels of the displayed frame."""
        return np.stack([self.frames.field(side).to_numpy().astype(np.float64) for side in SIDES], 1)

    @cached_property
    def around(self) -> Around:
        """What all of it is within."""
        return around_of(self.numbers, self.boxes)

    def with_frames(self, frames: pa.StructArray) -> Track:
        """The same, seen in these."""
        return replace(self, frames=frames, confidence=float(frames.field("confidence").to_numpy().mean(dtype=np.float64)))

    def marked(self, **what: Any) -> Track:
        """The same, with more that was done by hand."""
        return replace(self, by_hand={**self.by_hand, **what})


@dataclass(frozen=True)
class Tracks:
    """The tracks of a video.

    Attributes:
        by_id: In order of first sight.
        next_number: Of the next new track: above all that there ever were.
        gone: Id of a track that corrections took away, to what became of it, in words.
    """

    by_id: Mapping[str, Track]
    next_number: int
    gone: Mapping[str, str] = field(default_factory=dict)

    def one(self, track_id: str) -> Track:
        """A track. Raises `UnknownTrack`."""
        if track_id in self.gone:
            raise UnknownTrack(f"{track_id} is there no more: {self.gone[track_id]}.", "Undo that correction first if it was wrong.")
        if track_id not in self.by_id:
            raise UnknownTrack(f"There is no track {track_id}.")
        return self.by_id[track_id]

    def changed(self, *tracks: Track, without: Mapping[str, str] | None = None, next_number: int | None = None) -> Tracks:
        """With other tracks in place of those of their ids, and without some."""
        there = {**self.by_id, **{one.track_id: one for one in tracks}}
        kept = {name: one for name, one in there.items() if name not in (without or {})}
        return Tracks(kept, next_number or self.next_number, {**self.gone, **(without or {})})


def around_of(numbers: np.ndarray, boxes: np.ndarray) -> Around:
    """What boxes `(n, 4)` of xyxy in frames `(n,)`, rising, are within."""
    (x1, y1), (x2, y2) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    return float(numbers[0]), float(numbers[-1]), x1, x2, y1, y2


def read(batches: Iterable[pa.RecordBatch]) -> Tracks:
    """The tracks of a result, from its rows of `schemas.TRAJECTORIES`."""
    found: dict[str, Track] = {}
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("track_id", "object_class", "label", "avg_confidence"))
        for name, kind, label, confidence, frames in zip(*columns, batch.column("frames"), strict=True):
            found[name] = Track(name, kind, label, frames.values, confidence)
    return Tracks(found, max(map(number_of, found), default=0) + 1)


def write(tracks: Tracks) -> Iterator[pa.RecordBatch]:
    """Batches of `schemas.TRAJECTORIES` in order of first sight."""
    rest = iter(sorted(tracks.by_id.values(), key=lambda one: int(one.numbers[0])))
    while chosen := list(islice(rest, TRACKS_A_BATCH)):
        seen = pa.concat_arrays([one.frames for one in chosen])
        offsets = np.concatenate(([0], np.cumsum([len(one.frames) for one in chosen]))).astype(np.int32)
        columns = {
            "track_id": pa.array([one.track_id for one in chosen]),
            "object_class": pa.array([one.object_class for one in chosen]),
            "label": pa.array([one.label for one in chosen]),
            "start_frame": pa.array([one.numbers[0] for one in chosen], pa.int32()),
            "end_frame": pa.array([one.numbers[-1] + 1 for one in chosen], pa.int32()),
            "avg_confidence": pa.array([one.confidence for one in chosen], pa.float64()),
            "frames": pa.ListArray.from_arrays(pa.array(offsets), seen, type=TRAJECTORIES.field("frames").type),
        }
        yield pa.RecordBatch.from_arrays([columns[name] for name in TRAJECTORIES.names], schema=TRAJECTORIES)


def change(tracks: Tracks, asked: Change, number: int | None = None) -> Tracks:
    """The tracks after a correction.

    Args:
        tracks: The tracks before it.
        asked: The correction.
        number: That a new track had before; it has it again, whatever earlier splits were undone since.

    Raises:
        UnknownTrack: It names one that is not there, or no more.
        CorrectionRefused: It would change nothing, or it makes no sense: see its message.
        TracksOverlap: Both tracks to be merged are seen in one frame.
    """
    match asked:
        case Rename():
            one = tracks.one(asked.track_id)
            if one.label == asked.label:
                raise CorrectionRefused(f"{one.track_id} is {asked.label!r} already.")
            return tracks.changed(replace(one, label=asked.label).marked(label=asked.label))
        case Reclass():
            one = tracks.one(asked.track_id)
            if one.object_class == asked.object_class:
                raise CorrectionRefused(f"{one.track_id} is a {asked.object_class} already.")
            return tracks.changed(replace(one, object_class=asked.object_class).marked(**{"class": asked.object_class}))
        case Delete():
            return tracks.changed(without={tracks.one(asked.track_id).track_id: "it was deleted by hand"})
        case Merge():
            return _merged(tracks, tracks.one(asked.track_id), tracks.one(asked.other_id))
        case Split():
            return _split(tracks, tracks.one(asked.track_id), asked.frame, max(tracks.next_number, number or 0))
        case Regrade():
            return tracks


def _merged(tracks: Tracks, one: Track, other: Track) -> Tracks:
    if one.track_id == other.track_id:
        raise CorrectionRefused(f"{one.track_id} cannot be merged with itself.", "Name two tracks.")
    if one.object_class != other.object_class:
        message = f"{one.track_id} is a {one.object_class} and {other.track_id} a {other.object_class}."
        raise CorrectionRefused(message, "Correct the class of one of them first.")
    both = np.intersect1d(one.numbers, other.numbers)
    if both.size:
        raise TracksOverlap(f"{one.track_id} and {other.track_id} are both seen in {both.size} frames, the first is frame {both[0]}.")
    seen = pa.concat_arrays([one.frames, other.frames])
    seen = seen.take(pc.sort_indices(seen.field("frame")))
    taken = [*one.by_hand.get("merged", ()), other.track_id, *other.by_hand.get("merged", ())]
    return tracks.changed(one.with_frames(seen).marked(merged=taken), without={other.track_id: f"it is part of {one.track_id} by hand"})


def _split(tracks: Tracks, one: Track, frame: int, number: int) -> Tracks:
    place = int(np.searchsorted(one.numbers, frame))
    if not 0 < place < len(one.frames):
        message = f"{one.track_id} is seen from frame {one.numbers[0]} to {one.numbers[-1]}, on one side of frame {frame} alone."
        raise CorrectionRefused(message, "Name a frame after its first sighting, and not after its last.")
    name = f"obj_{number:03d}"
    earlier = one.with_frames(one.frames[:place]).marked(split=name)
    later = replace(one.with_frames(one.frames[place:]), track_id=name).marked(split=one.track_id)
    return tracks.changed(earlier, later, next_number=number + 1)
