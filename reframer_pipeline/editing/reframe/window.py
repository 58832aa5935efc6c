"""The window: which part of the picture a ratio allows.

What belongs here: reading a ratio, and the size that follows. What does not: where the window is (`path`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from reframer_pipeline.failures import RatioImpossible

Size = tuple[int, int]  # width, height

SMALLEST: Final = 16  # pixels: a macroblock of H.264
LONGEST: Final = 6  # characters of each number
_RATIO: Final = re.compile(r"(\d+(?:\.\d+)?)[:x/](\d+(?:\.\d+)?)", re.ASCII)


@dataclass(frozen=True)
class Ratio:
    """Width to height, as somebody wrote it: `9:16`, `2.39:1`."""

    text: str
    width: float
    height: float

    @classmethod
    def read(cls, text: str) -> Ratio:
        """A ratio from `W:H`.

        Raises:
            RatioImpossible: It is none, or has no size.
        """
        found = _RATIO.fullmatch(text.strip())
        if not found or max(map(len, found.groups())) > LONGEST:
            raise RatioImpossible(f"{text!r} is no ratio.")
        width, height = map(float, found.groups())
        if not width or not height:
            raise RatioImpossible(f"A picture of {text} has no size.")
        return cls(f"{found[1]}:{found[2]}", width, height)


def window_of(ratio: Ratio, picture: Size) -> Size:
    """The largest window of a ratio in a picture. Its sides are even, as H.264 wants them, so it is of the ratio to a pixel each side.

    Args:
        ratio: The ratio.
        picture: Displayed width and height.

    Raises:
        RatioImpossible: A side would be less than `SMALLEST`.
    """
    wide, high = picture
    scale = min(wide / ratio.width, high / ratio.height)
    sides = (_even(ratio.width * scale, wide), _even(ratio.height * scale, high))
    if min(sides) < SMALLEST:
        raise RatioImpossible(
            f"{ratio.text} of a picture of {wide}x{high} pixels would be {sides[0]}x{sides[1]}: each side needs at least {SMALLEST}."
        )
    return sides


def _even(side: float, most: int) -> int:
    """The nearest even number that is no larger than what there is."""
    return min(2 * round(side / 2), most // 2 * 2)
