"""What must stay in view: the boxes of tracks at every source frame, and those of them that fit together into the window.

What belongs here: reading tracks, weighing them, choosing. What does not: how the window follows (`path`).

Between two sightings a box moves evenly in time. Before its first and after its last sighting it goes on in the same way for as long as its
sightings are usually apart, within its shot: it came or went in between.

A track weighs, within a shot, `seen * sqrt(area) * CLASS_WEIGHTS`: the share of the shot in which it is in view, and the mean area of its
box over the picture's, as a length, for what is twice as large is not twice as important as what is twice as long in view. Faces are no
special case. At each frame the heaviest track counts, and each other one that fits into the window together with those before it, if it
does so for `OFTEN` of its time beside them: of two that are too far apart the lighter one is given up whole, since a window between them
would show neither, and what is only passed by is no reason to linger.

Of the sightings 32 bytes each are held; of a shot `MOST` boxes a frame, however many tracks it has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from reframer_pipeline.editing.reframe.window import Size
from reframer_pipeline.failures import NothingThere
from reframer_pipeline.handover import StageInput
from reframer_pipeline.vision.between import between

Floats = npt.NDArray[np.float64]

CLASS_WEIGHTS: Final = {"person": 1.0, "product": 0.7}
OFTEN: Final = 0.5
MATTERS: Final = 0.3
MOST: Final = 8  # tracks of a shot, the heaviest
ALONE_S: Final = 0.2  # how long something stays that was seen once, on either side


@dataclass(frozen=True)
class Track:
    """A track's sightings.

    Attributes:
        track_id: Its id.
        object_class: `person` or `product`.
        label: The model's own word.
        frame: `(n,)` source frames, rising.
        seconds: `(n,)` their times.
        xyxy: `(n, 4)` boxes.
    """

    track_id: str
    object_class: str
    label: str
    frame: npt.NDArray[np.int32]
    seconds: Floats
    xyxy: npt.NDArray[np.float32]

    def within(self, start: int, end: int) -> Track | None:
        """What was seen of it in frames `[start, end)`; None for nothing."""
        low, high = np.searchsorted(self.frame, [start, end])
        rows = slice(int(low), int(high))
        parts = (self.frame[rows], self.seconds[rows], self.xyxy[rows])
        return Track(self.track_id, self.object_class, self.label, *parts) if high > low else None

    def boxes(self, seconds: Floats) -> Floats:
        """`(len(seconds), 4)`: where it is at these times; NaN where it is not in view."""
        lasts = self._lasts
        inside = (seconds > self.seconds[0] - lasts) & (seconds < self.seconds[-1] + lasts)
        sides = between(self.seconds, self.xyxy, seconds)
        for end, next_to_it, beyond in ((0, 1, np.minimum), (-1, -2, np.maximum)):
            sides += np.tile(self._velocity(end, next_to_it), 2) * (beyond(seconds, self.seconds[end]) - self.seconds[end])[:, None]
        return np.where(inside[:, None], sides, np.nan)

    def span(self, seconds: Floats) -> slice:
        """Which of these rising times it may be in view at; `boxes` has NaN at all others."""
        lasts = self._lasts
        low, high = np.searchsorted(seconds, [self.seconds[0] - lasts, self.seconds[-1] + lasts])
        return slice(int(low), int(high))

    @property
    def _lasts(self) -> float:
        """Seconds for which it goes on before its first and after its last sighting."""
        return float(np.median(np.diff(self.seconds))) if len(self.seconds) > 1 else ALONE_S

    def _velocity(self, one: int, other: int) -> Floats:
        """Of its centre between two sightings, pixels a second."""
        took = float(self.seconds[one] - self.seconds[other]) if len(self.seconds) > 1 else 0.0
        if not took:
            return np.zeros(2)
        sides = self.xyxy[one].astype(float) - self.xyxy[other]
        return np.asarray((sides[:2] + sides[2:]) / 2 / took)


@dataclass(frozen=True)
class Subject:
    """What must stay in view in a shot.

    Attributes:
        xyxy: `(n, 4)` box around it at each frame, NaN where there is nothing.
        first: `(n, 4)` box of the heaviest track.
        tracks: Ids of the tracks in it, the heaviest first, with the share of the shot's frames in which each is meant.
        whole: `(n, 4)` the same of all tracks, whether they fit or not.
        left_out: Ids of the tracks that were given up beside others, and of those after the `MOST` heaviest.
        weighty: `(n, 4)` the same of those that weigh at least `MATTERS` of the heaviest.
    """

    xyxy: Floats
    first: Floats
    tracks: tuple[tuple[str, float], ...]
    whole: Floats
    left_out: tuple[str, ...]
    weighty: Floats


def read_tracks(trajectories: StageInput) -> list[Track]:
    """All tracks of a video, in order of first sight."""
    tracks: list[Track] = []
    for batch in trajectories.batches(["track_id", "object_class", "label", "frames"]):
        lists = batch.column("frames")
        steps, lengths = lists.flatten(), pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        frame, seconds, *sides = (pc.struct_field(steps, name).to_numpy() for name in ("frame", "timestamp", "x1", "y1", "x2", "y2"))
        xyxy, ends = np.stack(sides, axis=1), np.cumsum(lengths)
        names = zip(*(batch.column(name).to_pylist() for name in ("track_id", "object_class", "label")), strict=True)
        for (track_id, kind, label), end, length in zip(names, ends, lengths, strict=True):
            rows = slice(end - length, end)
            tracks.append(Track(track_id, kind, label, frame[rows], seconds[rows], xyxy[rows]))
    return tracks


def chosen(tracks: list[Track], track_ids: Collection[str], label: str | None) -> set[str]:
    """The ids of the tracks that somebody means: these, and those with this label or of this class. Empty: nobody said any.

    Raises:
        NothingThere: There is no such track.
    """
    if strange := sorted(set(track_ids) - {track.track_id for track in tracks}):
        raise NothingThere(f"The video has no track {strange[0]}.", "`reframer show` lists the tracks.")
    wanted = None if label is None else label.casefold()
    labelled = {track.track_id for track in tracks if wanted in (track.label.casefold(), track.object_class)}
    if wanted is not None and not labelled:
        there = ", ".join(sorted({track.label for track in tracks})) or "none"
        raise NothingThere(f"No track of the video is a {label}.", f"Its labels: {there}.")
    return labelled.union(track_ids)


def subject_of(tracks: list[Track], seconds: Floats, picture: Size, window: Size) -> Subject:
    """What must stay in view in a shot.

    Args:
        tracks: What was seen in it, and only in it.
        seconds: `(n,)` times of its frames.
        picture: Displayed width and height.
        window: The window's.
    """
    around = np.full((len(seconds), 4), np.nan)
    whole, weighty = around.copy(), around.copy()
    weights = []
    for track in tracks:
        span = track.span(seconds)
        box = track.boxes(seconds[span]).clip(0, np.tile(picture, 2))
        weights.append(_weight(track.object_class, box, len(seconds), picture))
        whole[span] = _around(whole[span], box)
    order = sorted(range(len(tracks)), key=lambda one: (-weights[one], tracks[one].track_id))[:MOST]
    boxes = {one: tracks[one].boxes(seconds).clip(0, np.tile(picture, 2)) for one in order}
    meant, left_out = [], [track.track_id for one, track in enumerate(tracks) if one not in boxes]
    for one in order:
        together = _around(around, boxes[one])
        if weights[one] >= MATTERS * weights[order[0]]:
            weighty = _around(weighty, boxes[one])
        fits = (together[:, 2] - together[:, 0] <= window[0]) & (together[:, 3] - together[:, 1] <= window[1])
        in_view = ~np.isnan(boxes[one][:, 0])
        taken = alone = in_view & np.isnan(around[:, 0])  # then it counts, whether it fits or not
        beside = in_view & ~alone
        if fits[beside].sum() >= OFTEN * beside.sum():
            taken = alone | (beside & fits)
        else:
            left_out.append(tracks[one].track_id)
        around = np.where(taken[:, None], together, around)
        if taken.any():
            meant.append((tracks[one].track_id, float(taken.mean())))
    return Subject(around, boxes[order[0]] if order else around, tuple(meant), whole, tuple(sorted(left_out)), weighty)


def _weight(object_class: str, boxes: Floats, frames: int, picture: Size) -> float:
    """Of its boxes, in a shot of so many frames."""
    in_view = boxes[~np.isnan(boxes[:, 0])]
    if not len(in_view):
        return 0.0
    area = np.mean((in_view[:, 2] - in_view[:, 0]) * (in_view[:, 3] - in_view[:, 1])) / (picture[0] * picture[1])
    return CLASS_WEIGHTS.get(object_class, 1.0) * len(in_view) / frames * float(np.sqrt(area))


def _around(one: Floats, other: Floats) -> Floats:
    """Boxes around two, of which either may not be there."""
    return np.concatenate([np.fmin(one[:, :2], other[:, :2]), np.fmax(one[:, 2:], other[:, 2:])], axis=1)
