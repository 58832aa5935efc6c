"""The stages as Dagster assets, in the order of the pipeline; their one partition set, a dynamic partition per video; the job of all six.

What belongs here: the definitions, and keeping the partition set complete. What does not: what a stage is (`stages`), how it runs
(`stage.stage_run`). The partition set follows the table `videos`: a video may have come by ingest, by `reframer db rebuild`, or by another
machine, and is to be found in the UI whether or not a stage was ever missing.

This file does not postpone annotations (`from __future__`): Dagster reads the context's as a type, not as text.
"""

import functools
from typing import Final

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.handover import StageInput
from reframer_pipeline.orchestration.stage.stage_run import StageEvents, run_stage
from reframer_pipeline.orchestration.tags import CPU_TAGS, GPU_POOL, GPU_TAGS, PARTITIONS, PROCESS_VIDEO
from reframer_pipeline.stages import NAMES, STAGES
from reframer_pipeline.stages.stage import Stage
from reframer_pipeline.work.videos import video_ids

GROUP: Final = "video"  # one alone: with two, the UI folds both up
VIDEOS: Final = dg.DynamicPartitionsDefinition(name=PARTITIONS)


def asset_of(stage: Stage, gpu_pool: bool) -> dg.AssetsDefinition:
    """A stage's asset. One that wants a GPU waits for a slot of its pool, if there is one."""

    @dg.asset(
        name=stage.name,
        description=stage.says,
        group_name=GROUP,
        partitions_def=VIDEOS,
        ins={name: dg.AssetIn(name, dagster_type=dg.Any) for name in stage.inputs},
        io_manager_key="io_manager",
        required_resource_keys={"storage"},
        kinds=set(stage.kinds),
        owners=["team:video"],
        pool=GPU_POOL if stage.weights and gpu_pool else None,
        op_tags=GPU_TAGS if stage.weights else CPU_TAGS,
        code_version=str(stage.code_version),
        output_required=True,
        check_specs=[dg.AssetCheckSpec(name, asset=stage.name) for name in stage.validator.names],
    )
    def compute(context: dg.AssetExecutionContext, **inputs: StageInput) -> StageEvents:
        yield from run_stage(context, context.resources.storage, stage, inputs)

    return compute


def all_assets(gpu_pool: bool) -> list[dg.AssetsDefinition]:
    """One asset a stage, in order."""
    return [asset_of(stage, gpu_pool) for stage in STAGES]


@functools.cache  # Dagster demands that all who name the job mean the same object
def process_video() -> "dg.UnresolvedAssetJobDefinition":
    """All six stages of one video; callers may select fewer assets."""
    return dg.define_asset_job(
        PROCESS_VIDEO,
        selection=dg.AssetSelection.assets(*NAMES),
        partitions_def=VIDEOS,
        description="metadata → frames → detections → masks → trajectories → scenes, for one video.",
    )


def register_partitions(instance: dg.DagsterInstance, db: Database) -> list[str]:
    """Add a partition for every video that has none yet. Returns those added."""
    known = set(instance.get_dynamic_partitions(PARTITIONS))
    missing = [video_id for video_id in video_ids(db) if video_id not in known]
    if missing:
        instance.add_dynamic_partitions(PARTITIONS, missing)
    return missing
