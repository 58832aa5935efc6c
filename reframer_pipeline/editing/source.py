"""Every frame of a part of a video, decoded once, as it is shown.

What belongs here: pictures with the numbers and times that the frames result has. What does not: decoding (`media.replay`), what becomes
of a frame. One frame is held, whatever the length.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.parts import Part
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.replay import Picture, shown_frames
from reframer_pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True)
class SourceFrame(Picture):
    """A frame of the source.

    Attributes:
        number: From zero, in the whole video.
        pts: As the frames result has it, in units of the source's time base.
        seconds: Since the video's first frame.
    """

    number: int
    pts: int
    seconds: float


def times_of(frames: StageInput, start: int, stop: int) -> Iterator[tuple[int, int, float]]:
    """Number, pts and seconds of the frames of a range, from the frames result."""
    columns = ["frame_number", "pts", "timestamp"]
    for batch in frames.batches(columns):
        for number, pts, seconds in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
            if start <= number < stop:
                yield number, pts, seconds


def read_frames(
    part: Part, metadata: VideoMetadata, times: Iterable[tuple[int, int, float]], settings: Settings, *, clock: bool = False
) -> Generator[SourceFrame]:
    """Decodes a part once, while the frames are drawn.

    Args:
        part: The part.
        metadata: The video's facts.
        times: Number, pts and seconds of each of its frames, from `times_of`.
        settings: The limits.
        clock: Whether a film is to be written.

    Raises:
        What `media.replay.shown_frames` raises.
    """
    with contextlib.closing(shown_frames(part, metadata, settings, clock=clock)) as pictures:
        for (number, pts, seconds), shown in zip(times, pictures, strict=False):
            yield SourceFrame(shown.rgb, shown.clock, shown.row_bytes, number=number, pts=pts, seconds=seconds)
