"""Tracks and masks, side by side in frame order.

What belongs here: reading trajectories and masks into parallel arrays that can be cut by frame. What does not: any figure
(`measures`). Some 90 bytes a sighting are held; pictures and masks never are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline.handover import StageInput


class TrackName(NamedTuple):
    """Who a track is."""

    track_id: str
    object_class: str
    label: str


@dataclass(frozen=True)
class Observations:
    """Sightings of tracks, ordered by frame; row i of every array is one sighting.

    Attributes:
        tracks: All tracks of the video, in the order of the trajectories.
        track: `(n,)` int32, index into `tracks`.
        frame: `(n,)` int32, source frame, ascending.
        xyxy: `(n, 4)` float32, displayed pixels, half-open.
        confidence: `(n,)` float32.
        mask_area: `(n,)` float32, pixels; NaN where there is no mask.
        area: `(n,)` float32, pixels: of the mask; where there is none, of the box (or see `with_all_areas`).
        stability: `(n,)` float32, 0..1; NaN where there is no mask.
        mask: `(n,)` int64, the row of its mask in the masks; -1 where there is none.
    """

    tracks: tuple[TrackName, ...]
    track: np.ndarray
    frame: np.ndarray
    xyxy: np.ndarray
    confidence: np.ndarray
    mask_area: np.ndarray
    area: np.ndarray
    stability: np.ndarray
    mask: np.ndarray

    def within(self, start_frame: int, end_frame: int) -> Observations:
        """The sightings in frames `[start_frame, end_frame)`, as views."""
        low, high = np.searchsorted(self.frame, [start_frame, end_frame])
        return self[slice(int(low), int(high))]

    def with_all_areas(self) -> Observations:
        """Where a track has masks on some of its sightings only, the others' area is their box's times the part of the box that the masks
        before and after fill: linear between two, the nearest one's at the ends.
        """
        area, box = self.mask_area.copy(), areas(self.xyxy)
        by_track = np.argsort(self.track, kind="stable")
        for rows in np.split(by_track, np.flatnonzero(np.diff(self.track[by_track])) + 1):
            known = rows[~np.isnan(area[rows]) & (box[rows] > 0)]
            if known.size:
                fill = np.interp(self.frame[rows], self.frame[known], area[known] / box[known])
                area[rows] = np.where(np.isnan(area[rows]), fill * box[rows], area[rows])
        return replace(self, area=np.where(np.isnan(area), box, area))

    def __getitem__(self, rows: slice | np.ndarray) -> Observations:
        arrays = (self.track, self.frame, self.xyxy, self.confidence, self.mask_area, self.area, self.stability, self.mask)
        return Observations(self.tracks, *(array[rows] for array in arrays))

    def __len__(self) -> int:
        return int(self.frame.size)


def load_observations(trajectories: StageInput, masks: StageInput) -> Observations:
    """Read all sightings and give each the facts of its mask.

    Args:
        trajectories: `schemas.TRAJECTORIES`.
        masks: `schemas.MASKS`, in frame order.

    Returns:
        The sightings of all tracks.
    """
    tracks: list[TrackName] = []
    owners: list[np.ndarray] = [np.empty(0, np.int32)]
    sightings: list[pa.StructArray] = []
    for batch in trajectories.batches(["track_id", "object_class", "label", "frames"]):
        frames = batch.column("frames")
        owners.append(pc.list_parent_indices(frames).to_numpy().astype(np.int32) + len(tracks))
        sightings.append(pc.list_flatten(frames))
        tracks += map(TrackName, *(batch.column(name).to_pylist() for name in ("track_id", "object_class", "label")))

    def column(name: str, kind: type) -> np.ndarray:
        return np.concatenate([np.empty(0, kind), *(pc.struct_field(part, name).to_numpy() for part in sightings)]).astype(kind)

    frame, owner = column("frame", np.int32), np.concatenate(owners)
    order = np.lexsort((owner, frame))
    xyxy = np.stack([column(name, np.float32) for name in ("x1", "y1", "x2", "y2")], axis=1)
    ids = pa.chunked_array([pc.struct_field(part, "detection_id") for part in sightings], pa.string()).take(pa.array(order))
    mask_area, stability, mask = _mask_facts(masks, frame[order], ids)
    xyxy, confidence = xyxy[order], column("confidence", np.float32)[order]
    area = np.where(np.isnan(mask_area), areas(xyxy), mask_area)
    return Observations(tuple(tracks), owner[order], frame[order], xyxy, confidence, mask_area, area, stability, mask)


def areas(xyxy: np.ndarray) -> np.ndarray:
    """The areas of boxes `(n, 4)`."""
    return np.clip(xyxy[:, 2] - xyxy[:, 0], 0, None) * np.clip(xyxy[:, 3] - xyxy[:, 1], 0, None)


def _mask_facts(masks: StageInput, frame: np.ndarray, ids: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area, stability and row per sighting. Each batch is looked up only among the sightings of its own frames."""
    area, stability = np.full(frame.size, np.nan, np.float32), np.full(frame.size, np.nan, np.float32)
    mask, passed = np.full(frame.size, -1, np.int64), 0
    for batch in masks.batches(["detection_id", "frame_number", "area", "stability"]):
        if batch.num_rows == 0:
            continue
        frames = batch.column("frame_number").to_numpy()
        low, high = np.searchsorted(frame, [frames.min(), frames.max() + 1])
        found = pc.index_in(ids.slice(low, high - low), value_set=batch.column("detection_id"))
        place = found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy()
        place = np.asarray(place, np.float64)  # nulls arrive as NaN
        rows = np.flatnonzero(~np.isnan(place))
        source = place[rows].astype(np.int64)
        mask[low + rows] = passed + source
        passed += batch.num_rows
        area[low + rows] = batch.column("area").to_numpy()[source]
        stability[low + rows] = batch.column("stability").to_numpy()[source]
    return area, stability, mask
