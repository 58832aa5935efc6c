"""`reframer demo --score`: the whole pipeline on drawn clips that training never saw, compared with their exact truth.

What belongs here: running it and gathering what it found. What does not: the metrics (`demo.score`) and the truth (`demo.truth`).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reframer_pipeline.database import embedded
from reframer_pipeline.demo.score import score_clips
from reframer_pipeline.demo.truth import ClipPrediction, ClipTruth, Frame, truth_of
from reframer_pipeline.demo.world import Clip, make_clip, write_clip
from reframer_pipeline.failures import InternalError
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.sampled import sampled_times, timed_groups
from reframer_pipeline.reading import sheets
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.vision import models
from reframer_pipeline.vision.boxes import FrameDetections, by_frame
from reframer_pipeline.vision.detector import detect_frames

FIRST_SEED: Final = 5_000_001  # far above the seeds that training may use (`demo.world`)
SWEEP_CONF: Final = 0.001


def measure(settings: Settings, clips: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Draw clips, run the six stages on each, score them.

    Args:
        settings: Deployment to run in, one for this alone: its server is stopped at the end. Models are the demo's.
        clips: How many clips of five seconds.
        say: Told a line per clip.

    Returns:
        `clips, map50, mask_iou, hota, idf1, shot_f1`, see `demo.score`.
    """
    pairs: list[tuple[ClipTruth, ClipPrediction]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ending:
        ending.callback(embedded.stop, settings)
        ending.callback(storage_of(settings).close)
        for number in range(clips):
            clip = make_clip(FIRST_SEED + number, n_frames=125)
            path = Path(folder) / f"drawn_{clip.seed}.mp4"
            write_clip(clip, path)
            pairs.append(_run(settings, clip, path))
            scored = ", ".join(f"{key} {value:.3f}" for key, value in score_clips(pairs[-1:]).items() if key != "clips")
            say(f"clip {number + 1} of {clips}: {scored}")
    figures: dict[str, Any] = score_clips(pairs)
    return {**figures, "clips": clips}


def _run(settings: Settings, clip: Clip, path: Path) -> tuple[ClipTruth, ClipPrediction]:
    storage = storage_of(settings)
    ingested = ingest_file(path, storage.db, storage.store, settings)
    if ingested.video_id is None:
        raise InternalError(f"The drawn clip {clip.seed} was refused: {ingested.failure}")
    (outcome,) = run_videos(settings, [ingested.video_id])
    if outcome.status != "completed":
        raise InternalError(f"The drawn clip {clip.seed} failed: {outcome.failure_message}")
    results = sheets.published(storage, ingested.video_id)
    numbers = sampled_times(results["frames"])[0].tolist()
    return truth_of(clip, numbers), prediction(results, numbers, settings)


def prediction(results: dict[str, StageInput], numbers: list[int], settings: Settings) -> ClipPrediction:
    """What a run found, as the metrics want it; the precision-recall sweep is another pass of the detector at conf 0.001."""
    masks = {row["detection_id"]: row for batch in results["masks"].batches() for row in batch.to_pylist()}
    scenes = [row for batch in results["scenes"].batches(["start_frame"]) for row in batch.to_pylist()]
    return ClipPrediction(
        sweep=tuple(_frames(_sweep(results["frames"], settings), numbers)),
        detections=tuple(_frames(by_frame(results["detections"].batches()), numbers, masks)),
        tracks=tuple(_tracked(results["trajectories"], numbers)),
        cuts=tuple(row["start_frame"] for row in scenes[1:]),
    )


def _sweep(frames: StageInput, settings: Settings) -> Iterator[FrameDetections]:
    wide = settings.model_copy(update={"conf": SWEEP_CONF, "track_low_conf": None})
    groups, total = timed_groups(frames, wide.batch)
    return by_frame(detect_frames(groups, models.detector(wide), wide, frames.result_id, total=total))


def _frames(found: Iterable[FrameDetections], numbers: list[int], masks: Mapping[str, dict[str, Any]] | None = None) -> Iterator[Frame]:
    """The detections of each frame; with masks, those that have one (candidates have none)."""
    by_number = {one.frame_number: one for one in found}
    for number in numbers:
        one = by_number.get(number)
        if one is None:
            yield Frame.of([], [])
            continue
        rows = [index for index, detection_id in enumerate(one.detection_ids) if masks is None or detection_id in masks]
        made = [masks[one.detection_ids[index]] for index in rows] if masks is not None else []
        yield Frame.of(
            one.xyxy[rows],
            [one.object_classes[index] for index in rows],
            conf=one.confidence[rows],
            masks=[{"size": [mask["height"], mask["width"]], "counts": mask["rle"].encode()} for mask in made],
        )


def _tracked(trajectories: StageInput, numbers: list[int]) -> Iterator[Frame]:
    seen: dict[int, list[tuple[list[float], str, int]]] = {number: [] for number in numbers}
    rows = [row for batch in trajectories.batches() for row in batch.to_pylist()]
    for identity, row in enumerate(rows):
        for sight in row["frames"]:
            seen[sight["frame"]].append(([sight["x1"], sight["y1"], sight["x2"], sight["y2"]], row["object_class"], identity))
    for number in numbers:
        boxes = seen[number]
        yield Frame.of([box for box, _, _ in boxes], [name for _, name, _ in boxes], ids=[identity for _, _, identity in boxes])
