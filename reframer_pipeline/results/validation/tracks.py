"""What trajectories and scenes must keep.

What belongs here: rules over time. What does not: rules about single frames (`detections`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline.handover import StageInput
from reframer_pipeline.results.validation.checks import Validator, numbers, packed
from reframer_pipeline.results.validation.detections import known_detections
from reframer_pipeline.schemas import CLASSES, DIFFICULTIES, SCENE_TYPES


class TrajectoriesValidator(Validator):
    """Tracks that rise in time over existing detections, none of which is in two tracks."""

    names = ("frames_rise", "span_is_frames", "detections_exist", "detections_used_once", "track_ids_unique", "classes_known")

    def __init__(self, detections: StageInput) -> None:
        super().__init__()
        self._known = known_detections(detections)
        self._tracks: set[str] = set()

    def judge(self, batch: pa.RecordBatch) -> None:
        lists = batch.column("frames")
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        steps = lists.flatten()
        frame, ids = pc.struct_field(steps, "frame").to_numpy(zero_copy_only=False), packed(pc.struct_field(steps, "detection_id"))
        start, end = numbers(batch, "start_frame"), numbers(batch, "end_frame")
        first = np.cumsum(lengths) - lengths
        rising = np.ones(frame.size, bool)
        rising[1:] = np.diff(frame) > 0
        rising[first[lengths > 0]] = True
        self.expect("frames_rise", rising, "a later step has no later frame")
        filled = lengths > 0
        spans = filled.copy()
        spans[filled] = (frame[first[filled]] == start[filled]) & (frame[(first + lengths - 1)[filled]] + 1 == end[filled])
        self.expect("span_is_frames", spans)
        known, seen_in, _ = self._known.find(ids)
        self.expect("detections_exist", known & (seen_in == frame), "a step names no detection of its frame")
        self.expect("detections_used_once", self._known.use(ids) | ~known, "a detection is in two tracks")
        names = batch.column("track_id").to_pylist()
        self.expect("track_ids_unique", len(set(names) - self._tracks) == len(names), "a track id occurs again")
        self._tracks.update(names)
        self.expect("classes_known", np.isin(np.asarray(batch.column("object_class").to_pylist()), CLASSES))


class ScenesValidator(Validator):
    """Scenes that cover the video without gap or overlap, described within the agreed words and of known tracks."""

    names = ("cover_the_video", "numbered_from_one", "times_rise", "analysis_agrees", "words_known", "tracks_exist")

    def __init__(self, frame_count: int, trajectories: StageInput) -> None:
        super().__init__()
        self._frame_count = frame_count
        self._tracks = {name for batch in trajectories.batches(["track_id"]) for name in batch.column(0).to_pylist()}
        self._end = 0

    def judge(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            name = f"scene {row['scene_number']}"
            scene = json.loads(row["analysis"])
            self.expect("cover_the_video", self._end == row["start_frame"] < row["end_frame"], name)
            self._end = row["end_frame"]
            self.expect("times_rise", 0 <= row["start_seconds"] <= row["end_seconds"] < float("inf"), name)
            keys = ("scene_number", "start_frame", "end_frame")
            self.expect("analysis_agrees", isinstance(scene, dict) and all(scene.get(key) == row[key] for key in keys), name)
            if isinstance(scene, dict):
                self.expect("words_known", _words_known(scene), name)
                self.expect("tracks_exist", _tracks_named(scene) <= self._tracks, name)
        count = numbers(batch, "scene_number")
        self.expect("numbered_from_one", count == self._rows + 1 + np.arange(count.size))

    def conclude(self) -> None:
        self.expect("cover_the_video", self._end == self._frame_count, f"they end at frame {self._end} of {self._frame_count}")


def _elements(scene: dict[str, Any]) -> list[dict[str, Any]]:
    elements = scene.get("replaceable_elements")
    return [element for element in elements if isinstance(element, dict)] if isinstance(elements, list) else []


def _words_known(scene: dict[str, Any]) -> bool:
    importance = scene.get("importance")
    elements = scene.get("replaceable_elements")
    return (
        isinstance(scene.get("description"), str)
        and isinstance(importance, int)
        and 1 <= importance <= 10
        and scene.get("scene_type") in SCENE_TYPES
        and isinstance(elements, list)
        and len(_elements(scene)) == len(elements)
        and all(map(_element_known, elements))
    )


def _element_known(element: dict[str, Any]) -> bool:
    return all(isinstance(element.get(name), str) for name in ("type", "description")) and element.get("difficulty") in DIFFICULTIES


def _tracks_named(scene: dict[str, Any]) -> set[str]:
    """Track ids in the scene and its elements, each given as a text or as an object with `track_id`."""
    lists = [scene.get("tracks"), *(element.get("tracks") for element in _elements(scene))]
    entries = [entry for entries in lists if isinstance(entries, list) for entry in entries]
    return {str(entry.get("track_id")) if isinstance(entry, dict) else str(entry) for entry in entries}
