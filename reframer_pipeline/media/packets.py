"""Counting without decoding: one pass over a stream's packets.

What belongs here: the times of the packets that stand for shown frames, and the sign of encryption; the times of the pictures themselves
where packets are not pictures. What does not: what the times mean (`timing`), decoding for pictures (`sampling`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

from reframer_pipeline.failures import EncryptedVideo, NoDecodableFrames, VideoTooLong
from reframer_pipeline.media import commands
from reframer_pipeline.media.commands import Opened
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.runner import GuardedProcess
from reframer_pipeline.media.timing import UNKNOWN, Timing, timing
from reframer_pipeline.settings import Settings


def count_packets(path: Path, stream: Opened, settings: Settings) -> Timing:
    """Reads all packets of one stream; keeps 24 bytes of each.

    Raises:
        VideoTooLong: More than `max_frames`.
        EncryptedVideo: Packets are marked as encrypted.
        NoDecodableFrames: Not one packet.
        MediaToolTimeout: A limit was reached.
    """
    pts, dts, durations = array("q"), array("q"), array("q")
    for fields in _lines(commands.packets(path, stream, settings), Limits.of(settings)):
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


def count_pictures(path: Path, stream: Opened, settings: Settings, *, packets: Timing) -> Timing:
    """Decodes one stream to count its pictures: for streams whose packets are fields.

    Args:
        path: The file.
        stream: Which stream.
        settings: The limits.
        packets: What its packets say; it stands where nothing can be decoded.
    """
    times = array("q")
    for fields in _lines(commands.pictures(path, stream, settings), Limits.of(settings, units=packets.count)):
        if "best_effort_timestamp" in fields:
            times.append(_time(fields["best_effort_timestamp"]))
            check_count(len(times), settings)
    known = [time for time in times if time != UNKNOWN]
    return timing(times, array("q", [UNKNOWN]) * len(times), min(known)) if known else packets


def _lines(command: list[str], limits: Limits) -> Iterator[dict[str, str]]:
    with GuardedProcess(command, limits) as process:
        for line in process.lines():
            yield dict(part.split("=", 1) for part in line.split("|") if "=" in part)
        process.wait()


def _time(text: str | None) -> int:
    return UNKNOWN if text in (None, "N/A") else int(text)


def check_count(frames: int, settings: Settings) -> None:
    """Raises VideoTooLong for more frames than are allowed."""
    if frames > settings.max_frames:
        raise VideoTooLong(f"The video has more than {settings.max_frames} frames.")
