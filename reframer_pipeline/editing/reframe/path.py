"""How the window moves along one axis, in one shot.

What belongs here: the curve, its limits, and the linear programme that finds it. What does not: what must stay in view (`subject`), which
axis and which shot (`plan`).

The position is a uniform cubic B-spline of time, a control point every `KNOT_S`. Its first three derivatives lie between the smallest and
the largest of the control points' differences of that order, over `h`, `h^2` and `h^3`, at any time and not only at frames. So limits of
speed and jerk are limits of differences, and frames may come unevenly. Where control points are equal the window is still to the last bit.

Sought are control points of the least

    sum |d1| + `EASE` (`EASE_S` sum |d2| / h + `EASE_S`^2 sum |d3| / h^2) + sum over frames of dt * cost(position)

under the limits: Grundmann, Kwatra, Essa, "Auto-directed video stabilization with robust L1 optimal camera paths" (CVPR 2011), whose L1
norms make paths of parts that are still, even or evenly accelerated. They follow a given camera within bounds; here the position has a
cost that rises in four steps from the best one: `MIDDLE` over the whole shot, so little that it never pays to move for it; `ROOM` where
the subject comes near the window's edge, `BESIDE` where something of it leaves, and `OUT` where what matters most does. Since leaving has
a price and no ban, there always is a solution: a subject that is faster than the window may be is left for a moment.

The programme grows with the shot's length. Shots longer than `PIECE_S` are solved in pieces, each beginning as the one before goes on, and
decided `AHEAD_S` before that one's end: memory and time per second are constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline.failures import InternalError

Floats = npt.NDArray[np.float64]

# Of the picture's side along the axis, a second and a second cubed. The fastest pan crosses the picture in 1.25 s; from rest to it takes
# sqrt(4 * SPEED / JERK) = 0.63 s. Operators count a pan in several seconds as calm: this is what a running subject needs.
SPEED: Final = 0.8
JERK: Final = 8.0
KNOT_S: Final = 0.2
EASE_S: Final = 0.5
EASE: Final = 0.1
# In pixels moved, for a pixel and a second. Chosen on drawn clips: with half of `OUT` a walking subject is outside by some pixels; with
# movement at half its price the window swings back by some pixels, to gain speed before a jump of the subject.
MIDDLE: Final = 0.5  # off the best position, and during the whole shot
ROOM: Final = 1.0  # too near the edge
BESIDE: Final = 1.5  # outside
OUT: Final = 40.0  # outside, and of what matters most
CALM: Final = 0.6  # of the way from the middle to where the subject touches the edge
POINTS_A_SECOND: Final = 30  # frames that are looked at, at most
PIECE_S: Final = 600.0
AHEAD_S: Final = 10.0


@dataclass(frozen=True)
class Curve:
    """A position as a function of time.

    Attributes:
        control: `(m + 3,)` control points; the curve lasts `m` steps.
        step: Seconds from one to the next.
    """

    control: Floats
    step: float

    def at(self, seconds: Floats) -> Floats:
        """The position at times from 0 to its end."""
        first, weights = _basis(seconds, self.step, len(self.control) - 3)
        return np.asarray((self.control[first[:, None] + np.arange(4)] * weights).sum(axis=1))

    @property
    def speed(self) -> float:
        """Bound of its speed, pixels a second."""
        return _largest(np.diff(self.control)) / self.step

    @property
    def jerk(self) -> float:
        """Largest jerk, pixels a second cubed."""
        return _largest(np.diff(self.control, 3)) / self.step**3


@dataclass(frozen=True)
class Allowed:
    """Where the window may be at each frame, `(n,)` each, rising in this order; NaN where there is no subject.

    Attributes:
        least, most: Least and largest position at which what matters most is inside; any, while it is not in view.
        low, high: The same for all that is to be inside.
        best: The best one.
    """

    least: Floats
    low: Floats
    best: Floats
    high: Floats
    most: Floats

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> Allowed:
        return Allowed(*(one[rows] for one in (self.least, self.low, self.best, self.high, self.most)))


def follow(seconds: Floats, allowed: Allowed, room: float, side: float) -> Curve:
    """The curve of one shot.

    Args:
        seconds: `(n,)` times of its frames since its first, never falling.
        allowed: Where the subject is inside.
        room: Positions are from 0 to this.
        side: The picture's side along the axis, for the limits.
    """
    lasts = float(seconds[-1])
    steps = max(1, int(np.ceil(lasts / KNOT_S)))
    step = lasts / steps if lasts > 0 else KNOT_S
    seen = np.flatnonzero(~np.isnan(allowed.best))
    if room <= 0 or not seen.size:
        return Curve(np.full(steps + 3, max(room, 0) / 2), step)
    points = seen[_spread(seconds[seen])]
    times = seconds[points]
    # a frame stands for the time to the next one, and for no more than a step where there is nothing for long
    stands_for = np.clip(np.diff(times, append=lasts + step / 2), 1e-3, KNOT_S)
    work = _Work(times, allowed[points], stands_for, float(room), side, step, max(lasts, step))
    control = np.empty(0)
    piece, ahead = round(PIECE_S / KNOT_S), round(AHEAD_S / KNOT_S)
    start = 0
    while True:
        end = steps if steps - start <= piece + ahead else start + piece
        found = work.solve(start, end, control[start : start + 3])
        control = np.concatenate([control[:start], found])
        if end == steps:
            return Curve(control, step)
        start = end - ahead
        control = control[: start + 3]


@dataclass(frozen=True)
class _Work:
    """One axis of a shot: times that are looked at, what they allow, how long each stands for."""

    times: Floats
    allowed: Allowed
    stands_for: Floats
    room: float
    side: float
    step: float
    lasts: float

    def solve(self, start: int, end: int, begun: Floats) -> Floats:
        """Control points of the steps `[start, end)`: `end - start + 3`, of which the first three may be given."""
        from scipy import sparse
        from scipy.optimize import linprog

        count, h = end - start + 3, self.step
        low, high = np.searchsorted(self.times, [start * h - 1e-9, end * h + 1e-9])
        rows = slice(int(low), int(high))
        n = int(high - low)
        first, weights = _basis(self.times[rows] - start * h, h, end - start)
        places = (np.repeat(np.arange(n), 4), (first[:, None] + np.arange(4)).ravel())
        blocks: list[list[Any]] = [[sparse.csr_array((weights.ravel(), places), shape=(n, count))]]
        costs, most = self._steps(rows)
        fixed = np.pad(begun, (0, count - begun.size), constant_values=np.nan)
        bounds = [np.stack([np.where(np.isnan(fixed), limit, fixed) for limit in (0.0, self.room)], axis=1)]
        blocks[0] += [sign * sparse.eye_array(n) for sign in (1, -1) for _ in costs]
        differences = sparse.eye_array(count, format="csr")
        prices = [np.zeros(count), *costs, *costs]
        bounds += [np.stack([np.zeros(n), one], axis=1) for one in most]
        for order, (price, limit) in enumerate(self._movement(), start=1):
            differences = differences[1:] - differences[:-1]
            left = count - order
            row = [differences] + [None] * (len(blocks[0]) - 1)
            for one in blocks:
                one += [None, None]
            blocks.append([*row, -sparse.eye_array(left), sparse.eye_array(left)])
            prices += [np.full(left, price)] * 2
            bounds += [np.stack([np.zeros(left), np.full(left, limit)], axis=1)] * 2
        equal = np.concatenate([self.allowed.best[rows], np.zeros(sum(count - order for order in (1, 2, 3)))])
        matrix = sparse.block_array(blocks, format="csc")
        found = linprog(np.concatenate(prices), A_eq=matrix, b_eq=equal, bounds=np.concatenate(bounds), method="highs")
        if found.x is None:
            raise InternalError(f"No path of the window was found: {found.message}")
        return np.asarray(np.clip(found.x[:count], 0, self.room))

    def _steps(self, rows: slice) -> tuple[list[Floats], list[Floats]]:
        """Prices of the four steps away from the best position; their widths, first below it and then above."""
        part, dt = self.allowed[rows], self.stands_for[rows]
        free, endless = MIDDLE / self.lasts, np.full(len(dt), np.inf)
        ways = ((part.best - part.low, part.low - part.least), (part.high - part.best, part.most - part.high))
        widths = [(CALM * near, (1 - CALM) * near, far, endless) for near, far in ways]
        return [free * dt, (free + ROOM) * dt, BESIDE * dt, OUT * dt], [np.maximum(one, 0) for four in widths for one in four]

    def _movement(self) -> tuple[tuple[float, float], ...]:
        """Price and limit of the control points' differences, of first to third order."""
        h = self.step
        ease = EASE_S / h
        return (1.0, SPEED * self.side * h), (EASE * ease, np.inf), (EASE * ease**2, JERK * self.side * h**3)


def _basis(seconds: Floats, step: float, steps: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each time the first of its four control points, and their weights `(n, 4)`."""
    first = np.clip((seconds / step).astype(np.int64), 0, steps - 1)
    u = np.clip(seconds / step - first, 0, 1)
    weights = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], axis=1) / 6
    return first, weights


def _spread(seconds: Floats) -> npt.NDArray[np.int64]:
    """Of rising times the first and last of each `1 / POINTS_A_SECOND`, at most: what is extreme stands at the ends, or nearly."""
    slots = np.floor(seconds * POINTS_A_SECOND / 2)
    return np.flatnonzero(np.diff(slots, prepend=-1) + np.diff(slots, append=slots[-1] + 1))


def _largest(values: Floats) -> float:
    return float(np.abs(values).max(initial=0.0))
