"""Figures of each track within one scene, computed from its sightings.

What belongs here: formulas. What does not: reading tables (`observations`), judging figures (`difficulty`), words (`local`).

With sampled frames k of a scene, each standing for the time `span_k` from itself to the next one (the first reaches back to the
scene's start, the last to its end, so that the spans add up to the scene), and one track's sightings among them:

- `visible_seconds`: sum of `span_k` over its sightings; `scene_share` is that over the scene's length.
- `first_seconds`: time of its first sighting; `end_seconds`: the sampled frame after its last one, or the scene's end.
- `present`: `visible_seconds` of at least half a second, or half the scene if that is less.
- `area_share`, `max_area_share`: mean and largest mask area over the frame's area (`Observations.area` where there is no mask).
- `bbox`: mean of its boxes; `horizontal` and `vertical`: the third of the frame that holds the mean centre.
- `overlap`: mean over its sightings of the summed intersections with all other tracks' boxes over its own box, at most 1.
- `gap_share`: sampled frames without it between its first and last sighting, over all sampled frames between these.
- `occlusion` = `gap_share + (1 - gap_share) * dip`. `dip` is the mean of `max(0, 1 - fill / (POSE * usual))`, where `fill` is mask
  area over box area and `usual` the 90th percentile of `fill`: something before an object takes a bite out of its mask while the
  box stays. The factor POSE forgives what a change of pose does.
- `mask_stability`: mean of the segmenter's stability. `shape_change`: median of `|a - b| / max(a, b)` of areas `a, b` in
  neighbouring sampled frames.
- `speed`: path length of the box centre over the time it took, in frame diagonals per second. `heading`: the main direction from
  first to last centre, if these are further apart than a twentieth of the diagonal.
- `border_share`: share of its sightings whose box comes within BORDER of the frame's side of an edge.
- `looks`: at most LOOKS sightings with time and box, evenly spread from the first to the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np

from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.scenes.describer import Box, Look, TrackFigures, VideoFacts
from reframer_pipeline.scenes.observations import Observations, areas
from reframer_pipeline.scenes.shots import Shot
from reframer_pipeline.schemas import ObjectClass

PRESENT_SECONDS: Final = 0.5
POSE: Final = 0.85
BORDER: Final = 0.005
HEADING: Final = 0.05
LOOKS: Final = 8  # sightings that are kept of each track
DIGITS: Final = 4  # figures are rounded to this; finer ones would only claim what was not measured


@dataclass(frozen=True)
class Sampling:
    """The sampled frames of a video or a scene.

    Attributes:
        frame: `(n,)` int32, source frames, ascending.
        seconds: `(n,)` float64, their times.
    """

    frame: np.ndarray
    seconds: np.ndarray

    def within(self, shot: Shot) -> Sampling:
        """The sampled frames of one shot."""
        low, high = np.searchsorted(self.frame, [shot.start_frame, shot.end_frame])
        return Sampling(self.frame[low:high], self.seconds[low:high])

    def spans(self, shot: Shot) -> np.ndarray:
        """`(n,)` seconds that each sampled frame of a shot stands for; they add up to the shot."""
        if self.frame.size == 0:
            return np.empty(0)
        return np.diff(np.concatenate([[shot.start_seconds], self.seconds[1:], [shot.end_seconds]]))


def measure_tracks(shot: Shot, sampling: Sampling, seen: Observations, video: VideoFacts) -> list[TrackFigures]:
    """Figures of every track seen in a shot.

    Args:
        shot: The shot.
        sampling: Its sampled frames.
        seen: Its sightings.
        video: Size of the displayed frame.

    Returns:
        Figures, the most prominent track (area share times scene share) first.

    Raises:
        InvalidResult: A sighting lies in a frame that was not sampled.
    """
    if not np.isin(seen.frame, sampling.frame).all():
        raise InvalidResult(f"A track was sighted in a frame of shot {shot.start_frame}-{shot.end_frame} that was not sampled.")
    spans, overlap = sampling.spans(shot), _overlaps(seen)
    by_track = np.argsort(seen.track, kind="stable")
    groups = np.split(by_track, np.flatnonzero(np.diff(seen.track[by_track])) + 1) if len(seen) else []
    figures = [_figures(shot, sampling, spans, seen[rows], overlap[rows], video) for rows in groups]
    return sorted(figures, key=lambda one: (-one.area_share * one.scene_share, one.track_id))


def most_at_once(seen: Observations, track_ids: set[str]) -> int:
    """The most of the named tracks that share a frame."""
    chosen = np.array([name.track_id in track_ids for name in seen.tracks], bool)
    frames = seen.frame[chosen[seen.track]] if len(seen) else seen.frame
    return int(np.unique(frames, return_counts=True)[1].max()) if frames.size else 0


def _figures(shot: Shot, sampling: Sampling, spans: np.ndarray, seen: Observations, overlap: np.ndarray, video: VideoFacts) -> TrackFigures:
    name = seen.tracks[int(seen.track[0])]
    steps = np.searchsorted(sampling.frame, seen.frame)
    visible = float(spans[steps].sum())
    box_area = areas(seen.xyxy)
    shares = np.clip(seen.area / (video.width * video.height), 0, 1)
    gap_share = 1 - len(seen) / (int(steps[-1]) - int(steps[0]) + 1)
    mean_box = seen.xyxy.mean(axis=0, dtype=np.float64)
    centre = (mean_box[:2] + mean_box[2:]) / 2 / (video.width, video.height)
    speed, heading = _motion(seen.xyxy, sampling.seconds[steps], video)
    return TrackFigures(
        track_id=name.track_id,
        object_class=cast(ObjectClass, name.object_class),
        label=name.label,
        present=bool(visible >= min(PRESENT_SECONDS, shot.seconds / 2) - 1e-9),
        sightings=len(seen),
        first_frame=int(seen.frame[0]),
        end_frame=int(seen.frame[-1]) + 1,
        first_seconds=round(float(sampling.seconds[steps[0]]), 6),
        end_seconds=round(float(sampling.seconds[steps[-1] + 1] if steps[-1] + 1 < sampling.seconds.size else shot.end_seconds), 6),
        visible_seconds=_rounded(visible),
        scene_share=_share(visible / shot.seconds if shot.seconds > 0 else 1.0),
        confidence=_share(seen.confidence.mean(dtype=np.float64)),
        bbox=_box(mean_box),
        horizontal=("left", "centre", "right")[_third(centre[0])],
        vertical=("top", "middle", "bottom")[_third(centre[1])],
        area_share=_share(shares.mean(dtype=np.float64)),
        max_area_share=_share(shares.max()),
        overlap=_share(overlap.mean()),
        occlusion=_share(gap_share + (1 - gap_share) * _dip(seen.mask_area, box_area)),
        gap_share=_share(gap_share),
        mask_stability=_mean_or_none(seen.stability),
        shape_change=_rounded(_shape_change(seen.area, steps)),
        speed=_rounded(speed),
        heading=heading,
        border_share=_share(_at_border(seen.xyxy, video).mean()),
        looks=_looks(seen.xyxy, sampling.seconds[steps]),
    )


def _looks(xyxy: np.ndarray, seconds: np.ndarray) -> tuple[Look, ...]:
    rows = np.unique(np.linspace(0, len(xyxy) - 1, min(len(xyxy), LOOKS)).round().astype(int))
    return tuple(Look(seconds=round(float(seconds[row]), 6), bbox=_box(xyxy[row])) for row in rows)


def _overlaps(seen: Observations) -> np.ndarray:
    """`(n,)`: how much of each sighting's box lies under the other boxes of its frame, at most 1."""
    covered = np.zeros(len(seen))
    for rows in np.split(np.arange(len(seen)), np.flatnonzero(np.diff(seen.frame)) + 1):
        boxes = seen.xyxy[rows].astype(np.float64)
        corner = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        sides = np.clip(np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - corner, 0, None)
        shared = sides.prod(axis=2)
        np.fill_diagonal(shared, 0)
        covered[rows] = np.minimum(1, shared.sum(axis=1) / np.maximum(areas(boxes), 1e-9))
    return covered


def _dip(mask_area: np.ndarray, box_area: np.ndarray) -> float:
    """Mean loss of fill against the usual fill, see the module's text; 0 without masks."""
    known = ~np.isnan(mask_area) & (box_area > 0)
    if not known.any():
        return 0.0
    fill = mask_area[known] / box_area[known]
    usual = float(np.percentile(fill, 90)) * POSE
    return float(np.clip(1 - fill / usual, 0, 1).mean()) if usual > 0 else 0.0


def _shape_change(area: np.ndarray, steps: np.ndarray) -> float:
    neighbours = np.flatnonzero(np.diff(steps) == 1)
    if neighbours.size == 0:
        return 0.0
    before, after = area[neighbours], area[neighbours + 1]
    return float(np.median(np.abs(after - before) / np.maximum(np.maximum(before, after), 1e-9)))


def _motion(xyxy: np.ndarray, seconds: np.ndarray, video: VideoFacts) -> tuple[float, Literal["left", "right", "up", "down"] | None]:
    centres = (xyxy[:, :2] + xyxy[:, 2:]).astype(np.float64) / 2 / math.hypot(video.width, video.height)
    time = float(seconds[-1] - seconds[0])
    path = float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
    right, down = (centres[-1] - centres[0]).tolist()
    if math.hypot(right, down) < HEADING:
        heading: Literal["left", "right", "up", "down"] | None = None
    elif abs(right) >= abs(down):
        heading = "right" if right > 0 else "left"
    else:
        heading = "down" if down > 0 else "up"
    return (path / time if time > 0 else 0.0), heading


def _at_border(xyxy: np.ndarray, video: VideoFacts) -> np.ndarray:
    margin = np.array([video.width, video.height], np.float32) * BORDER
    low = (xyxy[:, :2] <= margin).any(axis=1)
    high = (xyxy[:, 2:] >= np.array([video.width, video.height]) - margin).any(axis=1)
    return low | high


def _mean_or_none(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else _share(np.nanmean(values, dtype=np.float64))


def _box(xyxy: np.ndarray) -> Box:
    x1, y1, x2, y2 = (round(float(value), 1) for value in xyxy)
    return Box(x=x1, y=y1, width=max(0.0, round(x2 - x1, 1)), height=max(0.0, round(y2 - y1, 1)))


def _third(place: float) -> int:
    return min(2, max(0, int(place * 3)))


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


def _share(value: float) -> float:
    return min(1.0, max(0.0, _rounded(value)))
