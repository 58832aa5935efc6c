"""The one partition set: a dynamic partition per video, its key the video id.

What belongs here: the set, and keeping it complete. The table `videos` is what it follows: a video may have come by ingest, by
`reframer db rebuild`, or by another machine, and is to be found in the UI whether or not any of its stages was ever missing.
"""

from __future__ import annotations

from typing import Final

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.work.videos import video_ids

VIDEOS: Final = dg.DynamicPartitionsDefinition(name="videos")


def register(instance: dg.DagsterInstance, db: Database) -> list[str]:
    """Add a partition for every video that has none yet. Returns those added."""
    known = set(instance.get_dynamic_partitions(VIDEOS.name or ""))
    missing = [video_id for video_id in video_ids(db) if video_id not in known]
    if missing:
        instance.add_dynamic_partitions(VIDEOS.name or "", missing)
    return missing
