"""The Gemini describer: an answer, laid over what was measured.

What belongs here: which part of the answer belongs to which measured scene, and what the record says of it. What does not: getting
the answer (`ask`). Scenes are the measured shots. A shot takes the words of every answered scene that shares at least half of the
shorter of the two with it; a shot that none speaks of is described locally, and marked so. The same answer over the same measurements
gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from reframer_pipeline.scenes.describer import (
    MAX_DESCRIPTION,
    MAX_ELEMENTS,
    ReplaceableElement,
    SceneDescription,
    SceneFacts,
    SceneType,
    TimeCheck,
    clean_text,
)
from reframer_pipeline.scenes.difficulty import judge
from reframer_pipeline.scenes.gemini.matching import Match, match
from reframer_pipeline.scenes.gemini.prompt import AnsweredElement, VideoAnswer
from reframer_pipeline.scenes.gemini.times import Placed, place
from reframer_pipeline.scenes.local import LocalDescriber, figures_of, scene_type

SHARED: Final = 0.5  # of the shorter of answered scene and shot


class GeminiDescriber:
    """Describes scenes by an answer that is already there; see `describer.Describer`.

    Args:
        answer: What Gemini said of the video.
        model_version: The model that said it; kept with each scene.
        snap_s: How far a time may be moved to a cut, seconds.
    """

    name = "gemini"

    def __init__(self, answer: VideoAnswer, model_version: str, snap_s: float) -> None:
        self._answer = answer
        self._model_version = model_version
        self._snap_s = snap_s
        self._local = LocalDescriber()

    def describe(self, scenes: Iterable[SceneFacts], cuts: Sequence[float]) -> Iterator[SceneDescription]:
        """One description per scene, as each arrives."""
        placed = [place(scene, cuts, self._snap_s) for scene in self._answer.scenes]
        return (self._describe_scene(scene, placed, last=scene.end_seconds >= cuts[-1]) for scene in scenes)

    def _describe_scene(self, scene: SceneFacts, placed: Sequence[Placed], *, last: bool) -> SceneDescription:
        parts = [one for one in placed if _speaks_of(one, scene)]
        checks = tuple(check for one in placed if one in parts or _is_noted_here(one, scene, last) for check in one.checks)
        if not parts:
            return self._local.describe_scene(scene).model_copy(update={"time_checks": checks})
        elements = [element for one in parts for element in one.scene.replaceable_elements if _belongs(element, one, scene)][:MAX_ELEMENTS]
        checks += tuple(check for element in elements for check in _outside(element, scene))
        measured = scene_type([track for track in scene.tracks if track.present])
        matches = match(elements, scene)
        return SceneDescription(
            description=clean_text(" ".join(one.scene.description for one in parts), MAX_DESCRIPTION),
            importance=max(one.scene.importance for one in parts),
            scene_type=_union([one.scene.scene_type for one in parts]),
            measured_scene_type=measured,
            replaceable_elements=tuple(_element(element, found) for element, found in zip(elements, matches, strict=True)),
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


def _overlaps(element: AnsweredElement, start: float, end: float) -> bool:
    return (
        element.start_seconds is not None
        and element.end_seconds is not None
        and element.start_seconds < end
        and element.end_seconds > start
    )


def _belongs(element: AnsweredElement, one: Placed, scene: SceneFacts) -> bool:
    """Whether an element is of this shot. Of an answered scene over several shots, each takes what is visible in it."""
    return _overlaps(element, scene.start_seconds, scene.end_seconds) or not _overlaps(element, one.start, one.end)


def _outside(element: AnsweredElement, scene: SceneFacts) -> Iterator[TimeCheck]:
    if element.start_seconds is None or element.end_seconds is None or _overlaps(element, scene.start_seconds, scene.end_seconds):
        return
    why = f"outside of its scene: {clean_text(element.description, 80)}"
    yield TimeCheck(edge="start", given=element.start_seconds, action="refused", why=why)
    yield TimeCheck(edge="end", given=element.end_seconds, action="refused", why=why)


def _union(types: Sequence[SceneType]) -> SceneType:
    kinds: set[Literal["person", "product"]] = set()
    for one in types:
        if one in ("person", "both"):
            kinds.add("person")
        if one in ("product", "both"):
            kinds.add("product")
    return "both" if len(kinds) == 2 else kinds.pop() if kinds else "none"


def _element(element: AnsweredElement, found: Match | None) -> ReplaceableElement:
    """The element with both opinions. The measured difficulty stands where there is one: it can be checked."""
    said = {
        "type": element.type,
        "description": element.description,
        "model_difficulty": element.difficulty,
        "model_reason": element.reason or None,
        "source": GeminiDescriber.name,
    }
    if found is None:
        return ReplaceableElement(**said, difficulty=element.difficulty, tracks=(), matched=False)
    verdict = judge(found.track)
    return ReplaceableElement(
        **said,
        difficulty=verdict.difficulty,
        tracks=(found.track.track_id,),
        label=found.track.label,
        figures=figures_of(found.track),
        measured_difficulty=verdict.difficulty,
        difficulty_score=verdict.score,
        difficulty_reasons=verdict.reasons,
        matched=True,
        match_confidence=found.confidence,
        match_evidence=found.evidence,
    )
