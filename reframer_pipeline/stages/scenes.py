"""The scenes stage: shots, and what happens in each of them.

What belongs here: all that is special about it. What does not: shots, figures and words (`scenes`), COPY (`results.rows`), running it
(`orchestration.stage`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from reframer_pipeline import schemas, versions
from reframer_pipeline.handover import StageInput, StageOutput
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.scenes.analysis import analyse_scenes
from reframer_pipeline.scenes.camera import stands_still
from reframer_pipeline.scenes.observations import Observations
from reframer_pipeline.scenes.shots import Shot
from reframer_pipeline.schemas import DIFFICULTIES, SCENE_TYPES
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.checks import Validator, numbers
from reframer_pipeline.stages.columns import ids
from reframer_pipeline.stages.describers import describer_for
from reframer_pipeline.stages.stage import Cells, Columns, Rows, Stage, Work, first_rows
from reframer_pipeline.versions import StageKey


def _compute(
    work: Work, metadata: StageInput, frames: StageInput, detections: StageInput, masks: StageInput, trajectories: StageInput
) -> StageOutput:
    facts = next(metadata.batches()).to_pylist()[0]
    describer = describer_for(work, facts, frames, masks, trajectories)
    pictures = work.hold(FrameStore(frames.open_attachment()))

    def picture(frame: int, pixels: int) -> np.ndarray:
        work.alive()  # a shot may have any number of frames
        return pictures.thumbnail(frame, pixels)

    def camera(shot: Shot, sampled: np.ndarray, seen: Observations) -> bool:
        return stands_still(sampled, seen, facts["width"], facts["height"], picture)

    rows = analyse_scenes(facts, frames, detections, masks, trajectories, describer, work.settings, work.progress, camera)
    return StageOutput("scenes", rows)


def _more_settings(settings: Settings) -> dict[str, Any]:
    """Where the describer is Gemini, what it is asked counts as well."""
    if settings.resolved_describer != "gemini":
        return {}
    names = ["gemini_model", "gemini_media", "gemini_snap_s"]
    if settings.gemini_media == "keyframes":
        names.append("gemini_keyframes")
    return {**{name: getattr(settings, name) for name in names}, "gemini_prompt": versions.GEMINI_PROMPT_VERSION}


class ScenesValidator(Validator):
    """Scenes that cover the video without gap or overlap, described within the agreed words and of known tracks."""

    names = ("cover_the_video", "numbered_from_one", "times_rise", "analysis_agrees", "words_known", "tracks_exist")

    def __init__(self, key: StageKey, upstream: Mapping[str, StageInput]) -> None:
        super().__init__(key, upstream)
        self._frame_count = upstream["frames"].row_count
        self._tracks = {name for batch in upstream["trajectories"].batches(["track_id"]) for name in batch.column(0).to_pylist()}
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


def _columns(batch: pa.RecordBatch, key: StageKey) -> Columns:
    names = ("scene_number", "start_frame", "end_frame", "start_seconds", "end_seconds", "describer")
    named = {name: batch.column(name) for name in names}
    return {"id": ids(key, batch.column("scene_number").to_pylist()), **named, "analysis_data": batch.column("analysis")}


def description(analysis: str) -> str:
    """What happens in a scene, out of its analysis."""
    return str(json.loads(analysis)["description"])


def _cells(result: StageInput) -> Cells:
    rows = []
    for row in first_rows(result):
        scene, seconds = json.loads(row["analysis"]), f"{row['start_seconds']:.2f}–{row['end_seconds']:.2f}"
        rows.append([row["scene_number"], seconds, scene["scene_type"], "", scene["description"]])
        for element in scene["replaceable_elements"]:
            tracks = ", ".join(element.get("tracks", ())) or "not among the tracks"
            rows.append(["", "", element["type"], element["difficulty"], f"{element['description']} ({tracks})"])
    return ["scene", "seconds", "type", "difficulty", "what happens, and what could be replaced"], rows, result.row_count


SCENES: Final = Stage(
    name="scenes",
    says="Shots to the exact source frame; per shot what happens, how important it is, and what could be replaced and how hard that is.",
    inputs=("metadata", "frames", "detections", "masks", "trajectories"),
    code_version=4,
    settings=("shot_threshold", "min_shot_s", "resolved_describer"),
    schema=schemas.SCENES,
    compute=_compute,
    validator=ScenesValidator,
    cells=_cells,
    kinds=frozenset({"scenedetect", "gemini", "parquet", "postgres"}),
    rows=Rows("scene_analysis", _columns),
    json_columns=("analysis",),
    more_settings=_more_settings,
    looks_at_pictures=lambda chosen: True,
)
