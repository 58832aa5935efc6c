"""The Gemini describer: an answer, laid over what was measured.

What belongs here: which part of the answer belongs to which measured scene, and what the record says of it. What does not: getting
the answer (`ask`), checking times (`times`). Scenes are the measured shots. A shot takes the words of every answered scene that shares at
least half of the shorter of the two with it; a shot that none speaks of is described locally, and marked so. Each element of an answered
scene that was not refused stands in exactly one shot. The same answer over the same measurements gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from reframer_pipeline.scenes.describer import (
    MAX_DESCRIPTION,
    MAX_ELEMENTS,
    ReplaceableElement,
    SceneDescription,
    SceneFacts,
    one_line,
    scene_type_of,
)
from reframer_pipeline.scenes.gemini.answer import VideoAnswer
from reframer_pipeline.scenes.gemini.matching import Match, match
from reframer_pipeline.scenes.gemini.times import Placed, PlacedElement, place, place_element
from reframer_pipeline.scenes.local import LocalDescriber, measured
from reframer_pipeline.schemas import CLASSES

SHARED: Final = 0.5  # of the shorter of answered scene and shot
ROUNDED: Final = 1e-6  # seconds: a scene's times are rounded to this


class GeminiDescriber:
    """Describes scenes by an answer that is already there; see `describer.Describer`.

    Args:
        answer: What Gemini said of the video.
        model_version: The model that said it; kept with each scene.
        snap_s: How far a time may be moved to a cut, seconds.
        labels: By class, the labels that the detector knows.
    """

    name = "gemini"

    def __init__(self, answer: VideoAnswer, model_version: str, snap_s: float, labels: Mapping[str, Sequence[str]]) -> None:
        self._answer = answer
        self._model_version = model_version
        self._snap_s = snap_s
        self._labels = labels
        self._local = LocalDescriber()

    def describe(self, scenes: Iterable[SceneFacts], cuts: Sequence[float]) -> Iterator[SceneDescription]:
        """One description per scene, as each arrives."""
        placed = [place(scene, cuts, self._snap_s) for scene in self._answer.scenes]
        elements: dict[int, list[PlacedElement]] = {}
        for one in placed:
            for element in () if one.refused else one.scene.replaceable_elements:
                found = place_element(element, one, cuts, self._snap_s)
                elements.setdefault(found.shot, []).append(found)
        return (
            self._describe_scene(scene, placed, elements.get(scene.scene_number - 1, []), last=scene.end_seconds >= cuts[-1] - ROUNDED)
            for scene in scenes
        )

    def _describe_scene(
        self, scene: SceneFacts, placed: Sequence[Placed], elements: Sequence[PlacedElement], *, last: bool
    ) -> SceneDescription:
        parts = [one for one in placed if _speaks_of(one, scene)]
        checks = tuple(check for one in placed if one in parts or _is_noted_here(one, scene, last) for check in one.checks)
        matches = match(elements, scene, self._labels)
        told = tuple(_element(element, found) for element, found in zip(elements, matches, strict=True))
        if not parts:  # elements of a scene that is mostly elsewhere come first, in place of what would be said of their tracks
            local = self._local.describe_scene(scene)
            taken = {track for one in told for track in one.tracks}
            rest = tuple(one for one in local.replaceable_elements if taken.isdisjoint(one.tracks))
            return local.model_copy(update={"replaceable_elements": (*told, *rest)[:MAX_ELEMENTS], "time_checks": checks})
        return SceneDescription(
            description=one_line(" ".join(one.scene.description for one in parts), MAX_DESCRIPTION),
            importance=max(one.scene.importance for one in parts),
            scene_type=scene_type_of(kind for kind in CLASSES if any(one.scene.scene_type in (kind, "both") for one in parts)),
            measured_scene_type=scene_type_of(track.object_class for track in scene.present),
            replaceable_elements=told[:MAX_ELEMENTS],
            source=self.name,
            model_version=self._model_version,
            time_checks=checks,
        )


def _speaks_of(one: Placed, scene: SceneFacts) -> bool:
    shared = one.overlap(scene.start_seconds, scene.end_seconds)
    return shared > 0 and shared >= SHARED * min(one.end - one.start, scene.seconds) - 1e-9


def _is_noted_here(one: Placed, scene: SceneFacts, last: bool) -> bool:
    """A refused scene is noted once: where it claims to begin, or at the last scene."""
    if not one.refused:
        return False
    begin = one.scene.start_seconds
    if begin is None or begin >= scene.end_seconds:
        return last
    return begin >= scene.start_seconds or (begin < 0 and scene.scene_number == 1)


def _element(one: PlacedElement, found: Match | None) -> ReplaceableElement:
    """The element with both opinions. The measured difficulty stands where there is one: it can be checked."""
    element, (start, end) = one.element, one.span or (None, None)
    said: dict[str, Any] = {
        "type": element.type,
        "description": element.description,
        "model_difficulty": element.difficulty,
        "model_reason": element.reason or None,
        "start_seconds": start,
        "end_seconds": end,
        "time_checks": one.checks,
        "source": GeminiDescriber.name,
    }
    if found is None:
        return ReplaceableElement(**said, difficulty=element.difficulty, tracks=(), matched=False)
    return ReplaceableElement(**said, **measured(found.track), match_confidence=found.confidence, match_evidence=found.evidence)
