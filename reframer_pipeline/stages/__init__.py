"""The stages: what each of the six is, one file each, in the order of the pipeline.

What belongs here: everything that differs between stages, as one value (`stage.Stage`) each, and what a run of them is asked for
(`order`, `keys`). What does not: what a stage computes with (`media`, `vision`, `scenes`), Dagster's assets (`orchestration.assets`).
"""

from __future__ import annotations

from typing import Final

from reframer_pipeline.stages.detections import DETECTIONS
from reframer_pipeline.stages.frames import FRAMES
from reframer_pipeline.stages.masks import MASKS
from reframer_pipeline.stages.metadata import METADATA
from reframer_pipeline.stages.scenes import SCENES
from reframer_pipeline.stages.stage import Stage
from reframer_pipeline.stages.trajectories import TRAJECTORIES

STAGES: Final[tuple[Stage, ...]] = (METADATA, FRAMES, DETECTIONS, MASKS, TRAJECTORIES, SCENES)
BY_NAME: Final[dict[str, Stage]] = {stage.name: stage for stage in STAGES}
NAMES: Final[tuple[str, ...]] = tuple(BY_NAME)
CODE_VERSIONS: Final[dict[str, int]] = {stage.name: stage.code_version for stage in STAGES}


def is_last(name: str) -> bool:
    """Whether no stage reads a stage's results."""
    return not any(name in stage.inputs for stage in STAGES)


def upstream(name: str) -> tuple[str, ...]:
    """Names of all stages that a stage depends on, directly or not, in pipeline order."""
    needed = {above for one in BY_NAME[name].inputs for above in (one, *upstream(one))}
    return tuple(above for above in NAMES if above in needed)
