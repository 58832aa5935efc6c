"""The scenes asset: shots, and what happens in each of them."""

import dagster as dg

from reframer_pipeline.handover import StageInput
from reframer_pipeline.orchestration.assets.options import stage_asset
from reframer_pipeline.orchestration.stage.describers import describer_for
from reframer_pipeline.orchestration.stage.stage_run import StageEvents, stage_run
from reframer_pipeline.scenes.analysis import analyse_scenes


@stage_asset("scenes", kinds={"scenedetect", "gemini", "parquet", "postgres"})
def scenes(
    context: dg.AssetExecutionContext,
    metadata: StageInput,
    frames: StageInput,
    detections: StageInput,
    masks: StageInput,
    trajectories: StageInput,
) -> StageEvents:
    """Shots to the exact source frame; per shot what happens, how important it is, and what could be replaced and how hard that is."""
    with stage_run(context, context.resources.pipeline, "scenes") as run:
        facts = next(metadata.batches()).to_pylist()[0]
        describer = describer_for(run, facts, frames, masks, trajectories)
        rows = analyse_scenes(facts, frames, detections, masks, trajectories, describer, run.settings, run.progress)
        yield from run.finish(rows)
