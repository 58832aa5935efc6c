"""Figures of tracks, made by hand."""

from __future__ import annotations

from typing import Any

from reframer_pipeline.scenes.describer import Box, TrackFigures


def track_figures(track_id: str = "obj_001", object_class: str = "product", label: str = "bottle", **figures: Any) -> TrackFigures:
    """A still product in full view, in the centre, for 2 s, unless told otherwise."""
    easy = {
        "present": True, "sightings": 10, "first_frame": 0, "end_frame": 46, "first_seconds": 0.0, "end_seconds": 2.0,
        "visible_seconds": 2.0, "scene_share": 1.0,
        "confidence": 0.9, "bbox": Box(x=150, y=100, width=50, height=80), "horizontal": "centre", "vertical": "middle",
        "area_share": 0.03, "max_area_share": 0.03, "overlap": 0.0, "occlusion": 0.0, "gap_share": 0.0, "mask_stability": 0.98,
        "shape_change": 0.0, "speed": 0.0, "heading": None, "border_share": 0.0,
    }  # fmt: skip
    return TrackFigures(track_id=track_id, object_class=object_class, label=label, **{**easy, **figures})
