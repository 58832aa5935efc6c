"""Times that a model gives, held against the measured duration and the cuts.

What belongs here: what becomes of a given time. What does not: what was seen then. A language model's times are guesses: Gemini looks
at about one picture a second. So a time is moved to the nearest cut if one is near enough, and otherwise refused as a boundary; a
scene whose times make no sense is refused whole. What was done is kept beside the answer.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from reframer_pipeline.scenes.describer import TimeCheck
from reframer_pipeline.scenes.gemini.prompt import AnsweredScene


@dataclass(frozen=True)
class Placed:
    """An answered scene on the measured time line.

    Attributes:
        scene: What the model said.
        start: Seconds, on a cut if one was near; meaningless if refused.
        end: Seconds, likewise.
        refused: Whether its times make no sense, so that it stands for nothing.
        checks: What was done about each time; empty if both were exact.
    """

    scene: AnsweredScene
    start: float
    end: float
    refused: bool
    checks: tuple[TimeCheck, ...]

    def overlap(self, start: float, end: float) -> float:
        """Seconds it shares with a span; 0 if refused."""
        return 0.0 if self.refused else max(0.0, min(self.end, end) - max(self.start, start))


def place(scene: AnsweredScene, cuts: Sequence[float], tolerance_s: float) -> Placed:
    """Put an answered scene on the time line.

    Args:
        scene: What the model said.
        cuts: Seconds at which scenes begin, ascending, from 0, and the end of the last one.
        tolerance_s: How far a time may be moved, seconds.
    """
    why = _nonsense(scene.start_seconds, scene.end_seconds, cuts[-1], tolerance_s)
    if why is not None:
        given = (("start", scene.start_seconds), ("end", scene.end_seconds))
        return Placed(scene, 0.0, 0.0, True, tuple(TimeCheck(edge=edge, given=at, action="refused", why=why) for edge, at in given))
    assert scene.start_seconds is not None and scene.end_seconds is not None
    start, first = _edge("start", scene.start_seconds, cuts, tolerance_s)
    end, second = _edge("end", scene.end_seconds, cuts, tolerance_s)
    if start >= end:  # a scene shorter than the tolerance, both of whose ends are nearest to the same cut
        start, end = min(max(scene.start_seconds, 0.0), cuts[-1]), min(max(scene.end_seconds, 0.0), cuts[-1])
        first = TimeCheck(edge="start", given=scene.start_seconds, action="refused", why="both ends are nearest to the same cut")
        second = TimeCheck(edge="end", given=scene.end_seconds, action="refused", why="both ends are nearest to the same cut")
    checks = tuple(check for check in (first, second) if check is not None)
    return Placed(scene, start, end, start >= end, checks)


def _nonsense(start: float | None, end: float | None, duration: float, tolerance_s: float) -> str | None:
    if start is None or end is None:
        return "not a time"
    if start >= end:
        return "it does not end after it begins"
    if start < -tolerance_s:
        return "it begins before the video"
    if start >= duration:
        return f"it begins after the video's end at {duration:.2f} s"
    if end > duration + tolerance_s:
        return f"it ends after the video's end at {duration:.2f} s"
    return None


def _edge(edge: str, given: float, cuts: Sequence[float], tolerance_s: float) -> tuple[float, TimeCheck | None]:
    after = bisect.bisect_left(cuts, given)
    nearest = min(cuts[max(after - 1, 0) : after + 1], key=lambda cut: abs(cut - given))
    if abs(nearest - given) <= tolerance_s:
        exact = round(nearest, 6) == round(given, 6)
        return nearest, None if exact else TimeCheck(edge=edge, given=given, used=nearest, action="moved", why="to the nearest cut")
    inside = min(max(given, cuts[0]), cuts[-1])
    return inside, TimeCheck(edge=edge, given=given, action="refused", why=f"no cut within {tolerance_s:g} s")
