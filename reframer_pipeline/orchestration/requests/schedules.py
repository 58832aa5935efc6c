"""The scheduled backfill: what is missing or stale is requested, the oldest first, a few at a time.

What belongs here: the schedule and its run requests. What does not: who is due (`planning.backlog`), what is stale (`planner`). Uploads
have a higher priority and the number of waiting backfill runs is bounded, so a change of settings over a thousand videos drains over
many ticks and keeps nobody else waiting. A new video whose run failed is no backlog: it waits in one line with uploads. Runs of the
backfill that still wait when something else is wanted are taken out of the queue. What is computed already and only has to be shown is
shown at once (`showing`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import dagster as dg

from reframer_pipeline.failures import ReframerError
from reframer_pipeline.orchestration.assets import register_partitions
from reframer_pipeline.orchestration.requests.sensors import UNFINISHED, asked_in_vain
from reframer_pipeline.orchestration.stage.runs import video_of
from reframer_pipeline.orchestration.tags import (
    BACKFILL_PRIORITY,
    BACKFILL_TAG,
    FILENAME_TAG,
    PARTITION_TAG,
    PRIORITY_TAG,
    PROCESS_VIDEO,
    VIDEO_PRIORITY,
)
from reframer_pipeline.planning import showing
from reframer_pipeline.planning.backlog import due, waits
from reframer_pipeline.planning.planner import Planner
from reframer_pipeline.planning.survey import VideoPlan
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import jobs
from reframer_pipeline.work.videos import in_words

QUEUED = dg.DagsterRunStatus.QUEUED


@dg.schedule(
    name="backfill",
    job_name=PROCESS_VIDEO,
    cron_schedule="* * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Requests what `reframer plan` lists, the oldest videos first, REFRAMER_BACKFILL_PER_TICK at a time.",
)
def backfill(context: dg.ScheduleEvaluationContext, storage: dg.ResourceParam[Storage]) -> dg.SkipReason | list[dg.RunRequest]:
    """One tick: only the stale assets of each video; nothing that waits, runs, pauses or failed for good with the same recipe."""
    settings, instance = storage.settings, context.instance
    if settings.backfill_per_tick == 0:
        return dg.SkipReason("REFRAMER_BACKFILL_PER_TICK is 0.")
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    queued = {video_id for run in runs if (video_id := video_of(run))}
    limit = settings.backfill_per_tick - sum(BACKFILL_TAG in run.tags for run in runs)
    known = waits(storage.db)
    dropped = asked_in_vain(instance, [video_id for video_id, uploaded in known.new.items() if uploaded])
    known = replace(known, new={video_id: uploaded for video_id, uploaded in known.new.items() if video_id not in dropped})
    planner, unshown, troubles = Planner.of(storage, settings), list[str](), dict[str, str]()
    # requested by the backfill: somebody who runs it again in the UI has his reasons, and gets its tags with it
    mine = [run for run in runs if BACKFILL_TAG in run.tags and run.parent_run_id is None]
    overtaken = {run.tags[PARTITION_TAG]: run for run in mine if run.status == QUEUED}
    plans = _noting(planner.plans(), unshown, troubles, overtaken)
    requests = list(due(plans, known, queued, limit, settings.max_attempts))
    for _ in plans:  # the rest, for what is to be shown or said of them
        pass
    for run in overtaken.values():
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.status != QUEUED:  # it has begun: what it does is not wanted, but right
            continue
        context.log.info(f"Taken out of the queue, because something else is wanted by now: {_name(run)}")
        instance.run_coordinator.cancel_run(run.run_id)
        jobs.forget_queued(storage.db, run.run_id)  # it tried nothing that the next would have to wait for
    for trouble, video_id in troubles.items():
        context.log.warning(f"Cannot be computed, {in_words(storage.db, video_id)} and all with the same settings: {trouble}")
    shown = _show(context, planner, unshown)
    if not requests:
        why = "Nothing is due." if limit > 0 else f"{settings.backfill_per_tick} runs of the backfill wait or run already."
        return dg.SkipReason(why + (f" {shown} videos had their results already, and show them again." if shown else ""))
    register_partitions(instance, storage.db)
    return [
        dg.RunRequest(
            run_key=one.key,
            partition_key=one.video_id,
            asset_selection=[dg.AssetKey(stage) for stage in one.stages],
            tags={PRIORITY_TAG: VIDEO_PRIORITY if one.awaited else BACKFILL_PRIORITY, BACKFILL_TAG: ",".join(one.stages)},
        )
        for one in requests
    ]


def _name(run: dg.DagsterRun) -> str:
    return f"run {run.run_id} of {run.tags.get(FILENAME_TAG, 'video ' + run.tags[PARTITION_TAG])}"


def _noting(
    plans: Iterable[VideoPlan], unshown: list[str], troubles: dict[str, str], overtaken: dict[str, dg.DagsterRun]
) -> Iterator[VideoPlan]:
    """The same plans; noted on the way: the first videos that only have to be shown, and each trouble with the first video of it. Queued
    runs that still do what is wanted are taken out of `overtaken`.
    """
    for plan in plans:
        if plan.video_id in overtaken and overtaken[plan.video_id].tags[BACKFILL_TAG] == ",".join(plan.to_compute):
            del overtaken[plan.video_id]
        if plan.trouble is not None:
            troubles.setdefault(plan.trouble, plan.video_id)
        elif len(unshown) < showing.LIMIT and plan.unshown:
            unshown.append(plan.video_id)
        yield plan


def _show(context: dg.ScheduleEvaluationContext, planner: Planner, video_ids: list[str]) -> int:
    """How many videos show their results again. Trouble with that must not keep others from being requested."""
    try:
        went = showing.show_computed(planner, video_ids)
    except ReframerError as failure:
        context.log.warning(f"[{failure.code}] {failure}")
        return 0
    for reason in went.left:
        context.log.warning(f"Not shown: {reason}")
    return went.videos
