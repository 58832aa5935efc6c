"""The proxy: a copy of a video that every browser can play, made as pictures are read.

What belongs here: its size and colours, running ffmpeg, and telling how far it is. What does not: its command line (`commands`), how a
picture is shown (`display`), where a proxy is kept (`results.proxies`).

It is H.264 High with 8 bits, upright, of square pixels, with AAC sound if there is some. Every frame is in it, at its time.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from reframer_pipeline.failures import DamagedVideo, NoDecodableFrames
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.media import commands
from reframer_pipeline.media.boxes import read_boxes
from reframer_pipeline.media.display import Filter, Size, as_shown
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.refusals import refusal
from reframer_pipeline.media.runner import Command, GuardedProcess
from reframer_pipeline.settings import Settings

CODE_VERSION: Final = 2  # raised when proxies come out differently: those that are kept are then made anew
LONGEST_SIDE: Final = 1280
_AS_IT_IS: Final = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)  # ISO/IEC 14496-12, TrackHeaderBox


def make_proxy(path: Path, metadata: VideoMetadata, settings: Settings, target: Path, progress: Progress = no_progress) -> None:
    """Write a video's proxy. Sound that cannot be decoded is left out.

    Args:
        path: The video.
        metadata: Its facts, from `probe`.
        settings: The limits; the file may have `max_store_mb`.
        target: The file to write.
        progress: Told the number of encoded frames of `metadata.frame_count`, twice a second.

    Raises:
        NoDecodableFrames, DamagedVideo: As their classes say.
        MediaToolMissing, MediaToolTimeout: ffmpeg is absent, or ran into a limit on this file.
    """
    made, messages = _run(path, metadata, settings, target, progress, sound=metadata.has_audio)
    if not made and metadata.has_audio:
        made, messages = _run(path, metadata, settings, target, progress, sound=False)
    if not made:
        raise refusal(messages, codecs=False) or DamagedVideo("The video cannot be copied for browsers.")
    make_upright(target)


def proxy_size(displayed: Size) -> Size:
    """Width and height of a proxy: the displayed size, made smaller if need be, of even sides."""
    scale = min(1.0, LONGEST_SIDE / max(displayed))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in displayed)
    return width, height


def _run(path: Path, metadata: VideoMetadata, settings: Settings, target: Path, progress: Progress, sound: bool) -> tuple[bool, str]:
    """Whether ffmpeg made it, and what it said."""
    start, step = float((metadata.start_pts or 0) * metadata.time_base), float(1 / metadata.fps)
    command = commands.proxy(
        path, metadata.stream_index, settings, shown=_shown(metadata), start_s=start, step_s=step, sound=sound, target=target
    )
    return encoded(command, settings, metadata.frame_count, progress, reads=[path], target=target)


def encoded(
    command: Command, settings: Settings, frames: int, progress: Progress, before: int = 0, *, reads: Sequence[Path], target: Path
) -> tuple[bool, str]:
    """Run an ffmpeg that writes a file and tells on standard output how far it is (`-progress pipe:1`).

    Args:
        command: Its command line.
        settings: The limits.
        frames: Frames that it encodes.
        progress: Told their number.
        before: Frames that it decodes before the first of these. While it does it may say nothing, so that its wall clock alone counts.
        reads: The files that it reads.
        target: The one that it writes.

    Returns:
        Whether it ended well, and what it said.

    Raises:
        NoDecodableFrames: It ended well without a picture.
        MediaToolMissing, MediaToolTimeout: ffmpeg is absent, or ran into a limit on this file; the new one may have `max_store_mb`.
    """
    limits = replace(Limits.of(settings, units=before + frames), file_bytes=settings.max_store_mb * 1_000_000)
    if before:
        limits = replace(limits, stall_s=limits.wall_s)
    done = 0
    with GuardedProcess(command, limits, reads=reads, writes=[target]) as process:
        for line in process.lines():
            name, _, value = line.partition("=")
            if name == "frame" and value.strip().isdigit():
                done = int(value)
                progress(min(done, frames), frames)
        made = process.wait() == 0
        if made and not done:
            raise NoDecodableFrames("Not one frame of the picture can be decoded.")
        return made, process.stderr


def make_upright(target: Path) -> None:
    """Pictures were turned already. FFmpeg hands the display matrix on to the file all the same, by rules that differ by version."""
    for pictures in read_boxes(target).pictures:
        with target.open("r+b") as file:
            file.seek(pictures.matrix_at)
            file.write(_AS_IT_IS)


def _shown(metadata: VideoMetadata) -> list[Filter]:
    """As pictures are shown everywhere else, and then in the colours of video."""
    size = proxy_size((metadata.width, metadata.height))
    shown = as_shown(size, metadata.orientation, metadata.tone_mapped_from, "bicubic+accurate_rnd+full_chroma_int")
    return [*shown, ("scale", (), {"out_color_matrix": "bt709", "out_range": "tv"}), ("format", ("yuv420p",), {})]
