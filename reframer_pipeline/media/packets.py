"""Counting without decoding: one pass over a stream's packets.

What belongs here: the times of the packets that stand for shown frames, and the sign of encryption; the times of the pictures themselves
where packets are not pictures. What does not: what the times mean (`timing`), decoding for pictures (`sampling`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reframer_pipeline.failures import EncryptedVideo, NoDecodableFrames, VideoTooLong
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.media import commands
from reframer_pipeline.media.commands import Opened
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.runner import GuardedProcess
from reframer_pipeline.media.timing import UNKNOWN, Timing, timing
from reframer_pipeline.settings import Settings

PROGRESS_LINES: Final = 32  # of ffprobe, one a packet or picture: as often as where pictures are decoded for good (`sampling`)


def count_packets(path: Path, stream: Opened, settings: Settings, progress: Progress = no_progress) -> Timing:
    """Reads all packets of one stream; keeps 24 bytes of each.

    Args:
        path: The file.
        stream: Which stream.
        settings: The limits.
        progress: Told the number of packets, as below.

    Raises:
        VideoTooLong: More than `max_frames`.
        EncryptedVideo: Packets are marked as encrypted.
        NoDecodableFrames: Not one packet.
        MediaToolTimeout: A limit was reached.
    """
    pts, dts, durations = array("q"), array("q"), array("q")
    for fields in _lines(path, commands.packets(path, stream, settings), Limits.of(settings), progress):
        if fields.get("side_data_type", "").startswith("Encryption"):
            raise EncryptedVideo("The picture is encrypted.")
        if "flags" not in fields or "D" in fields["flags"]:
            continue
        for name, column in (("pts", pts), ("dts", dts), ("duration", durations)):
            column.append(_time(fields.get(name)))
        check_count(len(pts) // 2, settings)  # of two fields each, at most
    if not pts:
        raise NoDecodableFrames("The header promises a picture, but the file holds none of it.")
    # AVI with packed B-frames has pts on some packets only; its dts are complete and as regular.
    complete = UNKNOWN not in pts
    return timing(pts if complete else dts, durations, min(pts) if complete else None)


def count_pictures(path: Path, stream: Opened, settings: Settings, progress: Progress = no_progress, *, packets: Timing) -> Timing:
    """Decodes one stream to count its pictures: for streams whose packets are fields.

    Args:
        path: The file.
        stream: Which stream.
        settings: The limits.
        progress: Told the number of pictures of at most as many as packets, every 32 and at the end.
        packets: What its packets say; it stands where nothing can be decoded.
    """
    times = array("q")
    limits = Limits.of(settings, units=packets.count)
    for fields in _lines(path, commands.pictures(path, stream, settings), limits, progress, packets.count):
        if "best_effort_timestamp" in fields:
            times.append(_time(fields["best_effort_timestamp"]))
            check_count(len(times), settings)
    known = [time for time in times if time != UNKNOWN]
    return timing(times, array("q", [UNKNOWN]) * len(times), min(known)) if known else packets


def _lines(path: Path, command: list[str], limits: Limits, progress: Progress, total: int = 0) -> Iterator[dict[str, str]]:
    number = 0
    with GuardedProcess(command, limits, reads=[path]) as process:
        for number, line in enumerate(process.lines(), start=1):
            if number % PROGRESS_LINES == 0:
                progress(number, total)
            yield dict(part.split("=", 1) for part in line.split("|") if "=" in part)
        process.wait()
    progress(number, total)


def _time(text: str | None) -> int:
    return UNKNOWN if text in (None, "N/A") else int(text)


def check_count(frames: int, settings: Settings) -> None:
    """Raises VideoTooLong for more frames than are allowed."""
    if frames > settings.max_frames:
        raise VideoTooLong(f"The video has more than {settings.max_frames} frames.")
