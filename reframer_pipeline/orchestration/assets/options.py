"""What every stage's asset says of itself to Dagster: inputs, partitions, pool, tags, checks, code version, retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from reframer_pipeline import versions
from reframer_pipeline.orchestration.partitions import VIDEOS
from reframer_pipeline.orchestration.stage.stage_end import MAX_RETRIES
from reframer_pipeline.orchestration.tags import CPU_TAGS, GPU_POOL, GPU_TAGS
from reframer_pipeline.results.validation import CHECK_NAMES

Recipe = Callable[[bool], dg.AssetsDefinition]


def stage_asset(stage: str, *, kinds: set[str], gpu: bool = False) -> Callable[[Callable[..., Any]], Recipe]:
    """Decorator: the recipe of a stage's asset. Whoever makes the asset says whether there is a pool of GPU slots to wait for.

    Args:
        stage: Its name.
        kinds: Shown in the UI.
        gpu: Whether it wants a GPU.
    """

    def decorate(body: Callable[..., Any]) -> Recipe:
        def make(gpu_pool: bool) -> dg.AssetsDefinition:
            return dg.asset(
                name=stage,
                group_name="video",
                ins={name: dg.AssetIn(name, dagster_type=dg.Any) for name in versions.INPUTS[stage]},
                partitions_def=VIDEOS,
                io_manager_key="io_manager",
                required_resource_keys={"pipeline"},
                kinds=kinds,
                owners=["team:video"],
                pool=GPU_POOL if gpu and gpu_pool else None,
                op_tags=GPU_TAGS if gpu else CPU_TAGS,
                code_version=str(versions.CODE_VERSIONS[stage]),
                output_required=True,
                check_specs=[dg.AssetCheckSpec(name, asset=stage) for name in CHECK_NAMES[stage]],
                retry_policy=dg.RetryPolicy(max_retries=MAX_RETRIES, delay=2, backoff=dg.Backoff.EXPONENTIAL),
            )(body)

        return make

    return decorate
