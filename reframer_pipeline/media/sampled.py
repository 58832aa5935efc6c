"""The sampled frames of a committed frames result: their times, and their pictures in groups.

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


def each_time(frames: StageInput) -> Iterator[tuple[int, float]]:
    """Source frame number and seconds since the first frame, of every sampled frame in order; holds one batch."""
    for batch in frames.batches(["frame_number", "timestamp", "sampled"]):
        kept = batch.filter(batch.column("sampled"))
        yield from zip(kept.column("frame_number").to_pylist(), kept.column("timestamp").to_pylist(), strict=True)


def sampled_times(frames: StageInput) -> list[tuple[int, float]]:
    """All of `each_time`: some 130 bytes a sampled frame."""
    return list(each_time(frames))


def median_step(times: Iterable[tuple[int, float]]) -> float:
    """Median of the seconds by which time moves on between two sampled frames; 1/30 s when it never does.

    In damaged streams it stands still for many frames. Holds 16 bytes a sampled frame.
    """
    steps = np.diff(np.fromiter((timestamp for _, timestamp in times), float))
    forward = steps[steps > 0]
    return float(np.median(forward)) if forward.size else 1 / 30


def timed_groups(frames: StageInput, size: int) -> tuple[Iterator[list[TimedFrame]], int]:
    """The sampled frames as groups of at most `size` of (frame number, seconds, (H, W, 3) uint8 RGB), and how many there are.

    Besides one group, some 130 bytes a sampled frame are held.
    """
    seconds = dict(each_time(frames))

    def groups() -> Iterator[list[TimedFrame]]:
        with FrameStore(frames.open_attachment()) as store:
            for group in store.groups(size):
                yield [(number, seconds[number], picture) for number, picture in group]

    return groups(), len(seconds)
