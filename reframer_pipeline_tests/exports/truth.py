"""What the database has of a video, by its own views: what every export is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from reframer_pipeline.exports.videos import Video
from reframer_pipeline.reading.tables import MASKS, SIGHTINGS, TRACKS, Table

Row = dict[str, Any]


def rows(video: Video, table: Table) -> list[Row]:
    """All rows of a table."""
    return [row for batch in video.rows(table) for row in batch.to_pylist()]


def sightings(video: Video) -> dict[str, Row]:
    """Sightings by detection id."""
    return {row["detection_id"]: row for row in rows(video, SIGHTINGS)}


def tracks(video: Video) -> dict[str, Row]:
    """Tracks by id."""
    return {row["track_id"]: row for row in rows(video, TRACKS)}


def masks(video: Video) -> dict[str, np.ndarray]:
    """Masks by detection id, `(height, width)` bool."""
    return {row["detection_id"]: _decode(row) for row in rows(video, MASKS)}


def box(row: Row) -> tuple[float, float, float, float]:
    """Its box, xywh."""
    return row["x"], row["y"], row["width"], row["height"]


def _decode(row: Row) -> np.ndarray:
    counts = np.array([int(count) for count in row["mask_rle"].split(",")])
    bits = np.repeat(np.arange(counts.size) % 2 == 1, counts)
    return bits.reshape((row["frame_height"], row["frame_width"]), order="F")
