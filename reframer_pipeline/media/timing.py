"""What a stream's times say: how many pictures, over how long, at which rate; and what the header promised, held against it.

What belongs here: reconciling three witnesses, the header, the packets and the decoded pictures, in one place. What does not: reading any
of them (`packets`, `probe`, `sampling`).

A packet is not always a picture: each field of a field-coded picture can have one. A header's rate is a claim: recordings of a screen and
AVI with dropped frames say the recorder's clock. A header's length counts what is shown before the first picture.
"""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from reframer_pipeline.failures import DamagedVideo, NoDecodableFrames, TruncatedVideo

UNKNOWN: Final = -(1 << 63)  # AV_NOPTS_VALUE, which no real time can be

# Where a file counts as cut off: less than this share of its span, and more than so many frames missing. Edit lists and the
# last frame's length make whole files differ by a few frames (webcam_vfr_paper.mov: 0.9 %).
WHOLE: Final = 0.95
FEW_FRAMES: Final = 5


@dataclass(frozen=True)
class Timing:
    """The times of a stream's pictures, in units of its time base.

    Attributes:
        count: Pictures.
        span: Last picture's end minus first picture's start.
        start_pts: Pts of the first picture shown; None where there is none.
        variable: Whether pictures last differently, beyond rounding.
    """

    count: int
    span: int
    start_pts: int | None
    variable: bool

    def seconds(self, time_base: Fraction) -> float:
        """The span."""
        return float(self.span * time_base)

    def rate(self, time_base: Fraction, claimed: Fraction | None) -> Fraction:
        """Pictures a second: the header's exact fraction where the times bear it out, else pictures over their span.

        Times are rounded to the time base, so of 24 pictures a second in milliseconds only the header knows that they are 24.
        """
        span = self.span * time_base
        rounding = 2 * time_base if self.variable else max(2 * time_base, span / 100)
        if claimed and abs(self.count / claimed - span) <= rounding:
            return claimed
        return self.count / span


def timing(times: array[int], durations: array[int], start_pts: int | None) -> Timing:
    """The timing of pictures in any order; `UNKNOWN` stands for a time or a duration that is not told. At least one is given."""
    shown = sorted(pair for pair in zip(times, durations, strict=True) if pair[0] != UNKNOWN)
    starts = [time for time, _ in shown]
    steps = [after - before for before, after in zip(starts, starts[1:], strict=False)]
    typical = statistics.median_low(steps) if steps else max(durations[0], 1)
    last = shown[-1][1] if shown and shown[-1][1] > 0 else typical
    span = starts[-1] - starts[0] + last if starts else len(times) * typical
    # The last frame's own length counts, as in the containers' tables: phones write one that is shorter (iphone_rot_face_vfr.mov, 11 after
    # 25s).
    return Timing(len(times), max(span, 1), start_pts, differ([*steps, last], typical, 1))


def differ(lengths: Sequence[float], typical: float, tick: float) -> bool:
    """Whether pictures last differently, beyond rounding to the time base; one per cent is rounding, too, where that is fine.

    Args:
        lengths: How long each lasts; at least one.
        typical: How long they usually last.
        tick: The time base, in the same unit.
    """
    return max(lengths) - min(lengths) > max(tick, typical / 100) + 1e-9  # of sums in floating point


def check_promise(found: Timing, time_base: Fraction, promised_s: float, rate: Fraction) -> None:
    """Refuses a file that holds clearly less picture than its header declares.

    Args:
        found: What the packets say.
        time_base: Its unit.
        promised_s: Seconds that the header declares from time 0 to the last picture's end; 0 where it declares none.
        rate: Pictures a second.

    Raises:
        TruncatedVideo: It was cut off.
    """
    # A track that begins later (an empty edit, a live stream) is declared with what comes before its first picture.
    promised_s -= float(max(found.start_pts or 0, 0) * time_base)
    found_s = found.seconds(time_base)
    if found_s < WHOLE * promised_s and (promised_s - found_s) * rate > FEW_FRAMES:
        raise TruncatedVideo(f"The header promises {promised_s:.2f} s of picture, the file holds {found_s:.2f} s.")


def check_decoded(count: int, found_s: float, unseen_s: float, promised: int, promised_s: float, rate: Fraction) -> None:
    """Refuses a video of which too little was decoded. ffmpeg's exit status says little about damage: 0 for half a file.

    Pictures lost in the middle are gaps in time. Counts alone refuse nothing: the facts may have counted packets.

    Args:
        count: Decoded pictures.
        found_s: Seconds from the first one's start to the last one's end.
        unseen_s: Of these, the seconds in gaps: beyond two average pictures after the one before.
        promised: Pictures that the facts counted.
        promised_s: Seconds that the facts measured.
        rate: The facts' average rate.

    Raises:
        NoDecodableFrames: Not one.
        TruncatedVideo: Less than 95 % of the time and more than five pictures are missing at the end.
        DamagedVideo: Under half of the pictures, and over half of the time is gaps.
    """
    if not count:
        raise NoDecodableFrames("Not one frame of the picture can be decoded.")
    if promised - count <= FEW_FRAMES:
        return  # also right where the last frame is shown for seconds (cursed_vfr_3026x1386.mp4)
    if found_s < WHOLE * promised_s and (promised_s - found_s) * rate > FEW_FRAMES:
        raise TruncatedVideo(f"The picture lasts {promised_s:.2f} s, and {found_s:.2f} s of it can be decoded.")
    if count * 2 < promised and unseen_s * 2 > found_s:
        raise DamagedVideo(f"Only {count} of {promised} frames can be decoded.")
