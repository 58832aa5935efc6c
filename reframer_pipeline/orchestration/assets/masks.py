"""The masks asset: SAM2, prompted with the detector's boxes."""

import dagster as dg

from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.orchestration.assets.options import stage_asset
from reframer_pipeline.orchestration.stage.stage_run import StageEvents, stage_run
from reframer_pipeline.vision import models
from reframer_pipeline.vision.boxes import by_frame, count_frames
from reframer_pipeline.vision.segmenter import segment_frames


@stage_asset("masks", kinds={"sam2", "parquet", "postgres"}, gpu=True)
def masks(context: dg.AssetExecutionContext, frames: StageInput, detections: StageInput) -> StageEvents:
    """The pixels of every detection, run-length encoded (SAM2: one image encoding a frame, all its boxes in one decoder call)."""
    with stage_run(context, context.resources.pipeline, "masks") as run, FrameStore(frames.open_attachment()) as store:
        found = by_frame(detections.batches())
        segmenter = models.segmenter(run.settings)
        rows = segment_frames(found, store.read, segmenter, run.result_id, run.progress, count_frames(detections))
        yield from run.finish(rows)
