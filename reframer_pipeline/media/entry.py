"""Where decoding may begin for a part of a video: at a key frame shortly before it, instead of the video's beginning.

What belongs here: deciding that. What does not: how a part is opened and chosen (`parts`).

A frame is decoded from a key frame as from the beginning, if the key frame is one: then nothing that is shown after it refers to what was
before it. A container's word is not enough. H.264 that refreshes its picture step by step has key frames from which the picture becomes
whole only later, and FFmpeg then begins with a frame that is none. So it is tried: what FFmpeg shows first must be a key frame, and from
there up to the part's first frame its times must be those of the frames result, each once, in order, and nothing may be damaged. From there
on the decoder stands as it would from the beginning. Frames are chosen by their times.
It is worth it if half of what is before the part is passed over.

Only mp4 and mov are entered so. AVI has no times of its own: what FFmpeg counts depends on where it began.
"""

from __future__ import annotations

from dataclasses import replace
from math import floor
from typing import Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline.failures import MediaToolTimeout
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.parts import Entry, Part
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.runner import GuardedProcess
from reframer_pipeline.settings import Settings

WORTH_S: Final = 4.0  # of video before a part: less is decoded as soon as it is tried
# What H.264 with open groups lets go of has not been decoded: it was shown before the key frame, or referred to by what was.
HARMLESS: Final = "mmco: unref short failure"
LEAD_S: Final = 1  # before a part's first frame: sound has begun by then, and frames stand in their order


def entered(part: Part, metadata: VideoMetadata, pts: npt.NDArray[np.int64], settings: Settings) -> Part:
    """The part, decoded from a key frame where that gives the same frames; else as it is.

    Args:
        part: The part.
        metadata: The video's facts.
        pts: Of the video's frames, from the frames result, where they never fall; up to the part's end at least.
        settings: The limits.

    Raises:
        MediaToolMissing: ffmpeg is absent.
    """
    first = int(pts[part.start])
    if not metadata.container.startswith("mov") or float((first - int(pts[0])) * part.time_base) < WORTH_S:
        return part
    if (np.diff(pts[part.start - 1 : part.stop]) <= 0).any():  # as where time steps back: it does not say which frame it is
        return part
    entry = Entry(floor((first * part.time_base - LEAD_S) * 1_000_000), first)
    tried = replace(part, entry=entry)
    shown = _shown(tried, metadata, settings, int(pts[part.start // 2]))
    return tried if shown and shown == pts[: part.start + 1][-len(shown) :].tolist() else part


def _shown(part: Part, metadata: VideoMetadata, settings: Settings, earliest: int) -> list[int]:
    """The times from the first frame that comes, if it is a key frame and not before `earliest`, up to the part's first."""
    shown: list[int] = []
    limits = Limits.of(settings, units=metadata.frame_count)
    try:
        with GuardedProcess(_command(part, settings), limits, reads=[part.path]) as process:
            for line in process.lines():
                if not line.startswith("#"):
                    shown.append(int(line.split(",")[2]))
                    if shown[0] < earliest:
                        return []  # little would be saved, and trying takes as long
            return shown if process.wait() == 0 and not _complains(process.stderr) else []
    except MediaToolTimeout:
        return []


def _complains(messages: str) -> bool:
    """Whether something could not be decoded. What is made up for it may come from frames before the key frame."""
    return any(line.strip() and not line.rstrip().endswith(HARMLESS) for line in messages.splitlines())


def _command(part: Part, settings: Settings) -> list[str]:
    import ffmpeg

    assert part.entry is not None
    source = part.opened(settings)[str(part.stream_index)].filter("trim", end_pts=part.entry.pts + 1)
    looked = source.filter("select", "if(eq(n,0),st(0,key));ld(0)").filter("scale", 16, 16)
    told = {"f": "framecrc", "fps_mode": "passthrough", "enc_time_base": -1}
    command: list[str] = ffmpeg.output(looked, "pipe:1", **told).global_args("-nostdin", "-hide_banner", "-loglevel", "error").compile()
    return command
