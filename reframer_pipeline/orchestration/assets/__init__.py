"""The six stages as Dagster assets, one file each, in the order of the pipeline. No logic: load, call the core, hand over.

These files do not postpone annotations (`from __future__`): Dagster reads the context's as a type, not as text."""

from __future__ import annotations

from typing import Final

from reframer_pipeline.orchestration.assets.detections import detections
from reframer_pipeline.orchestration.assets.frames import frames
from reframer_pipeline.orchestration.assets.masks import masks
from reframer_pipeline.orchestration.assets.metadata import metadata
from reframer_pipeline.orchestration.assets.scenes import scenes
from reframer_pipeline.orchestration.assets.trajectories import trajectories

ALL_ASSETS: Final = [metadata, frames, detections, masks, trajectories, scenes]
