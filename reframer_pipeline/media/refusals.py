"""What ffmpeg's and ffprobe's messages mean for the uploader.

What belongs here: message patterns, and the failure each stands for. What does not: limits that show in facts (`probe`), exit
statuses (`runner`). Messages are free text: a pattern that stops matching makes a failure less exact, never a file accepted.
"""

from __future__ import annotations

import re
from typing import Final

from reframer_pipeline.failures import (
    DimensionsOutOfRange,
    MediaToolMissing,
    NotAVideo,
    PermanentFailure,
    TooManyStreams,
    TruncatedVideo,
    UnsupportedCodec,
)

_REFUSALS: Final[tuple[tuple[str, type[PermanentFailure], str], ...]] = (
    (r"Picture size (\d+x\d+) exceeds", DimensionsOutOfRange, "A frame of {} pixels is larger than allowed."),
    (r"\[(\S+) @ \S+\] Format not on whitelist", NotAVideo, "The file is {}, not mp4, mov or avi."),
    (r"Codec \((\S+)\) not on whitelist", UnsupportedCodec, "The codec {} is not accepted."),
    (r"Decoder \(codec (\S+)\) not found", UnsupportedCodec, "The installed FFmpeg cannot decode {}."),
    (r"streams exceeds max_streams", TooManyStreams, "The file holds more streams than any real video."),
    (r"moov atom not found", TruncatedVideo, "The index (moov) of the file is missing: its recording or upload did not finish."),
    (r"No such filter", MediaToolMissing, "The installed FFmpeg lacks a filter that the one had which measured this video."),
    (r"Unrecognized option|Option \S* ?not found", MediaToolMissing, "The installed FFmpeg is too old."),
)


_OFF_THE_LIST: Final = re.compile(r"Codec \((\S+)\) not on whitelist")


def refused_decoders(stderr: str) -> set[str]:
    """Names of the decoders that were asked for and are not on the list."""
    return set(_OFF_THE_LIST.findall(stderr))


def demuxed(stderr: str) -> bool:
    """Whether ffprobe that failed came beyond the container: to a decoder that cannot be opened, of which it says nothing at its end."""
    return "Invalid data found when processing input" not in stderr


def refusal(stderr: str, *, codecs: bool = True) -> PermanentFailure | None:
    """The failure that ffmpeg's or ffprobe's messages stand for; None where they say nothing known.

    Args:
        stderr: The messages.
        codecs: Whether a codec off the list is a reason. It is none where streams beside the picture are spoken of, too.
    """
    said = stderr if codecs else "\n".join(line for line in stderr.splitlines() if not _OFF_THE_LIST.search(line))
    for pattern, failure, message in _REFUSALS:
        found = re.search(pattern, said)
        if found:
            return failure(message.format(*found.groups()))
    return None
