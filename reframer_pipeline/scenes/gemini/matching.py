"""Elements that a model names, matched to measured tracks.

What belongs here: evidence, confidence and assignment. What does not: times of scenes (`times`), the difficulty of a track.

Only tracks of the element's class in the same scene come into question. Each kind of evidence is 0..1 and counts with its weight, as
far as the model gave it:

| evidence  | weight | what it is                                                                                          |
|-----------|--------|-----------------------------------------------------------------------------------------------------|
| box       | 3      | best over the track's looks in the element's span (all looks, if none is in it): 0 if the model's   |
|           |        | box and the track's do not meet, else the larger of IoU and `exp(-4 d)` (1)                         |
| words     | 2      | 1 if the description has the detector's label of the track, 0 if it has only other labels (2)       |
| position  | 2      | share of the named thirds (left, centre, right; top, middle, bottom) that the track's centre is in  |
| time      | 1      | overlap of the element's checked span with the track's, over the shorter of the two                 |
| weight    | 1      | the track's area share times scene share, over the sum of these of all tracks in question           |

(1) `d` is the distance of their centres in frame diagonals. (2) Of all labels that the detector knows for the class, not only of those
that were seen; a label whose words are part of the other's, as in phone and cell phone, is the same one.

The confidence is the weighted mean. Box, words and position tell which track is meant; time and weight only say that it may be: without
any of the first three the confidence is at most `UNTOLD`, and the record shows that it is a match by class; where all that there is of
the first three is 0, so is the confidence. Elements and tracks are paired one to one so that the sum of confidences is largest (Hungarian
method); pairs under `LEAST` are not made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from reframer_pipeline.scenes.describer import Box, SceneFacts, TrackFigures
from reframer_pipeline.scenes.gemini.times import PlacedElement
from reframer_pipeline.schemas import CLASSES

LEAST: Final = 0.35
UNTOLD: Final = 0.5
TELLING: Final = frozenset({"box", "words", "position"})
WEIGHTS: Final = {"box": 3.0, "words": 2.0, "position": 2.0, "time": 1.0, "weight": 1.0}
_HORIZONTAL: Final = {"left": "left", "right": "right", "centre": "centre", "center": "centre"}
_VERTICAL: Final = {"top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom", "middle": "middle"}


@dataclass(frozen=True)
class Match:
    """A track that an element was matched to.

    Attributes:
        track: The track.
        confidence: 0..1, see the module's text.
        evidence: Each kind that there was, 0..1.
    """

    track: TrackFigures
    confidence: float
    evidence: dict[str, float]


def match(elements: Sequence[PlacedElement], scene: SceneFacts, labels: Mapping[str, Sequence[str]]) -> list[Match | None]:
    """Match the elements of one scene to its tracks.

    Args:
        elements: What the model named, with checked times.
        scene: What was measured.
        labels: By class, the labels that the detector knows.

    Returns:
        One entry per element, in order; None where no track fits. No track is given twice.
    """
    from scipy.optimize import linear_sum_assignment

    found: list[Match | None] = [None] * len(elements)
    for kind in CLASSES:
        asked = [index for index, one in enumerate(elements) if one.element.type == kind]
        tracks = [track for track in scene.tracks if track.object_class == kind]
        if not asked or not tracks:
            continue
        known = {label.casefold() for label in (*labels.get(kind, ()), *(track.label for track in tracks)) if label}
        pairs = [[_compare(elements[index], track, tracks, scene, known) for track in tracks] for index in asked]
        rows, columns = linear_sum_assignment(np.array([[-pair.confidence for pair in row] for row in pairs]))
        for row, column in zip(rows, columns, strict=True):
            if pairs[row][column].confidence >= LEAST:
                found[asked[row]] = pairs[row][column]
    return found


def _compare(one: PlacedElement, track: TrackFigures, rivals: Sequence[TrackFigures], scene: SceneFacts, known: set[str]) -> Match:
    said = {
        "box": _box(one, track, scene),
        "words": _words(one.element.description, track, known),
        "position": _position(one.element.position, track),
        "time": _time(one.span, track),
        "weight": _weight(track, rivals),
    }
    evidence = {name: round(value, 3) for name, value in said.items() if value is not None}
    total = sum(WEIGHTS[name] for name in evidence)
    confidence = sum(WEIGHTS[name] * value for name, value in evidence.items()) / total
    telling = [value for name, value in evidence.items() if name in TELLING]
    if not telling:
        confidence = min(confidence, UNTOLD)
    elif max(telling) == 0:
        confidence = 0.0
    return Match(track, round(confidence, 3), evidence)


def _box(one: PlacedElement, track: TrackFigures, scene: SceneFacts) -> float | None:
    if one.element.box is None:
        return None
    width, height = scene.video.width, scene.video.height
    top, left, bottom, right = (value / 1000 * side for value, side in zip(one.element.box, (height, width) * 2, strict=True))
    if right <= left or bottom <= top:
        return None
    start, end = one.span or (-math.inf, math.inf)
    boxes = [look.bbox for look in track.looks if start <= look.seconds <= end] or [look.bbox for look in track.looks] or [track.bbox]
    return max(_alike((left, top, right, bottom), box, math.hypot(width, height)) for box in boxes)


def _alike(said: tuple[float, float, float, float], box: Box, diagonal: float) -> float:
    # written out for two boxes: in another order of operations a stored confidence might be rounded the other way
    left, top, right, bottom = said
    shared = max(0.0, min(right, box.x + box.width) - max(left, box.x)) * max(0.0, min(bottom, box.y + box.height) - max(top, box.y))
    if shared <= 0:
        return 0.0
    union = (right - left) * (bottom - top) + box.width * box.height - shared
    apart = math.hypot((left + right) / 2 - box.x - box.width / 2, (top + bottom) / 2 - box.y - box.height / 2) / diagonal
    return max(shared / union, math.exp(-4 * apart))


def _words(description: str, track: TrackFigures, known: set[str]) -> float | None:
    text = description.casefold()
    named = [set(label.split()) for label in known if re.search(rf"\b{re.escape(label)}(?:s|es)?\b", text)]
    own = set(track.label.casefold().split())
    return float(any(words <= own or own <= words for words in named)) if named and own else None


def _position(words: str, track: TrackFigures) -> float | None:
    spoken = set(re.findall(r"[a-z]+", words.casefold()))
    hits = [float(track.horizontal == place) for word, place in _HORIZONTAL.items() if word in spoken]
    hits += [float(track.vertical == place) for word, place in _VERTICAL.items() if word in spoken]
    return sum(hits) / len(hits) if hits else None


def _time(span: tuple[float, float] | None, track: TrackFigures) -> float | None:
    if span is None:
        return None
    start, end = span
    shared = min(end, track.end_seconds) - max(start, track.first_seconds)
    return max(0.0, min(1.0, shared / max(min(end - start, track.end_seconds - track.first_seconds), 1e-6)))


def _weight(track: TrackFigures, rivals: Sequence[TrackFigures]) -> float:
    total = sum(rival.area_share * rival.scene_share for rival in rivals)
    return track.area_share * track.scene_share / total if total > 0 else 1 / len(rivals)
