"""Validation: what a result must keep before it is written.

What belongs here: choosing a stage's validator; the rules are in the modules beside. What does not: repairing. A result that breaks a
rule is refused as a whole (`InvalidResult`), because rows that contradict one another are worse than none.
Memory: eight bytes for each detection id, and the sampled frames' numbers and times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reframer_pipeline.handover import StageInput
from reframer_pipeline.results.validation.checks import CheckResult, Validator
from reframer_pipeline.results.validation.detections import DetectionsValidator, MasksValidator, frame_size
from reframer_pipeline.results.validation.frames import FramesValidator, MetadataValidator
from reframer_pipeline.results.validation.tracks import ScenesValidator, TrajectoriesValidator
from reframer_pipeline.versions import StageKey

__all__ = ["CHECK_NAMES", "CheckResult", "Validator", "validator_for"]

VALIDATORS: Final[dict[str, type[Validator]]] = {
    "metadata": MetadataValidator,
    "frames": FramesValidator,
    "detections": DetectionsValidator,
    "masks": MasksValidator,
    "trajectories": TrajectoriesValidator,
    "scenes": ScenesValidator,
}
CHECK_NAMES: Final = {stage: validator.names for stage, validator in VALIDATORS.items()}


def validator_for(key: StageKey, upstream: Mapping[str, StageInput]) -> Validator:
    """The validator of a stage's result.

    Args:
        key: The result's key: limits come from the settings it was made with, not from today's.
        upstream: Every result the key depends on, directly or not.
    """
    chosen = key.components["settings"]
    match key.stage:
        case "metadata":
            return MetadataValidator(key.components["video"])
        case "frames":
            return FramesValidator(chosen["vid_stride"])
        case "detections":
            return DetectionsValidator(frame_size(upstream["metadata"]), upstream["frames"], chosen["conf"], chosen["detector_floor"])
        case "masks":
            return MasksValidator(frame_size(upstream["metadata"]), upstream["detections"])
        case "trajectories":
            return TrajectoriesValidator(upstream["detections"])
        case "scenes":
            return ScenesValidator(upstream["frames"].row_count, upstream["trajectories"])
    raise ValueError(f"no stage {key.stage}")
