"""The frames of a committed frames result: their times, and the pictures of the sampled ones in groups.

What belongs here: reading the frames table together with the frame store. What does not: decoding (`sampling`), the store's
own format (`frame_store`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.frame_store import FrameStore

TimedFrame = tuple[int, float, npt.NDArray[np.uint8]]
"""Source frame number, seconds since the first frame, and the picture: (H, W, 3) RGB."""


def sampled_times(frames: StageInput) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Source frame number and seconds since the first frame, of every sampled frame in order: 12 bytes a frame."""
    numbers, seconds = [np.empty(0, np.int32)], [np.empty(0)]
    for batch in frames.batches(["frame_number", "timestamp", "sampled"]):
        kept = batch.column("sampled").to_numpy(zero_copy_only=False)
        numbers.append(batch.column("frame_number").to_numpy()[kept])
        seconds.append(batch.column("timestamp").to_numpy()[kept])
    return np.concatenate(numbers), np.concatenate(seconds)


def all_seconds(frames: StageInput) -> npt.NDArray[np.float64]:
    """Seconds since the first frame, of every source frame in order: 8 bytes a frame."""
    return np.concatenate([np.empty(0), *(batch.column("timestamp").to_numpy() for batch in frames.batches(["timestamp"]))])


def all_pts(frames: StageInput) -> npt.NDArray[np.int64]:
    """Pts of every source frame in order: 8 bytes a frame."""
    return np.concatenate([np.empty(0, np.int64), *(batch.column("pts").to_numpy() for batch in frames.batches(["pts"]))])


def seconds_by_frame(frames: StageInput) -> dict[int, float]:
    """`sampled_times` to look up: some 130 bytes a frame."""
    numbers, seconds = sampled_times(frames)
    return dict(zip(numbers.tolist(), seconds.tolist(), strict=True))


def median_step(seconds: Iterable[float]) -> float:
    """Median of the seconds by which time moves on between two sampled frames; 1/30 s when it never does.

    In damaged streams it stands still for many frames.
    """
    steps = np.diff(np.fromiter(seconds, float))
    forward = steps[steps > 0]
    return float(np.median(forward)) if forward.size else 1 / 30


def timed_groups(frames: StageInput, size: int) -> tuple[Iterator[list[TimedFrame]], int]:
    """The sampled frames as groups of at most `size`, and how many there are. Besides one group, their times are held."""
    seconds = seconds_by_frame(frames)

    def groups() -> Iterator[list[TimedFrame]]:
        with FrameStore(frames.open_attachment()) as store:
            for group in store.groups(size):
                yield [(number, seconds[number], picture) for number, picture in group]

    return groups(), len(seconds)


def frame_at(frames: StageInput, seconds: float) -> int:
    """The first source frame that is not before a time, sampled or not; the number of frames if all are."""
    passed = 0
    for batch in frames.batches(["frame_number", "timestamp"]):
        late = np.flatnonzero(batch.column("timestamp").to_numpy() >= seconds - 1e-6)
        if late.size:
            return int(batch.column("frame_number")[int(late[0])].as_py())
        passed += batch.num_rows
    return passed
