"""What every stage's asset says of itself to Dagster: partitions, pool, tags, checks, code version, retries."""

from __future__ import annotations

from typing import Any

import dagster as dg

from reframer_pipeline import versions
from reframer_pipeline.orchestration.partitions import VIDEOS
from reframer_pipeline.orchestration.stage.stage_end import MAX_RETRIES
from reframer_pipeline.orchestration.tags import CPU_TAGS, GPU_POOL, GPU_TAGS
from reframer_pipeline.results.validation import CHECK_NAMES


def stage_options(stage: str, *, kinds: set[str], gpu: bool = False) -> dict[str, Any]:
    """Keyword arguments of `dg.asset` for a stage. A stage that wants a GPU waits for a slot of its pool."""
    return {
        "name": stage,
        "group_name": "video",
        "partitions_def": VIDEOS,
        "io_manager_key": "io_manager",
        "required_resource_keys": {"pipeline"},
        "kinds": kinds,
        "owners": ["team:video"],
        "pool": GPU_POOL if gpu else None,
        "op_tags": GPU_TAGS if gpu else CPU_TAGS,
        "code_version": str(versions.CODE_VERSIONS[stage]),
        "output_required": True,
        "check_specs": [dg.AssetCheckSpec(name, asset=stage) for name in CHECK_NAMES[stage]],
        "retry_policy": dg.RetryPolicy(max_retries=MAX_RETRIES, delay=2, backoff=dg.Backoff.EXPONENTIAL),
    }
