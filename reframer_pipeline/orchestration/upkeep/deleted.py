"""Deleted videos in Dagster: their runs go with their logs, which hold names and pictures, and then their partitions.

What belongs here: Dagster's part of a deletion. What does not: rows and objects (`retention.deletion`). A run that is at the video ends by
itself within seconds; until then it is left alone.
"""

from __future__ import annotations

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.orchestration.assets import register_partitions
from reframer_pipeline.orchestration.tags import PARTITION_TAG, PARTITIONS

AT_ONCE = 20


def forget_deleted(instance: dg.DagsterInstance, db: Database) -> int:
    """Let Dagster forget videos that were deleted, a few at a time. Returns how many it has forgotten."""
    forgotten = 0
    for row in db.fetch("SELECT video_id::text AS id, deleted_at FROM deletions WHERE in_dagster ORDER BY deleted_at LIMIT %s", (AT_ONCE,)):
        left = False
        for run in instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: row["id"]}, created_before=row["deleted_at"])):
            if run.is_finished:
                instance.delete_run(run.run_id)
                continue
            left = True
            if run.status == dg.DagsterRunStatus.QUEUED:
                instance.run_coordinator.cancel_run(run.run_id)
        if left:
            continue
        instance.delete_dynamic_partition(PARTITIONS, row["id"])
        db.execute("UPDATE deletions SET in_dagster = false WHERE video_id = %s AND deleted_at = %s", (row["id"], row["deleted_at"]))
        forgotten += 1
    if forgotten:
        register_partitions(instance, db)  # one may have come again meanwhile
    return forgotten
