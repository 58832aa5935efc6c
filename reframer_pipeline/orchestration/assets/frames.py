"""The frames asset: the one decode of the upload."""

import dagster as dg

from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.orchestration.assets.options import stage_asset
from reframer_pipeline.orchestration.stage.stage_run import StageEvents, stage_run


@stage_asset("frames", kinds={"ffmpeg", "parquet"})
def frames(context: dg.AssetExecutionContext, metadata: StageInput) -> StageEvents:
    """Every N-th frame, upright and with square pixels, and of every source frame its PTS and shot score (FFmpeg, one decode)."""
    with stage_run(context, context.resources.pipeline, "frames") as run:
        facts = VideoMetadata.from_batch(next(metadata.batches()))
        store_path = run.scratch / "frames.zip"
        with run.upload() as path:
            rows = sample_frames(path, facts, run.settings, store_path, run.progress)
            yield from run.finish(rows, attachment=store_path)
