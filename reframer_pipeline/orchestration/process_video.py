"""Jobs: the whole chain for one video. What belongs here: selections and their tags, no logic."""

from __future__ import annotations

import functools
from typing import Final

import dagster as dg

from reframer_pipeline.orchestration.partitions import VIDEOS

PROCESS_VIDEO: Final = "process_video"


@functools.cache  # Dagster demands that all who name the job mean the same object
def process_video() -> dg.UnresolvedAssetJobDefinition:
    """All six stages of one video; callers may select fewer assets."""
    return dg.define_asset_job(
        PROCESS_VIDEO,
        selection=dg.AssetSelection.groups("video"),
        partitions_def=VIDEOS,
        description="metadata → frames → detections → masks → trajectories → scenes, for one video.",
    )
