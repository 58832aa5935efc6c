"""A part of a video's picture: which frames of the source, whoever reads them again.

What belongs here: naming them, and choosing them in FFmpeg's filters. What does not: what becomes of them (`cropping`, `film_commands`,
`replay`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from reframer_pipeline.media.commands import opened
from reframer_pipeline.media.display import Size
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.settings import Settings


@dataclass(frozen=True)
class Entry:
    """Where decoding begins, if not at the video's beginning (`entry`).

    Attributes:
        at_us: At the key frame before this time of the container, microseconds.
        pts: Of the part's first frame, which no other one has; all that come before it have a lesser one.
    """

    at_us: int
    pts: int


@dataclass(frozen=True)
class Part:
    """A part of a video's picture.

    Attributes:
        path: The video.
        stream_index: Which stream.
        start, stop: Source frames, half-open.
        step: How long a frame usually lasts, in units of the time base.
        time_base: Seconds of a unit.
        size: Width and height as displayed.
        entry: Where decoding begins; None: at the video's beginning.
    """

    path: Path
    stream_index: int
    start: int
    stop: int
    step: int
    time_base: Fraction
    size: Size
    entry: Entry | None = None

    def opened(self, settings: Settings, *, sound: bool = False, **options: Any) -> Any:
        """The video, opened with the container's own times; further options are those of `commands.opened`."""
        if self.entry:
            options |= {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{self.entry.at_us}us"}
        return opened(self.path, settings, sound=sound, copyts=None, **options)

    def pictures(self, source: Any) -> Any:
        """The part's frames, of the opened video."""
        whole = source[str(self.stream_index)]
        if self.entry:
            return whole.filter("trim", start_pts=self.entry.pts).filter("trim", end_frame=self.stop - self.start)
        return whole.filter("trim", start_frame=self.start, end_frame=self.stop)


def part_of(path: Path, metadata: VideoMetadata, start: int, stop: int) -> Part:
    """The frames from `start` up to `stop` of a video."""
    step = max(1, round(1 / (metadata.fps * metadata.time_base)))
    return Part(path, metadata.stream_index, start, stop, step, metadata.time_base, (metadata.width, metadata.height))
