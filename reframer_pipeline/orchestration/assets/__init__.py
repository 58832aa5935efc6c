"""The six stages as Dagster assets, one file each, in the order of the pipeline. No logic: load, call the core, hand over.

These files do not postpone annotations (`from __future__`): Dagster reads the context's as a type, not as text."""

from __future__ import annotations

from typing import Final

import dagster as dg

from reframer_pipeline.orchestration.assets.detections import detections
from reframer_pipeline.orchestration.assets.frames import frames
from reframer_pipeline.orchestration.assets.masks import masks
from reframer_pipeline.orchestration.assets.metadata import metadata
from reframer_pipeline.orchestration.assets.scenes import scenes
from reframer_pipeline.orchestration.assets.trajectories import trajectories

_RECIPES: Final = (metadata, frames, detections, masks, trajectories, scenes)


def all_assets(gpu_pool: bool) -> list[dg.AssetsDefinition]:
    """The six assets; those that want a GPU wait for a slot of its pool, if there is one."""
    return [make(gpu_pool) for make in _RECIPES]
