"""The one partition set: a dynamic partition per video, its key the video id. Registering keys is `run_videos`' and ingest's."""

from __future__ import annotations

from typing import Final

import dagster as dg

VIDEOS: Final = dg.DynamicPartitionsDefinition(name="videos")


def register(instance: dg.DagsterInstance, video_ids: list[str]) -> None:
    """Add partitions for these videos; those that exist are left alone."""
    known = set(instance.get_dynamic_partitions(VIDEOS.name or ""))
    fresh = [video_id for video_id in dict.fromkeys(video_ids) if video_id not in known]
    if fresh:
        instance.add_dynamic_partitions(VIDEOS.name or "", fresh)
