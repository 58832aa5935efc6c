"""Doubts: what of a result a person should look at first.

What belongs here: the rules, as one pure function over published results. What does not: keeping what it says (`results.doubting`), showing
it. A doubt is a hint and changes nothing. What was done by hand is not doubted.

- `id_switch`: two tracks of one class, seen in the same two looks, would both go on more smoothly if they changed places between these. The
  error of going on is that of a constant velocity, forwards from the sighting before and backwards from the one after, as the sum over
  centre, width and height in sizes of the box; `GAIN` is what changing places must win.
- `over_cut`: a track is seen on both sides of a cut. Motion says nothing about what comes after it.
- `one_sighting`: a track was seen once; `min_sightings` leaves such out.
- `mask_outside`: of a mask of the track more than `OUTSIDE` lies outside its box.
- `disagreement`: Gemini and the measurement are two levels of difficulty apart, the match is unsure (`UNSURE`), or what Gemini named was
  not found among the tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from reframer_pipeline.scenes.observations import Observations
from reframer_pipeline.schemas import DIFFICULTIES

Kind = Literal["id_switch", "over_cut", "mask_outside", "disagreement", "one_sighting"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
GAIN: Final = 0.1
OUTSIDE: Final = 0.2  # of a mask's pixels
UNSURE: Final = 0.5  # confidence of a match, 0 to 1
MOST: Final = 1_000  # doubts of a video; the kinds come in the order of `KINDS`


@dataclass(frozen=True)
class Doubt:
    """Something to look at.

    Attributes:
        kind: Of `KINDS`.
        says: Why, in a sentence.
        track_id: The track; None where it is an element without one.
        other_id: The other track of an id switch.
        frame: Source frame to look at.
        scene_number: The scene of the element.
        element_number: Its place there, from 1.
    """

    kind: Kind
    says: str
    track_id: str | None = None
    other_id: str | None = None
    frame: int | None = None
    scene_number: int | None = None
    element_number: int | None = None


def doubts(
    seen: Observations, outside: np.ndarray, scenes: Sequence[Mapping[str, Any]], by_hand: Mapping[str, Mapping[str, Any]]
) -> list[Doubt]:
    """What to look at first.

    Args:
        seen: All sightings.
        outside: `(n,)`: of each sighting's mask the share outside its box, 0 to 1; NaN without a mask.
        scenes: The analyses of all scenes, in order.
        by_hand: What of which track was corrected, as `corrections.tracks.Track.by_hand`.

    Returns:
        At most `MOST`, by kind and then by time.
    """
    found = [*_switches(seen), *_of_tracks(seen, outside, scenes, by_hand), *_disagreements(scenes)]
    found.sort(key=lambda one: (KINDS.index(one.kind), one.frame or 0, one.track_id or ""))
    return found[:MOST]


def _switches(seen: Observations) -> Iterator[Doubt]:
    """Per pair of tracks the frame in which changing places wins most, if it wins enough."""
    steps = _Steps(seen)
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for rows in steps.groups():
        error = steps.errors(rows)
        alone = np.diag(error)
        gain = alone[:, None] + alone[None, :] - error - error.T
        kinds = np.array([seen.tracks[int(seen.track[row])].object_class for row in rows])
        gain[kinds[:, None] != kinds[None, :]] = 0
        for one, other in zip(*np.nonzero(np.triu(gain, 1) > GAIN), strict=True):
            pair = int(seen.track[rows[one]]), int(seen.track[rows[other]])
            frame = int(seen.frame[steps.following[rows[one]]])
            best[pair] = max(best.get(pair, (0.0, 0)), (float(gain[one, other]), frame))
    for (one, other), (_, frame) in best.items():
        names = seen.tracks[one].track_id, seen.tracks[other].track_id
        yield Doubt("id_switch", f"It may have changed places with {names[1]} before frame {frame}.", *names, frame)


class _Steps:
    """From each sighting of a track to its next one."""

    def __init__(self, seen: Observations) -> None:
        order = np.lexsort((seen.frame, seen.track))
        same = seen.track[order][1:] == seen.track[order][:-1]
        self._seen = seen
        self.following = np.full(len(seen), -1)
        self.following[order[:-1][same]] = order[1:][same]
        self._before = np.full(len(seen), -1)
        self._before[order[1:][same]] = order[:-1][same]
        size = seen.xyxy[:, 2:] - seen.xyxy[:, :2]
        self._state = np.hstack([(seen.xyxy[:, :2] + seen.xyxy[:, 2:]) / 2, size]).astype(np.float64)  # centre, width, height

    def groups(self) -> Iterator[np.ndarray]:
        """Rows of sightings in one frame whose tracks are next seen in one frame, two at least."""
        rows = np.flatnonzero(self.following >= 0)
        keys = np.stack([self._seen.frame[rows], self._seen.frame[self.following[rows]]], 1)
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        cuts = np.flatnonzero((np.diff(keys[order], axis=0) != 0).any(axis=1)) + 1
        yield from (rows[part] for part in np.split(order, cuts) if part.size > 1)

    def errors(self, rows: np.ndarray) -> np.ndarray:
        """`(k, k)`: how badly track i of `rows` goes on as track j, in sizes of the box."""
        later = self.following[rows]
        forth = self._gone_on(rows, self._before[rows], later)  # where i would be
        back = self._gone_on(later, self.following[later], rows)  # where j would have been
        now, then = self._state[rows], self._state[later]
        error = (np.abs(forth[:, None] - then[None, :]).sum(2) + np.abs(back[None, :] - now[:, None]).sum(2)) / 2
        size = np.sqrt(np.maximum((now[:, None, 2:] + then[None, :, 2:]) / 2, 1).prod(2))
        return np.asarray(error / size)

    def _gone_on(self, rows: np.ndarray, others: np.ndarray, to: np.ndarray) -> np.ndarray:
        """States of `rows` moved to the frames of `to`, at the velocity from `others` (-1: none, it stays)."""
        frame = self._seen.frame.astype(np.float64)
        known = others >= 0
        span = np.where(known, frame[rows] - frame[others], 1.0)
        velocity = np.where(known[:, None], (self._state[rows, :2] - self._state[others, :2]) / span[:, None], 0.0)
        moved = self._state[rows].copy()
        moved[:, :2] += velocity * (frame[to] - frame[rows])[:, None]
        return moved


def _of_tracks(
    seen: Observations, outside: np.ndarray, scenes: Sequence[Mapping[str, Any]], by_hand: Mapping[str, Mapping[str, Any]]
) -> Iterator[Doubt]:
    cuts = np.array([scene["start_frame"] for scene in scenes[1:]], np.int64)
    order = np.argsort(seen.track, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(seen.track[order])) + 1) if order.size else ():
        name, frames = seen.tracks[int(seen.track[rows[0]])].track_id, seen.frame[rows]
        crossed = cuts[(cuts > frames[0]) & (cuts <= frames[-1])]
        if crossed.size and "merged" not in by_hand.get(name, {}):
            yield Doubt("over_cut", f"It goes on over the cut at frame {crossed[0]}.", name, frame=int(crossed[0]))
        if rows.size == 1 and "split" not in by_hand.get(name, {}):
            yield Doubt("one_sighting", "It was seen only once.", name, frame=int(frames[0]))
        if not np.isnan(outside[rows]).all():
            worst = int(np.nanargmax(outside[rows]))
            share = float(outside[rows][worst])
            if share > OUTSIDE:
                yield Doubt("mask_outside", f"{share:.0%} of its mask lies outside its box.", name, frame=int(frames[worst]))


def _disagreements(scenes: Sequence[Mapping[str, Any]]) -> Iterator[Doubt]:
    for scene in scenes:
        for number, element in enumerate(scene["replaceable_elements"], start=1):
            if why := _disagreement(element):
                track = next(iter(element.get("tracks", ())), None)
                yield Doubt("disagreement", why, track, None, scene["start_frame"], scene["scene_number"], number)


def _disagreement(element: Mapping[str, Any]) -> str | None:
    if element.get("source") != "gemini" or "difficulty" in element.get("by_hand", ()):
        return None
    if not element.get("tracks"):
        return "Gemini named it, and it was not found among the tracks."
    measured, asked, match = (element.get(name) for name in ("measured_difficulty", "model_difficulty", "match_confidence"))
    if measured and asked and abs(DIFFICULTIES.index(measured) - DIFFICULTIES.index(asked)) == 2:
        return f"It was measured to be {measured}, and Gemini says {asked}."
    if match is not None and match < UNSURE:
        return f"It is matched with its track with only {match:.0%} confidence."
    return None
