"""All corrections of a video, one after the other, over one set of results.

What belongs here: the two pure functions by which tracks and scenes are corrected, and which corrections no longer match. What does not:
single changes (`tracks`), where results are kept (`results.corrected`). The same events over the same results give the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from reframer_pipeline.corrections import evidence
from reframer_pipeline.corrections.events import Change, Event, Merge, Regrade, Split
from reframer_pipeline.corrections.tracks import Tracks, change
from reframer_pipeline.failures import ReframerError, UnknownElement

NOT_FOUND: Final = "what it speaks of is not in these results any more"
ROWS: Final = "rows"  # in an event's evidence: the digest of the computed tracks' rows that it was made over
NEW: Final = "new"  # and there: the number of the track that a split made
Standing = Mapping[str, str | None]  # of events by id: None if it was applied, else why not


class Applied(NamedTuple):
    """Tracks after all corrections.

    Attributes:
        tracks: The tracks.
        standing: How each correction of tracks stands.
        spoken: Of each correction of an element, what its tracks are called here; None if one is not found.
    """

    tracks: Tracks
    standing: dict[str, str | None]
    spoken: dict[str, list[str] | None]


def correct_tracks(tracks: Tracks, events: Iterable[Event], digest: str | None = None) -> Applied:
    """Apply all corrections of tracks.

    Args:
        tracks: The computed tracks.
        events: All corrections, in their order.
        digest: Of the computed tracks' rows. A correction that was made over these very rows speaks of them by their ids.
    """
    standing: dict[str, str | None] = {}
    spoken: dict[str, list[str] | None] = {}
    for event in events:
        same = digest is not None and event.evidence.get(ROWS) == digest
        if not event.of_track:  # as its tracks were then: later events may change their class
            spoken[event.id] = _spoken(tracks, event.evidence["element"], same)
            continue
        meant = _found(tracks, event, same)
        if meant is None:
            standing[event.id] = NOT_FOUND
            continue
        try:
            tracks, standing[event.id] = change(tracks, meant, event.evidence.get(NEW) if same else None), None
        except ReframerError as refused:  # such as where a tracker has made one track of the two by itself
            standing[event.id] = refused.message
    return Applied(tracks, standing, spoken)


def _found(tracks: Tracks, event: Event, same: bool) -> Change | None:
    """The change of an event, with the ids that its tracks have here; None if one is not found."""
    ids: dict[str, str] = {}
    part = isinstance(event.change, Split)
    for name in ("track_id", "other_id"):
        asked = getattr(event.change, name, None)
        if asked is not None:
            said = event.evidence[asked]
            track = tracks.by_id.get(asked) if same else evidence.find(tracks.by_id.values(), said, part)
            if track is None or (same and not part and not evidence.no_more_than(track, said)):
                return None
            ids[name] = track.track_id
    return event.change.model_copy(update=ids)


def _spoken(tracks: Tracks, said: Mapping[str, Any], same: bool) -> list[str] | None:
    names: list[str] = said.get("track_ids", [])
    if same:
        return names if tracks.by_id.keys() >= set(names) else None
    found = [evidence.find(tracks.by_id.values(), one) for one in said["tracks"]]
    ids = [one.track_id for one in found if one is not None]
    return ids if len(ids) == len(found) else None


def correct_scenes(
    scenes: Sequence[dict[str, Any]], tracks: Tracks, events: Iterable[Event], spoken: Mapping[str, Sequence[str] | None]
) -> tuple[list[dict[str, Any]], dict[str, str | None]]:
    """The scenes after all corrections of elements, and how each of these stands.

    Args:
        scenes: Analyses, as the scenes stage made them of the corrected tracks.
        tracks: The corrected tracks.
        events: All corrections.
        spoken: Of each correction of an element, what its tracks are called (`correct_tracks`).

    Returns:
        The scenes, whose elements say under `by_hand` what of them or of their tracks was corrected.
    """
    corrected: list[dict[str, Any]] = json.loads(json.dumps(scenes))
    for element in (element for scene in corrected for element in scene["replaceable_elements"]):
        marks = {mark for one in element.get("tracks", ()) if one in tracks.by_id for mark in tracks.by_id[one].by_hand}
        if marks:
            element["by_hand"] = sorted(marks)
    standing: dict[str, str | None] = {}
    for event in events:
        if isinstance(event.change, Regrade):
            ids = spoken[event.id]
            element = None if ids is None else evidence.find_element(corrected, ids, event.evidence["element"])
            standing[event.id] = None if element is not None else NOT_FOUND
            if element is not None:
                element["difficulty"] = event.change.difficulty
                element["by_hand"] = sorted({*element.get("by_hand", ()), "difficulty"})
    return corrected, standing


def evidence_of(asked: Change, tracks: Tracks, scenes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the things that a change names look like.

    Args:
        asked: The change.
        tracks: What readers see.
        scenes: Analyses that readers see.

    Raises:
        UnknownTrack, UnknownElement: It names what is not there.
    """
    if isinstance(asked, Regrade):
        scene, element = element_of(asked, scenes)
        return {"element": evidence.of_element(scene, element, tracks.by_id)}
    names = [asked.track_id, asked.other_id] if isinstance(asked, Merge) else [asked.track_id]
    return {name: evidence.of_track(tracks.one(name)) for name in names}


def element_of(asked: Regrade, scenes: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The scene and the element that a change names. Raises `UnknownElement`."""
    for scene in scenes:
        elements = scene["replaceable_elements"]
        if scene["scene_number"] == asked.scene_number and asked.element_number <= len(elements):
            return scene, elements[asked.element_number - 1]
    raise UnknownElement(f"There is no element {asked.element_number} in a scene {asked.scene_number}.")
