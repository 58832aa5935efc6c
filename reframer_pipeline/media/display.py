"""How a picture is to be shown: which way up, how wide its pixels are, in which colours.

What belongs here: orientation from a display matrix, the displayed size, the filters that make a stored picture one that is shown.
What does not: reading the facts that this follows from (`probe`), the rest of the command lines (`commands`).

FFmpeg's own turning is switched off (`-noautorotate`), and what is done instead stands here alone, so that facts and pictures cannot
disagree. The eight ways in which a matrix can turn and mirror are those of FFmpeg's `configure_input_video_filter`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

Filter = tuple[str, tuple[Any, ...], dict[str, Any]]
Size = tuple[int, int]  # width, height

# What cameras write for a quarter turn may be off by some tenths of a degree. FFmpeg rounds to whole degrees.
_NEAR: Final = math.sin(math.radians(1))
_ROW: Final = re.compile(r"^[0-9a-f]{8}:\s+(-?\d+)\s+(-?\d+)\s+-?\d+\s*$", re.MULTILINE)

# The transfer functions of high dynamic range, by FFmpeg's names, as people call them.
HDR: Final = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
# Light in HDR, in cd/m2: of a diffuse white (ITU-R BT.2408), which is shown at 217 of 255, and the brightest, which is shown at 255 (the
# nominal peak of HLG, ITU-R BT.2100). What a file claims of its own peak does not count: FFmpeg reads it on another scale.
_WHITE: Final = 203
_PEAK: Final = 1000


@dataclass(frozen=True)
class Orientation:
    """How the stored picture is turned to be shown: first counter-clockwise, then mirrored left to right.

    Attributes:
        rotation: Degrees: 0, 90, 180 or 270.
        mirrored: Whether left and right change places, after turning.
    """

    rotation: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.rotation in (90, 270)

    def turned(self, size: Size) -> Size:
        """A size after turning; also before it, as turning back swaps the same sides."""
        return (size[1], size[0]) if self.swaps_sides else size

    def filters(self) -> list[Filter]:
        """FFmpeg filters that turn and mirror."""
        turns: dict[int, list[Filter]] = {
            0: [],
            90: [("transpose", ("cclock",), {})],
            180: [("hflip", (), {}), ("vflip", (), {})],
            270: [("transpose", ("clock",), {})],
        }
        return turns[self.rotation] + ([("hflip", (), {})] if self.mirrored else [])


def orientation(matrix: str | None) -> Orientation | None:
    """The orientation that a display matrix asks for.

    Args:
        matrix: As ffprobe prints it: three lines `00000000: a b u`, of which the first two columns matter. A point x, y is shown at
            ax + cy, bx + dy. None: there is none.

    Returns:
        None for a matrix that is further than one degree from all quarter turns, or is no matrix: the picture is then left as stored.
    """
    if matrix is None:
        return Orientation()
    rows = [(int(a), int(b)) for a, b in _ROW.findall(matrix)]
    if len(rows) != 3:
        return None
    (a, b), (c, d) = rows[:2]
    across, down = math.hypot(a, c), math.hypot(b, d)  # a matrix may scale as well, which players ignore
    if not across or not down:
        return None
    parts = (a / across, b / down, c / across, d / down)
    if any(abs(part - round(part)) > _NEAR for part in parts):
        return None
    x, y, z, w = (round(part) for part in parts)
    determinant = x * w - y * z
    if not determinant:
        return None
    mirrored = determinant < 0
    if mirrored:  # mirror it back, and what is left is a turn
        x = -x
    return Orientation({(1, 0): 0, (0, 1): 270, (-1, 0): 180, (0, -1): 90}[x, y], mirrored)


def displayed(coded: Size, sar: Fraction, way: Orientation) -> Size:
    """Width and height in square pixels, upright: the width is stretched or narrowed, then the sides may swap."""
    return way.turned((max(1, round(coded[0] * sar)), coded[1]))


def as_shown(size: Size, way: Orientation, transfer: str | None, scaling: str, colours: str = "rgb24") -> list[Filter]:
    """FFmpeg filters from a stored picture to one that is shown, in RGB.

    Scaling comes first: it takes pictures of any size and pixel format, also where these change within a file, and all filters after it
    see one size. Turning comes after the conversion to RGB, so that it mixes no colours.

    Args:
        size: Displayed width and height.
        way: How it is turned.
        transfer: The transfer function to map to SDR, of `HDR`; None leaves the colours alone.
        scaling: The scaler's flags.
        colours: The pixel format, `rgb24` or `gbrp`.
    """
    scale: Filter = ("scale", way.turned(size), {"flags": scaling})
    rgb: Filter = ("format", (colours,), {})
    return [scale, *(_to_sdr(transfer) if transfer else []), rgb, *way.filters(), ("setsar", (1,), {})]


def _to_sdr(transfer: str) -> list[Filter]:
    """HDR to BT.709: linear light, its primaries, bright light pressed together, BT.709's curve."""
    return [
        ("format", ("yuv444p12le",), {}),  # zscale takes no odd sizes where chroma has half of them
        ("zscale", (), {"tin": transfer, "pin": "bt2020", "min": "bt2020nc", "t": "linear", "npl": _WHITE}),
        ("format", ("gbrpf32le",), {}),
        ("zscale", (), {"p": "bt709"}),
        ("tonemap", ("mobius",), {"desat": 0, "peak": _PEAK / _WHITE}),
        ("zscale", (), {"t": "bt709", "m": "gbr", "r": "full"}),
        ("format", ("gbrp",), {}),
    ]
