"""From what must stay in view to a movement: where the window may be at each frame, and the curve through that.

What belongs here: the two axes of a shot. What does not: what must stay in view (`subject`), how a curve is found (`path`), shots (`plan`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from reframer_pipeline.editing.reframe.path import Allowed, Curve, follow
from reframer_pipeline.editing.reframe.subject import Floats, Subject
from reframer_pipeline.editing.reframe.window import Size

MARGIN: Final = 0.03  # of a box's side, which is kept free around it where there is room: boxes are not exact
HEADROOM: Final = 0.1  # of the window's height: what is too tall is shown from its upper end, within this


def curves_of(seconds: Floats, subject: Subject, picture: Size, window: Size) -> tuple[Curve, Curve]:
    """The movement of one shot, of x and y, from what must stay in view.

    Args:
        seconds: `(n,)` times of its frames, never falling.
        subject: The subject at each.
        picture: Displayed width and height.
        window: The window's.
    """
    since, curves = seconds - seconds[0], []
    for axis in (0, 1):
        room = picture[axis] - window[axis]
        (low, high), (least, most) = (
            _inside(boxes[:, axis], boxes[:, axis + 2], window[axis], from_start=axis == 1) for boxes in (subject.xyxy, subject.first)
        )
        least, most = np.fmin(low, np.nan_to_num(least, nan=0)), np.fmax(high, np.nan_to_num(most, nan=room))
        places = (np.clip(one, 0, room) for one in (least, low, (low + high) / 2, high, most))
        curves.append(follow(since, Allowed(*places), room, picture[axis]))
    return curves[0], curves[1]


def _inside(start: Floats, end: Floats, window: int, from_start: bool) -> tuple[Floats, Floats]:
    """Least and largest position of the window at which the subject from `start` to `end` is inside, with a margin where there is room.

    A subject that is too large fills the window; with `from_start`, with the part that begins at its start, nearly.
    """
    spare = window - (end - start)
    margin = np.clip(np.minimum(MARGIN * (end - start), spare / 2), 0, None)
    fits_low, fits_high = end + margin - window, start - margin
    large_high = np.minimum(start + HEADROOM * window, end - window) if from_start else end - window
    return np.where(spare >= 0, fits_low, start), np.where(spare >= 0, fits_high, large_high)
