"""The deliverable sensor: asks for the runs of mattes and reframed videos that somebody wants and nobody makes.

What belongs here: turning rows into runs, and noticing runs that ended without a word. What does not: making
(`orchestration.deliverables`), asking at once (`asking`). A tick does nothing that cannot be done twice: each wish names its run, and
Dagster makes one for each name.
"""

import dagster as dg

from reframer_pipeline.failures import DagsterFailed, Interrupted, ReframerError, RunDied
from reframer_pipeline.orchestration.assets import VIDEOS
from reframer_pipeline.orchestration.deliverables import job_of
from reframer_pipeline.orchestration.requests.deliverable_runs import run_config, run_key
from reframer_pipeline.orchestration.stage.run_failure import failure_of_run
from reframer_pipeline.orchestration.tags import JOB_OF, PRIORITY_TAG, RUN_KEY_TAG, VIDEO_PRIORITY
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline.results.storage import Storage

EVERY_S = 15
AT_ONCE = 100  # rows in one look


@dg.sensor(
    name="deliverable_sensor",
    jobs=[job_of("matte"), job_of("reframe")],
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    required_resource_keys={"storage"},
    description="Asks for the mattes and reframed videos that somebody wants and no run makes.",
)
def deliverable_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One look at what is wanted."""
    storage: Storage = context.resources.storage
    try:
        due = deliverables.due(storage.db, AT_ONCE)
        wanted = [one for one in due if not _is_seen_to(context.instance, storage, one)]
    except ReframerError as failure:
        context.log.warning(f"[{failure.code}] {failure}")
        return dg.SensorResult(skip_reason=dg.SkipReason(f"[{failure.code}] {failure}"))
    return dg.SensorResult(
        run_requests=[_request(one) for one in wanted],
        skip_reason=None if wanted else dg.SkipReason(f"Nothing to ask for; {len(due)} wait for runs that were asked for."),
        dynamic_partitions_requests=[VIDEOS.build_add_request(sorted({one.video_id for one in wanted}))] if wanted else None,
    )


def _is_seen_to(instance: dg.DagsterInstance, storage: Storage, one: Deliverable) -> bool:
    """Whether its run waits or goes on. The end of one that ended without a word is written down: another one is due later, or none."""
    wanted = (
        dg.RunsFilter(run_ids=[one.run_id]) if one.status == "making" and one.run_id else dg.RunsFilter(tags={RUN_KEY_TAG: run_key(one)})
    )
    runs = instance.get_runs(wanted, limit=1)
    if runs and not runs[0].is_finished:
        return True
    if not runs and one.status == "wanted":
        return False
    failure = _why(instance, runs[0] if runs else None)
    deliverables.end(storage.db, one.id, failure, storage.settings.max_attempts, one.token if one.status == "making" else None)
    return True


def _why(instance: dg.DagsterInstance, run: dg.DagsterRun | None) -> ReframerError:
    if run is None:
        return RunDied("The process of the run ended without a word.", "Nothing to do at first: it is tried again.")
    if run.status == dg.DagsterRunStatus.CANCELED:
        return Interrupted("The run was cancelled.")
    told = failure_of_run(instance, run.run_id) if run.status == dg.DagsterRunStatus.FAILURE else None
    return told or DagsterFailed("The run ended without it.", "Nothing to do at first: it is tried again.")


def _request(one: Deliverable) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key(one),
        job_name=JOB_OF[one.kind],
        partition_key=one.video_id,
        run_config=run_config(one),
        tags={PRIORITY_TAG: VIDEO_PRIORITY},
    )
