"""The local describer: scenes in words, from figures alone.

What belongs here: how figures become an importance, a type, elements and the order of sentences. What does not: measuring
(`measures`), the difficulty formula (`difficulty`), single words (`wording`). No model is asked and nothing leaves the machine, so
it says who is where, for how long and how they move, and never what it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from reframer_pipeline.scenes import wording
from reframer_pipeline.scenes.describer import (
    MAX_ELEMENTS,
    ReplaceableElement,
    SceneDescription,
    SceneFacts,
    TrackFigures,
    scene_type_of,
)
from reframer_pipeline.scenes.difficulty import judge

SPOKEN_TRACKS: Final = 4  # sentences about single tracks; more would be a list, and the list is in the data
FIGURES: Final = (
    "visible_seconds", "scene_share", "area_share", "max_area_share", "overlap", "occlusion", "gap_share", "mask_stability",
    "shape_change", "speed", "border_share", "confidence", "plate_never_seen", "plate_missing",
)  # fmt: skip


class LocalDescriber:
    """Describes scenes from measured figures; see `describer.Describer`."""

    name = "local"

    def describe(self, scenes: Iterable[SceneFacts], cuts: Sequence[float]) -> Iterator[SceneDescription]:
        """One description per scene, as each arrives."""
        return (self.describe_scene(scene) for scene in scenes)

    def describe_scene(self, scene: SceneFacts) -> SceneDescription:
        """Describe one scene.

        Args:
            scene: What was measured.

        Returns:
            Its description; elements are the present tracks, the most prominent first.
        """
        present = scene.present
        kind = scene_type_of(track.object_class for track in present)
        return SceneDescription(
            description=describe(scene, present),
            importance=importance(scene, present),
            scene_type=kind,
            measured_scene_type=kind,
            source=self.name,
            replaceable_elements=tuple(_element(track, scene) for track in present[:MAX_ELEMENTS]),
        )


def importance(scene: SceneFacts, present: list[TrackFigures]) -> int:
    """1 to 10: `1 + 9 * (0.3 length + 0.3 prominence + 0.3 cast + 0.1 motion)`, rounded, each term 0..1.

    - length: the scene's share of the video, full from a half on;
    - prominence: largest `area_share * scene_share` of a present track, full from a quarter of the picture on;
    - cast: 1 if people and products are present, 0.5 if only one of these, 0 if none (an editor looks for people with products);
    - motion: largest speed of a present track, full from 0.3 frame diagonals a second on.
    """
    length = scene.seconds / scene.video.duration_seconds if scene.video.duration_seconds > 0 else 1.0
    prominence = max((track.area_share * track.scene_share for track in present), default=0.0)
    cast = {"both": 1.0, "person": 0.5, "product": 0.5, "none": 0.0}[scene_type_of(track.object_class for track in present)]
    motion = max((track.speed for track in present), default=0.0)
    total = 0.3 * min(1, length / 0.5) + 0.3 * min(1, prominence / 0.25) + 0.3 * cast + 0.1 * min(1, motion / 0.3)
    return max(1, min(10, round(1 + 9 * total)))


def describe(scene: SceneFacts, present: list[TrackFigures]) -> str:
    """The scene in plain English: who is in it, then a sentence for each of the most prominent."""
    length = wording.seconds(scene.seconds)
    if scene.sampled_frames == 0:
        return f"A scene of {length}: no frame of it was sampled, so nothing in it was looked at."
    if not present:
        brief = " Something was seen too briefly to count." if scene.tracks else ""
        return f"A scene of {length} without people or products.{brief}"
    sentences = [f"A scene of {length} with {wording.cast(present)}{_at_once(scene, present)}."]
    names = wording.names(present)
    for track in present[:SPOKEN_TRACKS]:
        sentences.append(_sentence(names[track.track_id], track, scene))
    if len(present) > SPOKEN_TRACKS:
        sentences.append(f"{wording.number(len(present) - SPOKEN_TRACKS).capitalize()} more less prominent.")
    return " ".join(sentences)


def _at_once(scene: SceneFacts, present: list[TrackFigures]) -> str:
    """Says when fewer were there at a time than in all: they took turns, or one was lost and found as another."""
    people = sum(track.object_class == "person" for track in present)
    products = len(present) - people
    said = []
    if 0 < scene.most_people < people:
        said.append(wording.count(scene.most_people, "person"))
    if 0 < scene.most_products < products:
        said.append(wording.count(scene.most_products, "product"))
    return f", never more than {' or '.join(said)} at once" if said else ""


def _sentence(name: str, track: TrackFigures, scene: SceneFacts) -> str:
    parts = [wording.movement(track), wording.presence(track, scene.seconds)]
    if track.occlusion >= 0.1:
        parts.append("partly hidden" if track.occlusion < 0.4 else "hidden for much of it")
    if track.border_share >= 0.5:
        parts.append("cut by the border of the picture")
    return f"{name} ({track.track_id}), {wording.size(track)} {wording.position(track)}, {', '.join(parts)}."


def _element(track: TrackFigures, scene: SceneFacts) -> ReplaceableElement:
    facts = measured(track)
    said = f"{wording.noun(track).capitalize()} {wording.position(track)}, {wording.presence(track, scene.seconds)}"
    if reasons := [reason.why for reason in facts["difficulty_reasons"] if reason.difficulty != "easy"]:
        said += "; " + ", ".join(reasons[:2])
    return ReplaceableElement(**facts, type=track.object_class, description=said, source=LocalDescriber.name)


def measured(track: TrackFigures) -> dict[str, Any]:
    """What an element that stands for a track takes from it: fields of `ReplaceableElement`, whoever describes it."""
    verdict = judge(track)
    return {
        "tracks": (track.track_id,),
        "label": track.label,
        "figures": {name: value for name in FIGURES if (value := getattr(track, name)) is not None},
        "plate_frames": track.plate_frames,
        "difficulty": verdict.difficulty,
        "measured_difficulty": verdict.difficulty,
        "difficulty_score": verdict.score,
        "difficulty_reasons": verdict.reasons,
    }
