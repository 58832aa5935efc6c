"""The trajectories asset: ByteTrack over the detections."""

import dagster as dg

from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.sampled import median_step, sampled_times
from reframer_pipeline.orchestration.assets.options import stage_asset
from reframer_pipeline.orchestration.stage.stage_run import StageEvents, stage_run
from reframer_pipeline.scenes.shots import find_shots
from reframer_pipeline.vision.boxes import by_frame
from reframer_pipeline.vision.trajectories import track_detections


@stage_asset("trajectories", kinds={"bytetrack", "parquet", "postgres"})
def trajectories(context: dg.AssetExecutionContext, metadata: StageInput, frames: StageInput, detections: StageInput) -> StageEvents:
    """The path of every person and product through time, one row per track (ByteTrack: motion only, fresh for every shot)."""
    with stage_run(context, context.resources.pipeline, "trajectories") as run:
        times = sampled_times(frames)
        found = by_frame(detections.batches())
        shots = find_shots(frames.batches(), next(metadata.batches()).to_pylist()[0], run.settings)
        cuts = [shot.start_frame for shot in shots[1:]]
        rows = track_detections(times, found, median_step(times), run.settings, run.progress, len(times), cuts)
        yield from run.finish(rows)
