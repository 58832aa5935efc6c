"""A video read again: every frame of a part as it is shown, and its sound.

What belongs here: drawing frames and sound from ffmpeg. What does not: which frames (`parts`), their command lines (`film_commands`), what
becomes of them, and their times, which the frames result has: a frame here is the frame of the same number there.

One picture is held. Each stream is decoded once.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reframer_pipeline.failures import DamagedVideo
from reframer_pipeline.media import film_commands
from reframer_pipeline.media.commands import opened
from reframer_pipeline.media.display import Size, as_shown
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.parts import Part
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.refusals import refusal
from reframer_pipeline.media.runner import STDOUT, GuardedProcess
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLOCK: Final = 1
SOUND: Final = ".flac"  # what sound is kept as on its way: without loss, and whoever writes the film encodes it once


@dataclass(frozen=True)
class Picture:
    """A frame as it is shown.

    Attributes:
        rgb: `(height, width, 3)`: turned, of square pixels.
        clock: What a film's writer is told of its time: the clock's bytes up to this frame's pixels; empty if nobody asked.
        row_bytes: Of a row of these pixels.
    """

    rgb: NDArray[np.uint8]
    clock: bytes = b""
    row_bytes: int = 0


def shown_frames(
    part: Part, metadata: VideoMetadata, settings: Settings, *, size: Size | None = None, clock: bool = False
) -> Generator[Picture]:
    """Decodes a part of a video once while its frames are drawn.

    Args:
        part: The part.
        metadata: The video's facts.
        settings: The limits. Who takes long over a frame is not counted as ffmpeg's standing still.
        size: Width and height of the pictures, to which the displayed ones are scaled; None: those.
        clock: Whether a film is to be written (`film_commands`).

    Raises:
        DamagedVideo: A frame of the part cannot be decoded.
        MediaToolMissing, MediaToolTimeout: ffmpeg is absent, or ran into a limit on this file.
    """
    import numpy as np

    width, height = size or part.size
    shown = as_shown((width, height), metadata.orientation, metadata.tone_mapped_from, "bicubic+accurate_rnd+full_chroma_int")

    def compose(fds: tuple[int, ...]) -> list[str]:
        return film_commands.frames(part, settings, shown=shown, clock=fds[0] if clock else None)

    limits = patient(settings, max(metadata.frame_count, part.stop), before=part.start)
    with GuardedProcess(compose, limits, extra_channels=int(clock), reads=[part.path]) as process:
        for number in range(part.start, part.stop):
            rgb = np.empty((height, width, 3), np.uint8)
            if not process.fill(STDOUT, rgb):
                process.wait()
                raise refusal(process.stderr, codecs=False) or DamagedVideo(f"Frame {number} cannot be decoded any more.")
            told, row_bytes = _tick(process, *part.size) if clock else (b"", 0)
            yield Picture(rgb, told, row_bytes)


def patient(settings: Settings, frames: int, work: int = 1, before: int = 0) -> Limits:
    """Limits of a process that waits for its caller at every frame: the clock that counts is that of standing still.

    Args:
        settings: As for `Limits.of`.
        frames: That it decodes or encodes.
        work: How often it may take the CPU seconds of a decode for one.
        before: Frames that it decodes before the first of them that is wanted, and says nothing meanwhile: a second each.
    """
    limits = Limits.of(settings, units=frames * work)
    return replace(limits, stall_s=settings.stall_s + before, wall_s=settings.stall_s * (frames + 1) + before)


def make_sound(path: Path, metadata: VideoMetadata, settings: Settings, target: Path) -> bool:
    """Writes the first sound as FLAC, stereo, 48 kHz; it begins with the first frame.

    Returns:
        Whether there is any that can be decoded.

    Raises:
        MediaToolMissing, MediaToolTimeout: ffmpeg is absent, or ran into a limit; the file may have `max_store_mb`.
    """
    if not metadata.has_audio:
        return False
    limits = replace(Limits.of(settings, units=metadata.frame_count), file_bytes=settings.max_store_mb * 1_000_000)
    with GuardedProcess(_sound(path, metadata, settings, target), limits, reads=[path], writes=[target]) as process:
        for _ in process.lines():  # it tells how far it is, so that it does not count as standing still
            pass
        return process.wait() == 0 and target.is_file() and target.stat().st_size > 0


def _tick(process: GuardedProcess, width: int, height: int) -> tuple[bytes, int]:
    """The clock's bytes before the next frame's pixels, and of how many bytes a row of these is; the pixels themselves are passed over.

    ffmpeg has read an upload, so what it says is not taken on trust.
    """
    told = bytearray()
    while len(header := process.read(CLOCK, 8)) == 8:
        told += header
        size, kind = struct.unpack(">I4s", header)
        content = process.read(CLOCK, max(size - 8, 0))
        if kind == b"mdat" and len(content) // height >= 2 * width:
            return bytes(told), len(content) // height
        if kind == b"mdat" or size < 8:
            break
        told += content
    raise DamagedVideo("The source's times cannot be read any more.")


def _sound(path: Path, metadata: VideoMetadata, settings: Settings, target: Path) -> list[str]:
    start_s = float((metadata.start_pts or 0) * metadata.time_base)
    source = opened(path, settings, sound=True, copyts=None)
    # as in `commands.proxy`
    heard = source["a:0"].filter("atrim", start=start_s).filter("asetpts", f"PTS-{start_s}/TB")
    heard = heard.filter("aresample", **{"async": 1, "first_pts": 0})
    kept = {"format": "flac", "acodec": "flac", "sample_fmt": "s16", "ac": 2, "ar": 48_000, "map_metadata": -1, "progress": "pipe:1"}
    made = heard.output(f"file:{target.absolute()}", **kept).overwrite_output()
    command: list[str] = made.global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-filter_complex_threads", "1").compile()
    return command
