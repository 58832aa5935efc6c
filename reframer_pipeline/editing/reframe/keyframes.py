"""A path in few words: keyframes between which it moves evenly, and the error that this makes.

What belongs here: choosing them. What does not: writing them (`forms`, `timeline`).

The keyframes are the path: every form, and the clip that is rendered, is made from them, so all agree.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline.vision.between import Floats, between

TOLERANCE: Final = 0.25  # pixels: less than what is lost when a picture is cut at whole pixels
DIGITS: Final = 3  # of pixels: what is written of positions, and so is all that they have


def keyframes(seconds: Floats, xy: Floats, tolerance: float = TOLERANCE) -> npt.NDArray[np.int64]:
    """Which frames of a shot are keyframes: the first, the last, and as few as the tolerance allows between (Douglas and Peucker, 1973).

    Args:
        seconds: `(n,)` times of its frames, never falling; at least one.
        xy: `(n, 2)` positions.
        tolerance: Pixels by which a position between keyframes may be off, on either axis.

    Returns:
        Rising places in the arrays. One is enough where nothing moves.
    """
    last = len(seconds) - 1
    if np.ptp(xy, axis=0).max() <= tolerance:
        return np.array([0])
    kept, open_spans = {0, last}, [(0, last)]
    while open_spans:
        start, end = open_spans.pop()
        inner = slice(start + 1, end)
        off = np.abs(between(seconds[[start, end]], xy[[start, end]], seconds[inner]) - xy[inner]).max(axis=1, initial=0.0)
        if off.size and off.max() > tolerance:
            place = start + 1 + int(off.argmax())
            kept.add(place)
            open_spans += [(start, place), (place, end)]
    return np.array(sorted(kept))
