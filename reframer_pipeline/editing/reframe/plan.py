"""The plan of a reframed video: for each shot a window, and where it is at each frame.

What belongs here: from results and wishes to windows. What does not: how one moves (`curves`), how any of it is written (`forms`,
`timeline`, `render`).

Each shot is solved by itself, so the window never moves across a cut: shots are those of the scenes, which begin at exact source frames.
Where nothing is in view the window stays in the middle.

Where what matters does not fit into the window in more than `SELDOM` of a shot's frames, the whole picture may be shown with bars instead.
What matters is what was chosen, or else what weighs at least `subject.MATTERS` of the heaviest track.

Memory: some 170 bytes a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline.editing.reframe.curves import curves_of
from reframer_pipeline.editing.reframe.keyframes import DIGITS, keyframes
from reframer_pipeline.editing.reframe.path import Curve
from reframer_pipeline.editing.reframe.subject import Floats, Subject, Track, chosen, read_tracks, subject_of
from reframer_pipeline.editing.reframe.window import Ratio, Size, window_of
from reframer_pipeline.failures import NothingThere
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.sampled import all_pts, all_seconds
from reframer_pipeline.vision.between import between

SELDOM: Final = 0.1


@dataclass(frozen=True)
class Wishes:
    """What somebody wants.

    Attributes:
        ratio: Width to height.
        track_ids: The tracks that matter; with `label`, those of this label or class as well. Neither: all, by weight.
        label: See there.
        letterbox: Whether shots in which the subjects do not fit are shown whole, with bars.
        scene: Only this scene, by its number.
    """

    ratio: Ratio
    track_ids: frozenset[str] = frozenset()
    label: str | None = None
    letterbox: bool = False
    scene: int | None = None


@dataclass(frozen=True)
class ShotPath:
    """One shot's window.

    Attributes:
        scene_number: The scene that it is.
        start_frame: First source frame; it has one for each row of `seconds`.
        seconds: `(n,)` times of its frames.
        end_seconds: Where it ends.
        window: Its width and height.
        whole: Whether it is the whole picture, with bars around it.
        keys: Places of the keyframes in `seconds`.
        xy: `(len(keys), 2)` left and upper edge of the window there; between them it moves evenly in time.
        curves: The planned movement, of x and y; the keyframes differ from it by `keyframes.TOLERANCE` at most.
        subject: What was to stay in view.
        were_chosen: Whether somebody chose the tracks in it.
    """

    scene_number: int
    start_frame: int
    seconds: Floats
    end_seconds: float
    window: Size
    whole: bool
    keys: npt.NDArray[np.int64]
    xy: Floats
    curves: tuple[Curve, Curve]
    subject: Subject
    were_chosen: bool

    @property
    def end_frame(self) -> int:
        """Source frame after the last."""
        return self.start_frame + len(self.seconds)

    @cached_property
    def inside(self) -> float | None:
        """Share of the frames with the heaviest track in which that is inside; None without a track."""
        return share_inside(self.subject.first, self.pixels, self.window)

    @cached_property
    def all_inside(self) -> float | None:
        """The same of all that was to stay in view."""
        return share_inside(self.subject.xyxy, self.pixels, self.window)

    @cached_property
    def pixels(self) -> npt.NDArray[np.int64]:
        """`(n, 2)`: left and upper edge at each frame as they are cut, at whole pixels."""
        return np.floor(between(self.seconds[self.keys], self.xy, self.seconds) + 0.5).astype(np.int64)


@dataclass(frozen=True)
class Reframing:
    """The plan of a video.

    Attributes:
        video_id, filename: Of the video.
        wishes: What was wanted.
        facts: Of the video.
        size: Width and height of what comes out.
        shots: Its shots in order.
        pts: Of all its frames, in units of its time base.
    """

    video_id: str
    filename: str
    wishes: Wishes
    facts: VideoMetadata
    size: Size
    shots: tuple[ShotPath, ...]
    pts: npt.NDArray[np.int64]

    @property
    def picture(self) -> Size:
        """Displayed width and height of the video."""
        return self.facts.width, self.facts.height

    @property
    def rate(self) -> Fraction:
        """Average frames a second."""
        return self.facts.fps

    @property
    def inside(self) -> float | None:
        """Share of the frames with chosen tracks in which all of these are inside; without a choice, each shot's heaviest track counts.

        None without such a frame.
        """
        counted, frames = 0.0, 0
        for shot in self.shots:
            if shot.were_chosen or not self.chosen:
                boxes = shot.subject.whole if self.chosen else shot.subject.first
                there = int((~np.isnan(boxes[:, 0])).sum())
                counted, frames = counted + there * (share_inside(boxes, shot.pixels, shot.window) or 0), frames + there
        return counted / frames if frames else None

    @property
    def chosen(self) -> bool:
        """Whether somebody said which tracks matter."""
        return bool(self.wishes.track_ids) or self.wishes.label is not None

    @property
    def left_out(self) -> list[str]:
        """Chosen tracks that some shot's window has no room for."""
        return sorted({one for shot in self.shots if shot.were_chosen and not shot.whole for one in shot.subject.left_out})


def reframing(results: Mapping[str, StageInput], video_id: str, filename: str, wishes: Wishes) -> Reframing:
    """Plan a video.

    Args:
        results: Its published results by stage.
        video_id: Its id.
        filename: As its file was called.
        wishes: What is wanted.

    Raises:
        RatioImpossible: The ratio leaves no picture.
        NothingThere: It has no such track, label or scene.
    """
    facts = VideoMetadata.from_batch(next(results["metadata"].batches()))
    picture = (facts.width, facts.height)
    window = window_of(wishes.ratio, picture)
    tracks = read_tracks(results["trajectories"])
    wanted = chosen(tracks, wishes.track_ids, wishes.label)
    scenes = _scenes(results["scenes"], wishes.scene)
    seconds = all_seconds(results["frames"])
    shots = []
    for scene in scenes:
        times = seconds[scene["start_frame"] : scene["end_frame"]]
        there = [part for track in tracks if (part := track.within(scene["start_frame"], scene["end_frame"]))]
        meant = [track for track in there if track.track_id in wanted]
        shots.append(_shot(scene, times, meant or there, bool(meant), picture, window, wishes.letterbox))
    return Reframing(video_id, filename, wishes, facts, window, tuple(shots), all_pts(results["frames"]))


def _scenes(scenes: StageInput, number: int | None) -> list[dict[str, Any]]:
    rows = [row for batch in scenes.batches(["scene_number", "start_frame", "end_frame", "end_seconds"]) for row in batch.to_pylist()]
    rows = [row for row in rows if row["end_frame"] > row["start_frame"]]
    if number is None:
        return rows
    if not (found := [row for row in rows if row["scene_number"] == number]):
        raise NothingThere(f"The video has no scene {number}.", f"It has scenes 1 to {len(rows)}.")
    return found


def _shot(
    scene: dict[str, Any], seconds: Floats, tracks: list[Track], were_chosen: bool, picture: Size, window: Size, letterbox: bool
) -> ShotPath:
    subject = subject_of(tracks, seconds, picture, window)
    whole = letterbox and _too_large(subject.whole if were_chosen else subject.weighty, window)
    size = picture if whole else window
    curves = curves_of(seconds, subject, picture, size)
    since = seconds - seconds[0]
    planned = np.stack([curve.at(since) for curve in curves], axis=1)
    keys = keyframes(seconds, planned)
    return ShotPath(
        scene["scene_number"],
        scene["start_frame"],
        seconds,
        scene["end_seconds"],
        size,
        whole,
        keys,
        np.round(planned[keys], DIGITS),
        curves,
        subject,
        were_chosen,
    )


def share_inside(boxes: Floats, xy: npt.NDArray[Any], window: Size, slack: float = 0.5) -> float | None:
    """Share of the frames with a box, `(n, 4)`, in which it lies in the window at `xy`, to within so many pixels; None without a box."""
    there = ~np.isnan(boxes[:, 0])
    inside = (boxes[:, :2] >= xy - slack).all(axis=1) & (boxes[:, 2:] <= xy + np.array(window) + slack).all(axis=1)
    return float(inside[there].mean()) if there.any() else None


def _too_large(boxes: Floats, window: Size) -> bool:
    there = boxes[~np.isnan(boxes[:, 0])]
    return bool(len(there)) and float(((there[:, 2:] - there[:, :2]) > window).any(axis=1).mean()) > SELDOM
