"""Times that a model gives, held against the measured duration and the cuts.

What belongs here: what becomes of a given time. What does not: what was seen then. A language model's times are guesses: Gemini looks
at about one picture a second. So a time is moved to the nearest cut if one is near enough, and otherwise refused as a boundary; a
scene whose times make no sense is refused whole. Elements need no cut to begin or end at; but since one belongs to one shot, what reaches
out of the shot that it is mostly seen in ends at that shot's cut. What was done is kept beside the answer.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from reframer_pipeline.scenes.describer import MAX_LABEL, TimeCheck, one_line
from reframer_pipeline.scenes.gemini.answer import AnsweredElement, AnsweredScene

Edge = Literal["start", "end"]
EDGES: Final[tuple[Edge, Edge]] = ("start", "end")


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


@dataclass(frozen=True)
class PlacedElement:
    """An answered element on the measured time line.

    Attributes:
        element: What the model said.
        shot: Index of the only shot it belongs to.
        span: Seconds from when to when it is seen, within that shot; None if the model gave no times, or none that make sense.
        checks: What was done about its times.
    """

    element: AnsweredElement
    shot: int
    span: tuple[float, float] | None
    checks: tuple[TimeCheck, ...]


def place(scene: AnsweredScene, cuts: Sequence[float], tolerance_s: float) -> Placed:
    """Put an answered scene on the time line.

    Args:
        scene: What the model said.
        cuts: Seconds at which scenes begin, ascending, from 0, and the end of the last one.
        tolerance_s: How far a time may be moved, seconds.
    """
    of = one_line(scene.description, MAX_LABEL)
    why = _nonsense(scene.start_seconds, scene.end_seconds, cuts[-1], tolerance_s)
    if why is not None:
        return Placed(scene, 0.0, 0.0, True, _refused(scene.start_seconds, scene.end_seconds, why, of))
    assert scene.start_seconds is not None and scene.end_seconds is not None
    start, first = _edge("start", scene.start_seconds, cuts, tolerance_s, of)
    end, second = _edge("end", scene.end_seconds, cuts, tolerance_s, of)
    checks = tuple(check for check in (first, second) if check is not None)
    if start >= end:  # a scene shorter than the tolerance, both of whose ends are nearest to the same cut
        start, end = min(max(scene.start_seconds, 0.0), cuts[-1]), min(max(scene.end_seconds, 0.0), cuts[-1])
        checks = _refused(scene.start_seconds, scene.end_seconds, "both ends are nearest to the same cut", of)
    return Placed(scene, start, end, start >= end, checks)


def main_shot(placed: Placed, cuts: Sequence[float]) -> int:
    """Index of the shot that shares most time with a placed scene; the first of several."""
    return _shot_of(placed.start, placed.end, cuts) or 0


def place_element(element: AnsweredElement, scene: Placed, cuts: Sequence[float], tolerance_s: float) -> PlacedElement:
    """Put an answered element on the time line, into exactly one shot.

    Args:
        element: What the model said. A single time counts together with the scene's other end.
        scene: Its scene; not refused.
        cuts: As for `place`.
        tolerance_s: How far its times may lie outside of the video, or of its scene, seconds.
    """
    of = one_line(element.description, MAX_LABEL)
    given = (element.start_seconds, element.end_seconds)
    if given == (None, None):
        return PlacedElement(element, main_shot(scene, cuts), None, ())
    start = scene.start if given[0] is None else given[0]
    end = scene.end if given[1] is None else given[1]
    shot = None
    why = _nonsense(start, end, cuts[-1], tolerance_s)
    if why is None:
        shot = _shot_of(max(start, scene.start), min(end, scene.end), cuts)
        if shot is None and start < scene.end + tolerance_s and end > scene.start - tolerance_s:  # just before or after its scene
            shot = _shot_of(start, end, cuts)
        why = "it is seen outside of its scene"
    if shot is None:
        checks = (check for check in _refused(*given, why, of) if check.given is not None)
        return PlacedElement(element, main_shot(scene, cuts), None, tuple(checks))
    span = max(start, cuts[shot]), min(end, cuts[shot + 1])
    moved = (
        TimeCheck(edge=edge, given=at, used=used, action="moved", why="to the cut of the shot that it is mostly seen in", of=of)
        for edge, at, used in zip(EDGES, given, span, strict=True)
        if at is not None and at != used
    )
    return PlacedElement(element, shot, span, tuple(moved))


def _shot_of(start: float, end: float, cuts: Sequence[float]) -> int | None:
    """Index of the shot that shares most with a span, the first of several; None if none shares anything."""
    shared = [min(end, after) - max(start, before) for before, after in pairwise(cuts)]
    most = max(shared)
    return shared.index(most) if most > 0 else None


def _refused(start: float | None, end: float | None, why: str, of: str) -> tuple[TimeCheck, ...]:
    return tuple(TimeCheck(edge=edge, given=at, action="refused", why=why, of=of) for edge, at in zip(EDGES, (start, end), strict=True))


def _nonsense(start: float | None, end: float | None, duration: float, tolerance_s: float) -> str | None:
    if start is None or end is None:
        return "not a time"
    if start < -tolerance_s:
        return "it begins before the video"
    if start >= duration:
        return f"it begins after the video's end at {duration:.2f} s"
    if end > duration + tolerance_s:
        return f"it ends after the video's end at {duration:.2f} s"
    return "it does not end after it begins" if start >= end else None


def _edge(edge: Edge, given: float, cuts: Sequence[float], tolerance_s: float, of: str) -> tuple[float, TimeCheck | None]:
    after = bisect.bisect_left(cuts, given)
    nearest = min(cuts[max(after - 1, 0) : after + 1], key=lambda cut: abs(cut - given))
    if abs(nearest - given) <= tolerance_s:
        exact = round(nearest, 6) == round(given, 6)
        return nearest, None if exact else TimeCheck(edge=edge, given=given, used=nearest, action="moved", why="to the nearest cut", of=of)
    inside = min(max(given, cuts[0]), cuts[-1])
    return inside, TimeCheck(edge=edge, given=given, action="refused", why=f"no cut within {tolerance_s:g} s", of=of)
