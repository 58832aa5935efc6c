"""Old runs: Dagster keeps each run's events for ever, and its database would only grow.

What belongs here: deleting finished runs and their logs from Dagster's storage. What does not: results (`retention.sweep`), runs whose
process died (`dead_runs`). Which partitions are materialized is worked out before, and Dagster keeps that: partitions stay green.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from reframer_pipeline.orchestration.assets import VIDEOS
from reframer_pipeline.orchestration.dagster_internals import remember_partitions
from reframer_pipeline.orchestration.tags import ASSET_OF
from reframer_pipeline.stages import NAMES

FINISHED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
BATCH: Final = 100
AT_MOST: Final = 10_000  # a tick; the next one goes on


def delete_old_runs(instance: dg.DagsterInstance, days: float) -> int:
    """Delete the finished runs that nothing happened to for so many days, with their events. Returns how many."""
    old = dg.RunsFilter(statuses=FINISHED, updated_before=datetime.now(UTC) - timedelta(days=days))
    deleted = 0
    while deleted < AT_MOST and (run_ids := instance.get_run_ids(old, limit=BATCH)):
        if not deleted:
            for stage in (*NAMES, *ASSET_OF.values()):  # what is materialized is worked out from the events, and remembered
                remember_partitions(instance, stage, VIDEOS)
        for run_id in run_ids:
            instance.delete_run(run_id)
        deleted += len(run_ids)
    return deleted
