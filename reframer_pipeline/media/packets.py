"""Counting without decoding: one pass over a stream's packets.

What belongs here: count, span, first pts and regularity of the packets that stand for shown frames, and the sign of
encryption. What does not: judging the header (`probe`), decoding (`sampling`).
"""

from __future__ import annotations

import statistics
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reframer_pipeline.failures import EncryptedVideo, NoDecodableFrames, VideoTooLong
from reframer_pipeline.media import commands
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.runner import GuardedProcess
from reframer_pipeline.settings import Settings

UNKNOWN: Final = -(1 << 63)  # AV_NOPTS_VALUE, which no real time can be


@dataclass(frozen=True)
class PacketSummary:
    """What a stream's packets say; times in units of its time base.

    Attributes:
        count: Packets that stand for a shown frame.
        span: Last frame's end minus first frame's start.
        start_pts: Pts of the first frame shown; None where packets carry none.
        variable: Whether frames last differently, beyond rounding.
    """

    count: int
    span: int
    start_pts: int | None
    variable: bool


def summarise(path: Path, stream_index: int, settings: Settings) -> PacketSummary:
    """Reads all packets of one stream; keeps 24 bytes of each.

    Raises:
        VideoTooLong: More than `max_frames`.
        EncryptedVideo: Packets are marked as encrypted.
        NoDecodableFrames: Not one packet.
        MediaToolTimeout: A limit was reached.
    """
    pts, dts, durations = array("q"), array("q"), array("q")
    count = 0
    with GuardedProcess(commands.packets(path, stream_index, settings), Limits.of(settings)) as process:
        for line in process.lines():
            fields = dict(part.split("=", 1) for part in line.split("|") if "=" in part)
            if fields.get("side_data_type", "").startswith("Encryption"):
                raise EncryptedVideo("The picture is encrypted.")
            if "flags" not in fields or "D" in fields["flags"]:
                continue
            count += 1
            if count > settings.max_frames:
                raise VideoTooLong(f"The video has more than {settings.max_frames} frames.")
            for name, column in (("pts", pts), ("dts", dts), ("duration", durations)):
                value = fields.get(name, "N/A")
                column.append(int(value) if value != "N/A" else UNKNOWN)
        process.wait()
    if not count:
        raise NoDecodableFrames("The header promises a picture, but the file holds none of it.")
    # AVI with packed B-frames has pts on some packets only; its dts are complete and as regular.
    complete = UNKNOWN not in pts
    return _summary(pts if complete else dts, durations, min(pts) if complete else None)


def _summary(unordered: array[int], durations: array[int], start_pts: int | None) -> PacketSummary:
    shown = sorted(pair for pair in zip(unordered, durations, strict=True) if pair[0] != UNKNOWN)
    times = [time for time, _ in shown]
    steps = [after - before for before, after in zip(times, times[1:], strict=False)]
    typical = statistics.median_low(steps) if steps else max(durations[0], 1)
    last = shown[-1][1] if shown and shown[-1][1] > 0 else typical
    span = times[-1] - times[0] + last if times else len(unordered) * typical
    # One tick is rounding to the time base; so is one per cent of a step where the time base is fine. The last frame's own
    # length counts, as in the containers' tables: phones write one that is shorter (iphone_rot_face_vfr.mov, 11 after 25s).
    lengths = [*steps, last]
    variable = max(lengths) - min(lengths) > max(1, typical // 100)
    return PacketSummary(len(unordered), max(span, 1), start_pts, variable)
