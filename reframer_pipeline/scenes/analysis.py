"""The scenes stage: from the results of all earlier stages to one row per scene.

What belongs here: the order of the steps and the shape of the stored JSON. What does not: any step itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import tee
from typing import Any, Final

import numpy as np
import pyarrow as pa

from reframer_pipeline import schemas
from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.handover import Progress, StageInput, no_progress, record_batches
from reframer_pipeline.media.sampled import sampled_times
from reframer_pipeline.scenes.camera import Camera, not_looked_at
from reframer_pipeline.scenes.describer import Describer, SceneDescription, SceneFacts, TrackFigures, VideoFacts
from reframer_pipeline.scenes.measures import Sampling, measure_tracks, most_at_once
from reframer_pipeline.scenes.observations import Observations, load_observations
from reframer_pipeline.scenes.plates import Plates
from reframer_pipeline.scenes.shots import COLUMNS, Shot, find_shots
from reframer_pipeline.settings import Settings

MAX_TRACKS: Final = 500  # a scene's row stays readable; the trajectories hold them all
SCENES_A_BATCH: Final = 64


def analyse_scenes(
    metadata: Mapping[str, Any],
    frames: StageInput,
    detections: StageInput,
    masks: StageInput,
    trajectories: StageInput,
    describer: Describer,
    settings: Settings,
    progress: Progress = no_progress,
    camera: Camera = not_looked_at,
) -> Iterator[pa.RecordBatch]:
    """Find the scenes of one video, measure and describe them.

    Args:
        metadata: The row of `schemas.METADATA`.
        frames: `schemas.FRAMES`.
        detections: `schemas.DETECTIONS`.
        masks: `schemas.MASKS`.
        trajectories: `schemas.TRAJECTORIES`.
        describer: Who puts the figures into words.
        settings: `shot_threshold` and `min_shot_s`; and `mask_stride` and `mask_conf`, under which only some sightings have masks.
        progress: Called with scenes done and scenes in all.
        camera: Says whether it stands still; where it does not, nothing is said of what lies behind tracks.

    Yields:
        Batches of `schemas.SCENES`; scenes cover the video without gap or overlap.

    Raises:
        InvalidResult: The inputs contradict each other, or the describer left a scene out.
    """

    def rows() -> Iterator[dict[str, Any]]:
        shots = find_shots(frames.batches(COLUMNS), metadata, settings)
        seen = load_observations(trajectories, masks)
        some_only = settings.mask_stride > 1 or settings.mask_conf > 0
        plates = Plates(_video(metadata), detections, masks)
        seen = seen.with_all_areas() if some_only else seen
        told, asked = tee(_facts(shots, metadata, frames, detections, seen, camera, plates))
        progress(0, len(shots))
        answers = describer.describe(asked, [shot.start_seconds for shot in shots] + [shots[-1].end_seconds if shots else 0.0])
        for scene in told:
            answer = next(answers, None)
            if answer is None:
                raise InvalidResult(f"The describer {describer.name} answered for {scene.scene_number - 1} of {len(shots)} scenes.")
            progress(scene.scene_number, len(shots))
            yield _row(scene, answer)

    return record_batches(rows(), schemas.SCENES, SCENES_A_BATCH)


def _video(metadata: Mapping[str, Any]) -> VideoFacts:
    return VideoFacts(**{name: metadata[name] for name in VideoFacts.model_fields})


def _facts(
    shots: list[Shot],
    metadata: Mapping[str, Any],
    frames: StageInput,
    detections: StageInput,
    seen: Observations,
    camera: Camera,
    plates: Plates,
) -> Iterator[SceneFacts]:
    video = _video(metadata)
    sampling, counts = Sampling(*sampled_times(frames)), _count_detections(detections, shots)
    for number, (shot, count) in enumerate(zip(shots, counts, strict=True), start=1):
        looks, sightings = sampling.within(shot), seen.within(shot.start_frame, shot.end_frame)
        tracks = measure_tracks(shot, looks, sightings, video)
        still = camera(shot, looks.frame, sightings) if tracks else None
        present = {kind: {one.track_id for one in tracks if one.present and one.object_class == kind} for kind in schemas.CLASSES}
        yield SceneFacts(
            video=video,
            scene_number=number,
            start_frame=shot.start_frame,
            end_frame=shot.end_frame,
            start_seconds=round(shot.start_seconds, 6),
            end_seconds=round(shot.end_seconds, 6),
            sampled_frames=int(looks.frame.size),
            camera_still=still,
            most_people=most_at_once(sightings, present["person"]),
            most_products=most_at_once(sightings, present["product"]),
            detections=count,
            tracks=_with_plates(tracks[:MAX_TRACKS], looks.frame, sightings, plates) if still else tuple(tracks[:MAX_TRACKS]),
        )


def _with_plates(tracks: list[TrackFigures], frames: np.ndarray, seen: Observations, plates: Plates) -> tuple[TrackFigures, ...]:
    behind = plates.behind(frames, seen, [track.track_id for track in tracks])
    return tuple(track.model_copy(update=behind[track.track_id]._asdict()) for track in tracks)


def _count_detections(detections: StageInput, shots: list[Shot]) -> list[int]:
    edges = np.array([shot.start_frame for shot in shots] + [shots[-1].end_frame if shots else 0])
    counts = np.zeros(len(shots), np.int64)
    for batch in detections.batches(["frame_number", "candidate"]):
        real = ~batch.column("candidate").to_numpy(zero_copy_only=False)
        counts += np.histogram(batch.column("frame_number").to_numpy()[real], edges)[0] if shots else 0
    return [int(count) for count in counts]


def _row(scene: SceneFacts, answer: SceneDescription) -> dict[str, Any]:
    facts = scene.model_dump(mode="json", exclude={"video"})
    tracks = facts.pop("tracks")
    said = answer.model_dump(mode="json")
    describer = said.pop("source")
    analysis = {**facts, **said, "tracks": tracks, "describer": describer}
    return {
        **{name: facts[name] for name in ("scene_number", "start_frame", "end_frame", "start_seconds", "end_seconds")},
        "describer": describer,
        "analysis": json.dumps(analysis, ensure_ascii=False, allow_nan=False, separators=(",", ":")),
    }
