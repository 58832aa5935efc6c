"""The sampled frames of a committed frames result: their times, and their pictures in groups.

What belongs here: reading the frames table together with the frame store. What does not: decoding (`sampling`), the store's
own format (`frame_store`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.results import StageInput

TimedFrame = tuple[int, float, npt.NDArray[np.uint8]]


def sampled_times(frames: StageInput) -> list[tuple[int, float]]:
    """Source frame number and seconds since the first frame, of every sampled frame in order."""
    times: list[tuple[int, float]] = []
    for batch in frames.batches(["frame_number", "timestamp", "sampled"]):
        kept = batch.filter(batch.column("sampled"))
        times.extend(zip(kept.column("frame_number").to_pylist(), kept.column("timestamp").to_pylist(), strict=True))
    return times


def median_step(times: list[tuple[int, float]]) -> float:
    """Median seconds between two sampled frames; 1/30 s when there are fewer than two."""
    seconds = np.diff([timestamp for _, timestamp in times])
    return float(np.median(seconds)) if seconds.size else 1 / 30


def timed_groups(frames: StageInput, size: int) -> tuple[Iterator[list[TimedFrame]], int]:
    """The sampled frames as groups of at most `size` of (frame number, seconds, (H, W, 3) uint8 RGB), and how many there are."""
    times = sampled_times(frames)
    seconds = dict(times)

    def groups() -> Iterator[list[TimedFrame]]:
        with FrameStore(frames.open_attachment()) as store:
            for group in store.groups(size):
                yield [(number, seconds[number], picture) for number, picture in group]

    return groups(), len(times)
