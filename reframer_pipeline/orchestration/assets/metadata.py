"""The metadata asset: what ffprobe measures of the upload."""

import dagster as dg

from reframer_pipeline.media.probe import probe
from reframer_pipeline.orchestration.assets.options import stage_asset
from reframer_pipeline.orchestration.stage.stage_run import StageEvents, stage_run


@stage_asset("metadata", kinds={"ffmpeg", "parquet", "postgres"})
def metadata(context: dg.AssetExecutionContext) -> StageEvents:
    """Container, codec, displayed size, rotation, exact frame rate, duration and counted frames of the upload (ffprobe)."""
    with stage_run(context, context.resources.pipeline, "metadata") as run:
        with run.upload() as path:
            facts = probe(path, run.settings, sha256=run.sha256)
        yield from run.finish(iter([facts.to_batch()]))
