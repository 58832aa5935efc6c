"""The stages as Dagster assets, in the order of the pipeline.

No logic: what a stage is stands in `stages`, how it runs in `stage.stage_run`.

This file does not postpone annotations (`from __future__`): Dagster reads the context's as a type, not as text.
"""

import dagster as dg

from reframer_pipeline.handover import StageInput
from reframer_pipeline.orchestration.partitions import VIDEOS
from reframer_pipeline.orchestration.stage.stage_run import StageEvents, run_stage
from reframer_pipeline.orchestration.tags import CPU_TAGS, GPU_POOL, GPU_TAGS
from reframer_pipeline.stages import STAGES
from reframer_pipeline.stages.stage import Stage


def asset_of(stage: Stage, gpu_pool: bool) -> dg.AssetsDefinition:
    """A stage's asset. One that wants a GPU waits for a slot of its pool, if there is one."""

    @dg.asset(
        name=stage.name,
        description=stage.says,
        group_name="video",
        partitions_def=VIDEOS,
        ins={name: dg.AssetIn(name, dagster_type=dg.Any) for name in stage.inputs},
        io_manager_key="io_manager",
        required_resource_keys={"pipeline"},
        kinds=set(stage.kinds),
        owners=["team:video"],
        pool=GPU_POOL if stage.weights and gpu_pool else None,
        op_tags=GPU_TAGS if stage.weights else CPU_TAGS,
        code_version=str(stage.code_version),
        output_required=True,
        check_specs=[dg.AssetCheckSpec(name, asset=stage.name) for name in stage.validator.names],
    )
    def compute(context: dg.AssetExecutionContext, **inputs: StageInput) -> StageEvents:
        yield from run_stage(context, context.resources.pipeline, stage, inputs)

    return compute


def all_assets(gpu_pool: bool) -> list[dg.AssetsDefinition]:
    """One asset a stage, in order."""
    return [asset_of(stage, gpu_pool) for stage in STAGES]
