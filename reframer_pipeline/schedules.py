"""The scheduled backfill: what is missing or stale is requested, the oldest first, a few at a time.

What belongs here: the schedule and its run requests. What does not: who is due (`storage.backlog`), what is stale (`planner`). Uploads
have a higher priority and the number of waiting backfill runs is bounded, so a change of settings over a thousand videos drains over
many ticks and keeps nobody else waiting.
"""

import dagster as dg

from reframer_pipeline.jobs import PROCESS_VIDEO
from reframer_pipeline.partitions import register
from reframer_pipeline.planner import Planner, computable
from reframer_pipeline.resources import Pipeline
from reframer_pipeline.storage.backlog import due, waits
from reframer_pipeline.tags import BACKFILL_PRIORITY, BACKFILL_TAG, PRIORITY_TAG

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.schedule(
    name="backfill",
    job_name=PROCESS_VIDEO,
    cron_schedule="* * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Requests what `reframer plan` lists, the oldest videos first, REFRAMER_BACKFILL_PER_TICK at a time.",
)
def backfill(context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SkipReason | list[dg.RunRequest]:
    """One tick: only the stale assets of each video; nothing that waits, runs, pauses or failed for good with the same recipe."""
    settings, instance = pipeline.settings, context.instance
    runs = instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT))
    queued = {video_id for run in runs if (video_id := run.tags.get("dagster/partition"))}
    limit = settings.backfill_per_tick - sum(BACKFILL_TAG in run.tags for run in runs)
    planner = Planner.of(pipeline.storage, settings)
    plans = (plan for plan in planner.plans() if plan.to_compute and computable(plan))
    requests = list(due(plans, waits(pipeline.storage.db), queued, limit, settings.max_attempts))
    if not requests:
        return dg.SkipReason("Nothing is due." if limit > 0 else f"{settings.backfill_per_tick} runs of the backfill wait or run already.")
    register(instance, pipeline.storage.db)
    return [
        dg.RunRequest(
            run_key=one.key,
            partition_key=one.video_id,
            asset_selection=[dg.AssetKey(stage) for stage in one.stages],
            tags={PRIORITY_TAG: BACKFILL_PRIORITY, BACKFILL_TAG: ",".join(one.stages)},
        )
        for one in requests
    ]
