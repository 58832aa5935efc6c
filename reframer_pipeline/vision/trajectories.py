"""The trajectories stage: the boxes of a video, gathered into numbered tracks.

What belongs here: one tracker per shot and class, numbering, and rows of `schemas.TRAJECTORIES`. What does not: matching (`tracker`).

Memory: a sighting takes 56 bytes, so a track is kept compactly until it ends. Rows come in order of first sight, so an ended track
waits for older ones that still run: at worst, somebody stays from the first frame to the last, the whole result is held, which
for ten objects in each of 100,000 sampled frames is 56 MB.
"""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.schemas import CLASSES, TRAJECTORIES, TRAJECTORY_FRAME
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.boxes import FrameDetections
from reframer_pipeline.vision.tracker import ByteTracker, Tracker

TRACKS_A_BATCH = 64


def number_of(track_id: str) -> int:
    """3 of `obj_003`. Tracks are numbered in order of first sight from 1; one that people split off another has the next number."""
    return int(track_id.rpartition("_")[2])


_SIGHTING = np.dtype(
    [("frame", "<i4"), ("timestamp", "<f8"), ("xyxy", "<f4", 4), ("confidence", "<f4"), ("detection_id", "V16"), ("seconds", "<f8")]
)


@dataclass
class _Track:
    object_class: str
    labels: Counter[str] = field(default_factory=Counter)
    sightings: bytearray = field(default_factory=bytearray)

    def add(self, frame: FrameDetections, row: int, seconds: float) -> None:
        detection_id = uuid.UUID(frame.detection_ids[row]).bytes
        sighting = (frame.frame_number, frame.timestamp, frame.xyxy[row], frame.confidence[row], detection_id, seconds)
        self.sightings += np.array(sighting, dtype=_SIGHTING).tobytes()
        self.labels[frame.labels[row]] += 1

    def __len__(self) -> int:
        return len(self.sightings) // _SIGHTING.itemsize

    def label(self) -> str:
        return self.labels.most_common(1)[0][0]  # the first seen, among equals

    def observations(self) -> npt.NDArray[np.void]:
        return np.frombuffer(self.sightings, dtype=_SIGHTING)


def track_detections(
    frames: Iterable[tuple[int, float, float]],
    detected: Iterable[FrameDetections],
    step_seconds: float,
    settings: Settings,
    progress: Progress = no_progress,
    total: int = 0,
    cuts: Sequence[int] = (),
    new_tracker: Callable[[Settings, float], Tracker] = ByteTracker,
) -> Iterator[pa.RecordBatch]:
    """The trajectories stage.

    Args:
        frames: Every sampled frame, in order: source frame number, seconds since the first frame, seconds that it stands for.
        detected: The frames that have detections, in order.
        step_seconds: Median time between two sampled frames.
        settings: See `tracker.ByteTracker`; `min_sightings` as well.
        progress: Called after each frame with frames done.
        total: Number of sampled frames, 0 if unknown.
        cuts: First source frame of each later shot, rising. No track goes through a cut: motion says nothing about what comes
            after it, and a box that happens to lie where another lay before would inherit its id.
        new_tracker: Makes a fresh tracker; called once per shot and class.

    Yields:
        Batches of `schemas.TRAJECTORIES` in order of first sight (within a frame, by falling confidence); `obj_001` is the
        first. Boxes and confidences are the detector's, unaltered. A box that is too weak to start a track and joins none is
        in no row, nor is one in a track of fewer than `min_sightings`.

    Raises:
        InvalidResult: Detections in a frame that is not among `frames`, or out of order.
    """
    ended = _ended(frames, detected, partial(new_tracker, settings, step_seconds), progress, total, cuts)
    kept = (track for track in ended if len(track) >= settings.min_sightings)
    first = 1
    while tracks := list(islice(kept, TRACKS_A_BATCH)):
        yield _as_batch(tracks, first)
        first += len(tracks)


def _ended(
    frames: Iterable[tuple[int, float, float]],
    detected: Iterable[FrameDetections],
    fresh: Callable[[], Tracker],
    progress: Progress,
    total: int,
    cuts: Sequence[int],
) -> Iterator[_Track]:
    """The tracks in order of first sight, each once it and all before it have ended."""
    trackers: dict[str, Tracker] = {}
    shots = deque(cuts)
    waiting: dict[Hashable, _Track] = {}  # in order of first sight
    upcoming = iter(detected)
    current = next(upcoming, None)
    for done, (frame_number, timestamp, seconds) in enumerate(frames, start=1):
        if not trackers or (shots and shots[0] <= frame_number):
            yield from waiting.values()
            waiting.clear()
            trackers = {name: fresh() for name in CLASSES}
            while shots and shots[0] <= frame_number:
                shots.popleft()
        here = current if current is not None and current.frame_number == frame_number else None
        if here is not None:
            current = next(upcoming, None)
        for row, key in enumerate(_keys(trackers, here, timestamp)):
            if key is None or here is None:
                continue
            if key not in waiting:
                waiting[key] = _Track(here.object_classes[row])
            waiting[key].add(here, row, seconds)
        alive = set().union(*(tracker.alive() for tracker in trackers.values()))
        while waiting and (oldest := next(iter(waiting))) not in alive:
            yield waiting.pop(oldest)
        progress(done, total)
    if current is not None:
        raise InvalidResult(f"Detections in frame {current.frame_number}, which is not among the sampled frames.")
    yield from waiting.values()


def _keys(trackers: dict[str, Tracker], here: FrameDetections | None, timestamp: float) -> list[Hashable | None]:
    """The track of each detection of a frame; every tracker is told of the frame, also if it has nothing for it."""
    keys: list[Hashable | None] = [None] * (0 if here is None else len(here))
    for name, tracker in trackers.items():
        if here is None:
            tracker.update(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), timestamp)
            continue
        rows = [row for row, object_class in enumerate(here.object_classes) if object_class == name]
        for row, key in zip(rows, tracker.update(here.xyxy[rows], here.confidence[rows], timestamp), strict=True):
            keys[row] = key
    return keys


def _as_batch(tracks: list[_Track], first: int) -> pa.RecordBatch:
    seen = [track.observations() for track in tracks]
    joined = np.concatenate(seen)
    ids = [str(uuid.UUID(bytes=bytes(raw))) for raw in joined["detection_id"]]
    figures = (joined["frame"], joined["timestamp"], *joined["xyxy"].T, joined["confidence"], joined["seconds"])
    *arrays, seconds = [pa.array(np.ascontiguousarray(column)) for column in figures]
    arrays += [pa.array(ids, pa.string()), seconds]
    sightings = pa.StructArray.from_arrays(arrays, fields=list(TRAJECTORY_FRAME))
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in seen]))).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), sightings, type=TRAJECTORIES.field("frames").type)
    table = {
        "track_id": pa.array([f"obj_{number:03d}" for number in range(first, first + len(tracks))]),
        "object_class": pa.array([track.object_class for track in tracks]),
        "label": pa.array([track.label() for track in tracks]),
        "start_frame": pa.array([one["frame"][0] for one in seen], pa.int32()),
        "end_frame": pa.array([one["frame"][-1] + 1 for one in seen], pa.int32()),
        "avg_confidence": pa.array([one["confidence"].mean(dtype=np.float64) for one in seen], pa.float64()),
        "frames": lists,
    }
    return pa.RecordBatch.from_arrays([table[name] for name in TRAJECTORIES.names], schema=TRAJECTORIES)
