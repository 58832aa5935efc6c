"""Finding again, in other results, what a correction speaks of.

What belongs here: what a track or an element looked like, and which one of another set that is. What does not: what a correction then
makes of it (`tracks`, `elements`).

A track is told by its class and by some of its boxes. In other results it is the track of its class whose boxes lie where these lay: the
mean intersection over union at the frames of the evidence is at least `SAME`, where a frame outside a track's range counts 0 and a frame
between two sightings has the box between them, because other results may have looked at other frames. The second best must be clearly
worse (`CLEAR`), so that of two that could be meant none is taken. And most of what that track is must have been meant (`MEANT`): who spoke
of a part has not spoken of the whole.

In the very rows that somebody spoke of, ids are what was meant, and nothing is compared but that a track is no more than it was then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from reframer_pipeline.corrections.tracks import SIDES, Around, Track, around_of

SAME: Final = 0.5  # mean intersection over union; MOT's own limit for a match is 0.5, too (https://motchallenge.net)
CLEAR: Final = 0.1  # by so much the second best is worse
MEANT: Final = 0.75  # of the seconds in which the track is seen, within the time of the evidence
EXACT: Final = 0.999  # the very boxes: nothing else can be meant
BOXES: Final = 16  # of a track, spread evenly over its sightings
SHARED: Final = 0.5  # of the shorter of two spans of frames
TICK: Final = 1e-3  # seconds: times are rounded


def of_track(track: Track) -> dict[str, Any]:
    """What a track looks like: class, label, and `[frame, x1, y1, x2, y2]` of some sightings, the first and the last among them.

    Boxes are pixels of the displayed frame. `seconds` are when it is seen first, and when no more.
    """
    rows = np.unique(np.linspace(0, len(track.frames) - 1, min(BOXES, len(track.frames))).round().astype(int))
    seen = track.frames.take(pa.array(rows)).to_pylist()
    boxes = [[one["frame"], *(round(one[side], 2) for side in SIDES)] for one in seen]
    seconds = [round(seen[0]["timestamp"], 6), round(seen[-1]["timestamp"] + seen[-1]["seconds"], 6)]
    return {"class": track.object_class, "label": track.label, "boxes": boxes, "seconds": seconds}


def find(tracks: Iterable[Track], evidence: Mapping[str, Any], part: bool = False) -> Track | None:
    """The track that the evidence is of; None if there is none, or if several could be meant.

    Args:
        tracks: Those of another set.
        evidence: As `of_track` gives it.
        part: A track of which the evidence is a part will do.
    """
    boxes = np.array(evidence["boxes"], np.float64)
    around = around_of(boxes[:, 0], boxes[:, 1:])
    near = (one for one in tracks if one.object_class == evidence["class"] and _meet(around, one.around))
    best = sorted(((likeness(track, boxes), track) for track in near), key=lambda one: -one[0])[:2]
    if not best or best[0][0] < SAME:
        return None
    likest, track = best[0]
    unclear = len(best) > 1 and likest < EXACT and likest - best[1][0] < CLEAR
    return None if unclear or not (part or _share_meant(track, evidence) >= MEANT) else track


def no_more_than(track: Track, evidence: Mapping[str, Any]) -> bool:
    """Whether a track of the set that the evidence is of has no sightings before or after it."""
    boxes = evidence["boxes"]
    return bool(boxes[0][0] <= track.numbers[0] and track.numbers[-1] <= boxes[-1][0])


def likeness(track: Track, boxes: np.ndarray) -> float:
    """Mean intersection over union, 0 to 1, of boxes `(n, 5)` of frame and xyxy with the track's at these frames."""
    frames = track.numbers
    inside = (boxes[:, 0] >= frames[0]) & (boxes[:, 0] <= frames[-1])
    if not inside.any():
        return 0.0
    given = boxes[inside, 1:]
    there = np.stack([np.interp(boxes[inside, 0], frames, side) for side in track.boxes.T], 1)
    sides = np.clip(np.minimum(given[:, 2:], there[:, 2:]) - np.maximum(given[:, :2], there[:, :2]), 0, None)
    shared = sides.prod(axis=1)
    whole = (given[:, 2:] - given[:, :2]).prod(axis=1) + (there[:, 2:] - there[:, :2]).prod(axis=1) - shared
    return float((shared / np.maximum(whole, 1e-9)).sum() / len(boxes))


def _meet(one: Around, other: Around) -> bool:
    """Whether they can share anything; few do, and comparing boxes takes a hundred times as long."""
    return all(a <= d and c <= b for a, b, c, d in zip(one[::2], one[1::2], other[::2], other[1::2], strict=True))


def _share_meant(track: Track, evidence: Mapping[str, Any]) -> float:
    began, ended = evidence.get("seconds", (-np.inf, np.inf))
    times, lasting = (track.frames.field(name).to_numpy().astype(np.float64) for name in ("timestamp", "seconds"))
    meant = (times > began - TICK) & (times < ended - TICK)
    return float(lasting[meant].sum() / max(lasting.sum(), 1e-9))


def of_element(scene: Mapping[str, Any], element: Mapping[str, Any], tracks: Mapping[str, Track]) -> dict[str, Any]:
    """What an element looks like: its scene's frames, what is said of it, and its tracks.

    Args:
        scene: The scene's analysis.
        element: Of its `replaceable_elements`.
        tracks: All tracks of the set by id.
    """
    names = [one for one in element.get("tracks", ()) if one in tracks]
    return {
        "frames": [scene["start_frame"], scene["end_frame"]],
        "class": element["type"],
        "description": element["description"],
        "track_ids": names,
        "tracks": [of_track(tracks[one]) for one in names],
    }


def find_element(scenes: Sequence[Mapping[str, Any]], track_ids: Collection[str], evidence: Mapping[str, Any]) -> dict[str, Any] | None:
    """The element that the evidence is of; None if there is none, or if several could be meant.

    One with tracks stands for the same tracks; one without is described in the same words. Its scene shares at least half of the shorter
    of the two spans.

    Args:
        scenes: Analyses.
        track_ids: What the tracks of the evidence are called here.
        evidence: As `of_element` gives it.
    """
    ids = set(track_ids)
    fitting = [
        element
        for scene in scenes
        if _shares(scene, evidence["frames"])
        for element in scene["replaceable_elements"]
        if set(element.get("tracks", ())) == ids and (ids or _says(element, evidence))
    ]
    return fitting[0] if len(fitting) == 1 else None


def _says(element: Mapping[str, Any], evidence: Mapping[str, Any]) -> bool:
    return (element["type"], element["description"]) == (evidence["class"], evidence["description"])


def _shares(scene: Mapping[str, Any], frames: Sequence[int]) -> bool:
    shared = min(scene["end_frame"], frames[1]) - max(scene["start_frame"], frames[0])
    return bool(shared >= SHARED * min(scene["end_frame"] - scene["start_frame"], frames[1] - frames[0]))
