"""What was corrected in a CVAT file: the changes that lead from what readers see to what the file says.

What belongs here: the comparison. What does not: reading the file (`cvat_reading`), making the corrections (`results.correcting`).

CVAT numbers tracks anew, and drops attributes that its task does not know. So every sighting of ours is looked for among the file's boxes
of its frame: it is in the track that overlaps it most, by at least `SAME`; of several, one that still bears its id goes first. A track of
ours that is in none was deleted. One that is in two was split, and what is in one track of the file was merged. The class is the file's.
Where a box says another label than ours, that is the label, even if it is one box of many: in CVAT an attribute is changed at a keyframe.

A file of chosen tracks says nothing of the others: they stay. It names them and their set in `meta`, which CVAT may leave out. So a file
that would delete most tracks is refused, unless whoever sends it says that this is meant.

What the file cannot say is left out: boxes that were moved, parts that were hidden, masks, and tracks that were drawn anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO, Final

import numpy as np

from reframer_pipeline.corrections import tracks as tracking
from reframer_pipeline.corrections.events import Change, Delete, Merge, Reclass, Rename, Split
from reframer_pipeline.corrections.tracks import Tracks
from reframer_pipeline.exports import cvat_reading
from reframer_pipeline.exports.cvat_reading import File, FileTrack
from reframer_pipeline.exports.sightings import Box
from reframer_pipeline.exports.videos import Video, facts
from reframer_pipeline.exports.xml import plain
from reframer_pipeline.failures import AnnotationsRefused
from reframer_pipeline.media.sampled import sampled_times
from reframer_pipeline.scenes.describer import MAX_LABEL, one_line

SAME: Final = 0.5  # intersection over union
MOST_DELETED: Final = 0.5  # of our tracks; more only where that is said to be meant
TIMES: Final = 4  # as many boxes as we have may a frame have, and
MORE: Final = 50  # so many beyond
OURS: Final = 0.5  # of the file's tracks that last longer than a frame, those that must be ours: else it is of another video


@dataclass(frozen=True)
class _Piece:
    """A part of the track `was` of ours that is in one track of the file, at the place `where`."""

    track_id: str
    was: str
    where: int
    first_frame: int


def corrections_of(video: Video, source: BinaryIO, allow_deletions: bool = False) -> list[Change]:
    """The changes, in an order in which each fits what the ones before it have left.

    Args:
        video: The video, with the results that readers see.
        source: The file, or the zip that CVAT puts it in; seekable.
        allow_deletions: Whether most tracks may go.

    Raises:
        AnnotationsRefused: It is no such file, or one of another video, or most tracks would go.
    """
    results = video.open()
    frames = sampled_times(results["frames"])[0].tolist()
    tracks = tracking.read(results["trajectories"].batches())
    sightings = sum(len(track.numbers) for track in tracks.by_id.values())
    file = cvat_reading.read(source, frames, TIMES * sightings + MORE * len(frames))
    _demand_same_video(file, facts(results))
    found = _found(tracks, file)
    if tracks.by_id:
        _demand_ours(file, found)
    if file.chosen:  # the others were not exported; and in another set these ids are other tracks
        known = file.chosen if file.facts.get("reframer/set") == video.result_id else frozenset[str]()
        found = {name: places for name, places in found.items() if places or name in known}
    gone = sum(not places for places in found.values())
    if gone > MOST_DELETED * len(tracks.by_id) and not allow_deletions:
        raise AnnotationsRefused(
            f"The file lacks {gone} of {len(tracks.by_id)} tracks, which would be deleted.",
            "Is it an export of chosen tracks? If they are to go: `--allow-deletions`, or `allow_deletions=true` over HTTP.",
        )
    return _changes(tracks, file, found)


def _changes(tracks: Tracks, file: File, found: Mapping[str, Sequence[tuple[int, int]]]) -> list[Change]:
    changes, pieces, were = list[Change](), list[_Piece](), tracks

    def do(asked: Change) -> None:
        nonlocal tracks
        changes.append(asked)
        tracks = tracking.change(tracks, asked)

    for name, places in found.items():
        if not places:
            do(Delete(track_id=name))
            continue
        pieces.append(_Piece(name, name, places[0][1], places[0][0]))
        for (_, before), (frame, now) in pairwise(places):
            if now != before:
                new = f"obj_{tracks.next_number:03d}"
                do(Split(track_id=pieces[-1].track_id, frame=frame))
                pieces.append(_Piece(new, name, now, frame))
    for number, one in enumerate(file.tracks):
        mine = sorted((piece for piece in pieces if piece.where == number), key=lambda piece: piece.first_frame)
        for piece in mine:
            if tracks.one(piece.track_id).object_class != one.object_class:
                do(Reclass.model_validate({"track_id": piece.track_id, "class": one.object_class}))
        for piece in mine[1:]:
            do(Merge(track_id=mine[0].track_id, other_id=piece.track_id))
        if label := _new_label(one, {were.one(piece.was).label for piece in mine}):
            do(Rename(track_id=mine[0].track_id, label=label))
    return changes


def _found(tracks: Tracks, file: File) -> dict[str, list[tuple[int, int]]]:
    """Of each track of ours, the sightings that are in the file: frame, and place of the file's track. A box of the file is taken once."""
    there: dict[int, list[int]] = {}
    for number, one in enumerate(file.tracks):
        for frame in one.boxes:
            there.setdefault(frame, []).append(number)
    ours: dict[int, list[tuple[str, Box]]] = {}
    for name, track in tracks.by_id.items():
        corners = zip(*(track.frames.field(side).to_pylist() for side in ("x1", "y1", "x2", "y2")), strict=True)
        for frame, box in zip(track.numbers.tolist(), corners, strict=True):
            ours.setdefault(frame, []).append((name, box))
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in tracks.by_id}
    for frame in sorted(ours):
        if len(there.get(frame, ())) > TIMES * len(ours[frame]) + MORE:
            raise AnnotationsRefused(f"The file has {len(there[frame])} boxes at frame {frame}, where the video has {len(ours[frame])}.")
        for name, number in _pairs(ours[frame], [(number, file.tracks[number]) for number in there.get(frame, ())], frame):
            found[name].append((frame, number))
    return found


def _pairs(ours: Sequence[tuple[str, Box]], theirs: Sequence[tuple[int, FileTrack]], frame: int) -> list[tuple[str, int]]:
    """Boxes of one frame that are the same: those that bear our id first, and then the most alike."""
    if not theirs:
        return []
    same = _overlaps(np.array([box for _, box in ours]), np.array([one.boxes[frame] for _, one in theirs]))
    called = [one.names.most_common(1)[0][0] if one.names else None for _, one in theirs]
    pairs_alike = np.argwhere(same >= SAME).tolist()
    alike = [(called[their] == ours[our][0], same[our, their], ours[our][0], theirs[their][0]) for our, their in pairs_alike]
    pairs, taken = dict[str, int](), set[int]()
    for _, _, name, number in sorted(alike, reverse=True):
        if name not in pairs and number not in taken:
            pairs[name] = number
            taken.add(number)
    return list(pairs.items())


def _overlaps(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """`(m, n)`: intersection over union of boxes xyxy `(m, 4)` and `(n, 4)`."""
    with np.errstate(over="ignore", invalid="ignore"):  # sides may be any numbers: what is no overlap then is not alike
        sides = np.minimum(ours[:, None, 2:], theirs[None, :, 2:]) - np.maximum(ours[:, None, :2], theirs[None, :, :2])
        shared = sides.clip(min=0).prod(axis=2)
        areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (ours, theirs)]
        whole = areas[0][:, None] + areas[1] - shared
        return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def _new_label(track: FileTrack, were: Collection[str]) -> str | None:
    """What the boxes of a track say in place of what they said when they were exported, if they do."""
    ours = {_as_read(label) for label in were}
    others = Counter({label: count for label, count in track.labels.items() if label not in ours})
    return one_line(others.most_common(1)[0][0], MAX_LABEL) if were and others else None


def _as_read(label: str) -> str:
    return plain(label).strip()[: cvat_reading.MOST_TEXT]


def _demand_same_video(file: File, known: Mapping[str, Any]) -> None:
    """Go on only if what the file says of its video is so. CVAT says it under `task`, `job` or `project`."""
    expected = {"size": known["frame_count"], "start_frame": 0, "width": known["width"], "height": known["height"]}
    for path, text in file.facts.items():
        name = path.rpartition("/")[2]
        if path.split("/")[0] in ("task", "job") and path.count("/") <= 2 and name in expected and text != str(expected[name]):
            raise AnnotationsRefused(f"The file is of another video, or of a part of this one: its {name} is {text[:20]}.")


def _demand_ours(file: File, found: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    """Go on only if most of the file's tracks are ours: of another video's file, all of ours would seem to be deleted."""
    ours = {number for places in found.values() for _, number in places}
    lasting = [number for number, one in enumerate(file.tracks) if len(one.boxes) > 1]
    if not ours or sum(number in ours for number in lasting) < OURS * len(lasting):
        raise AnnotationsRefused("The tracks of the file are not those of this video.")
