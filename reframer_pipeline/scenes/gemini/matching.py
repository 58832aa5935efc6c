"""Elements that a model names, matched to measured tracks.

What belongs here: evidence, confidence and assignment. What does not: times of scenes (`times`), the difficulty of a track.

Only tracks of the element's class in the same scene come into question. Each kind of evidence is 0..1 and counts with its weight, as
far as the model gave it:

| evidence  | weight | what it is                                                                                          |
|-----------|--------|-----------------------------------------------------------------------------------------------------|
| box       | 3      | 0 if the model's box and the track's mean box do not meet, else the larger of IoU and `exp(-4 d)` (1) |
| words     | 2      | 1 if the description has the detector's label of the track, 0 if it has only labels of other tracks |
| position  | 2      | share of the named thirds (left, centre, right; top, middle, bottom) that the track's centre is in  |
| time      | 1      | overlap of the named span with the track's, over the shorter of the two                             |
| weight    | 1      | the track's area share times scene share, over the sum of these of all tracks in question           |

(1) `d` is the distance of their centres in frame diagonals.

The confidence is the weighted mean. Elements and tracks are paired one to one so that the sum of confidences is largest (Hungarian
method); pairs under `LEAST` are not made. One track in question and no evidence against it gives 1.0: that is a match by class alone,
and the record says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from reframer_pipeline.scenes.describer import SceneFacts, TrackFigures
from reframer_pipeline.scenes.gemini.prompt import AnsweredElement

LEAST: Final = 0.35
WEIGHTS: Final = {"box": 3.0, "words": 2.0, "position": 2.0, "time": 1.0, "weight": 1.0}
_HORIZONTAL: Final = {"left": "left", "right": "right", "centre": "centre", "center": "centre"}
_VERTICAL: Final = {"top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom", "middle": "middle"}


@dataclass(frozen=True)
class Match:
    """A track that an element was matched to.

    Attributes:
        track: The track.
        confidence: 0..1, the weighted mean of the evidence.
        evidence: Each kind that there was, 0..1.
    """

    track: TrackFigures
    confidence: float
    evidence: dict[str, float]


def match(elements: Sequence[AnsweredElement], scene: SceneFacts) -> list[Match | None]:
    """Match the elements of one scene to its tracks.

    Args:
        elements: What the model named.
        scene: What was measured.

    Returns:
        One entry per element, in order; None where no track fits. No track is given twice.
    """
    from scipy.optimize import linear_sum_assignment

    found: list[Match | None] = [None] * len(elements)
    for kind in ("person", "product"):
        asked = [index for index, element in enumerate(elements) if element.type == kind]
        tracks = [track for track in scene.tracks if track.object_class == kind]
        if not asked or not tracks:
            continue
        pairs = [[_compare(elements[index], track, tracks, scene) for track in tracks] for index in asked]
        rows, columns = linear_sum_assignment(np.array([[-pair.confidence for pair in row] for row in pairs]))
        for row, column in zip(rows, columns, strict=True):
            if pairs[row][column].confidence >= LEAST:
                found[asked[row]] = pairs[row][column]
    return found


def _compare(element: AnsweredElement, track: TrackFigures, rivals: Sequence[TrackFigures], scene: SceneFacts) -> Match:
    said = {
        "box": _box(element, track, scene),
        "words": _words(element, track, rivals),
        "position": _position(element.position, track),
        "time": _time(element, track, scene),
        "weight": _weight(track, rivals),
    }
    evidence = {name: round(value, 3) for name, value in said.items() if value is not None}
    total = sum(WEIGHTS[name] for name in evidence)
    confidence = sum(WEIGHTS[name] * value for name, value in evidence.items()) / total
    return Match(track, round(confidence, 3), evidence)


def _box(element: AnsweredElement, track: TrackFigures, scene: SceneFacts) -> float | None:
    if element.box is None:
        return None
    width, height = scene.video.width, scene.video.height
    top, left, bottom, right = (value / 1000 * side for value, side in zip(element.box, (height, width) * 2, strict=True))
    if right <= left or bottom <= top:
        return None
    box = track.bbox
    shared = max(0.0, min(right, box.x + box.width) - max(left, box.x)) * max(0.0, min(bottom, box.y + box.height) - max(top, box.y))
    union = (right - left) * (bottom - top) + box.width * box.height - shared
    apart = math.hypot((left + right) / 2 - box.x - box.width / 2, (top + bottom) / 2 - box.y - box.height / 2) / math.hypot(width, height)
    return max(shared / union, math.exp(-4 * apart) if shared > 0 else 0.0)


def _words(element: AnsweredElement, track: TrackFigures, rivals: Sequence[TrackFigures]) -> float | None:
    labels = {rival.label.casefold() for rival in rivals if rival.label}
    named = {label for label in labels if re.search(rf"\b{re.escape(label)}s?\b", element.description.casefold())}
    return None if not named or len(labels) < 2 else float(track.label.casefold() in named)


def _position(words: str, track: TrackFigures) -> float | None:
    spoken = set(re.findall(r"[a-z]+", words.casefold()))
    hits = [float(track.horizontal == place) for word, place in _HORIZONTAL.items() if word in spoken]
    hits += [float(track.vertical == place) for word, place in _VERTICAL.items() if word in spoken]
    return sum(hits) / len(hits) if hits else None


def _time(element: AnsweredElement, track: TrackFigures, scene: SceneFacts) -> float | None:
    if element.start_seconds is None or element.end_seconds is None:
        return None
    start, end = max(element.start_seconds, scene.start_seconds), min(element.end_seconds, scene.end_seconds)
    if start >= end:
        return None  # outside of this scene: refused, and no evidence either way
    shared = min(end, track.end_seconds) - max(start, track.first_seconds)
    return max(0.0, min(1.0, shared / max(min(end - start, track.end_seconds - track.first_seconds), 1e-6)))


def _weight(track: TrackFigures, rivals: Sequence[TrackFigures]) -> float:
    total = sum(rival.area_share * rival.scene_share for rival in rivals)
    return track.area_share * track.scene_share / total if total > 0 else 1 / len(rivals)
