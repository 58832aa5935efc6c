"""What is known at some times, told for the times between them.

What belongs here: the one rule for boxes and positions, evenly in time from one to the next. What does not: where something is in view,
and what holds beyond the ends: that is each caller's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def between(times: Floats, values: npt.NDArray[np.floating], seconds: Floats) -> Floats:
    """Values at any times.

    Args:
        times: `(n,)` when they are known, rising.
        values: `(n, columns)`, such as the sides of boxes.
        seconds: `(m,)` when they are wanted; before the first and after the last time they stay as they are there.

    Returns:
        `(m, columns)`.
    """
    return np.stack([np.interp(seconds, times, column) for column in values.T], axis=1)
