"""Timecode, HH:MM:SS:FF, as editing programs count (SMPTE ST 12-1).

What belongs here: from frames and seconds to that text. What does not: where frames and times come from (`sampling`).

At 29.97 and 59.94 frames a second it is drop frame, with `;` before the frames: numbers are left out at the beginning of each minute but
every tenth, so that it stays with the clock. At other rates no number is left out; at 23.976 it falls behind the clock by 3.6 s an hour, as
in every editing program. The first frame is at zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

DROPPED: Final = {30: 2, 60: 4}  # numbers left out a minute, by nominal rate; rates of 1000/1001 of these
_NEAR: Final = 1e-4  # relative: rates come as fractions and as rounded decimals; the two kinds are 1e-3 apart


@dataclass(frozen=True)
class Timecode:
    """How the frames of one video are called.

    Attributes:
        rate: Average frames a second.
        counts: Whether frames are counted; else each is called by its time at the nominal rate, where it is variable or no whole number.
    """

    rate: Fraction | float
    counts: bool

    @classmethod
    def of(cls, rate: Fraction | float, times: Iterable[tuple[int, float]]) -> Timecode:
        """The timecode of a video, of which some frames' numbers and seconds since the first are known; all, if it is to be certain."""
        steady = any(_is_near(one, nominal(rate)) for one in (rate, rate * 1001 / 1000))
        return cls(rate, steady and all(abs(seconds * rate - frame) <= 0.5 for frame, seconds in times))

    def at(self, frame: int, seconds: float) -> str:
        """What a frame is called, from its number and its seconds since the first frame."""
        if self.counts:
            return timecode(frame, self.rate)
        count = nominal(self.rate)
        return timecode(int(seconds * count + 1e-3), count)  # times were rounded


def timecode(frame: int, rate: Fraction | float) -> str:
    """What a frame of a video of constant rate is called.

    Args:
        frame: Its number from zero.
        rate: Frames a second. Of the numbers of frames there are as many as the next whole number says.
    """
    count = nominal(rate)
    drop = is_drop_frame(rate)
    if drop:
        lost = DROPPED[count]
        tens, rest = divmod(frame, 600 * count - 9 * lost)
        minutes = (rest - 60 * count) // (60 * count - lost) + 1 if rest >= 60 * count else 0
        frame += lost * (9 * tens + minutes)
    seconds, frames = divmod(frame, count)
    minutes, seconds = divmod(seconds, 60)
    digits = max(2, len(str(count - 1)))
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{';' if drop else ':'}{frames:0{digits}}"


def nominal(rate: Fraction | float) -> int:
    """Numbers of frames in a second: 30 at 29.97."""
    return max(1, int(float(rate) + 0.5))  # not `round`, which makes 12 of 12.5, and the page 13


def is_drop_frame(rate: Fraction | float) -> bool:
    """Whether numbers are left out."""
    return nominal(rate) in DROPPED and _is_near(rate * 1001 / 1000, nominal(rate))


def _is_near(rate: Fraction | float, whole: int) -> bool:
    return abs(float(rate) - whole) < _NEAR * whole
