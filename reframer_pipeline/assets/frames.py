"""The frames asset: the one decode of the upload."""

from __future__ import annotations

import dagster as dg

from reframer_pipeline.assets.options import stage_options
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.results import StageInput
from reframer_pipeline.stage_run import StageEvents, stage_run
from reframer_pipeline.uploads.ingest import local_copy


@dg.asset(ins={"metadata": dg.AssetIn("metadata", dagster_type=dg.Any)}, **stage_options("frames", kinds={"ffmpeg", "parquet"}))
def frames(context: dg.AssetExecutionContext, metadata: StageInput) -> StageEvents:
    """Every N-th frame, upright and with square pixels, and of every source frame its PTS and shot score (FFmpeg, one decode)."""
    with stage_run(context, context.resources.pipeline, "frames") as run:
        facts = VideoMetadata.from_batch(next(metadata.batches()))
        store_path = run.scratch / "frames.zip"
        with local_copy(run.video_id, run.pipeline.storage.store, run.scratch) as path:
            rows = sample_frames(path, facts, run.settings, store_path, run.progress)
            yield from run.finish(rows, {"metadata": metadata}, attachment=store_path)
