"""The detections asset: YOLOv8 on every sampled frame."""

import dagster as dg

from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.sampled import timed_groups
from reframer_pipeline.orchestration.assets.options import stage_asset
from reframer_pipeline.orchestration.stage.stage_run import StageEvents, stage_run
from reframer_pipeline.vision import models
from reframer_pipeline.vision.detector import detect_frames


@stage_asset("detections", kinds={"yolo", "parquet", "postgres"}, gpu=True)
def detections(context: dg.AssetExecutionContext, frames: StageInput) -> StageEvents:
    """Where every person and product is: boxes with class, label and confidence on each sampled frame (YOLOv8)."""
    with stage_run(context, context.resources.pipeline, "detections") as run:
        groups, total = timed_groups(frames, run.settings.batch)
        rows = detect_frames(groups, models.detector(run.settings), run.settings, run.result_id, run.progress, total)
        yield from run.finish(rows)
