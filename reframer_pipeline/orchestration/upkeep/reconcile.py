"""Status that is true: what the database says of runs is held against what became of them.

What belongs here: queued runs get their row, ended ones their end. What does not: starting anything (`schedules`), finding out runs whose
process died (Dagster's run monitoring, by the `launcher`; `dead_runs` for those of the command line), forgetting what was deleted
(`deleted`). Looked at every half minute by a
sensor, and when `reframer dev` starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from reframer_pipeline import failures
from reframer_pipeline.orchestration.stage.run_failure import failure_of_run
from reframer_pipeline.orchestration.stage.runs import video_of
from reframer_pipeline.orchestration.upkeep.dead_runs import end_dead_runs
from reframer_pipeline.orchestration.upkeep.deleted import forget_deleted
from reframer_pipeline.orchestration.upkeep.life import DEAD_AFTER_S
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import jobs, lease, status

RUNS_AT_ONCE: Final = 500
QUEUED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]


@dataclass
class Reconciled:
    """What was put right: numbers of runs."""

    queued: int = 0
    ended: int = 0
    died: int = 0
    quarantined: int = 0

    def __str__(self) -> str:
        return f"{self.queued} queued, {self.ended} ended, {self.died} died, {self.quarantined} quarantined"


def reconcile(instance: dg.DagsterInstance, storage: Storage) -> Reconciled:
    """Bring the rows of runs up to date with the runs."""
    db, done = storage.db, Reconciled()
    end_dead_runs(instance, db)
    forget_deleted(instance, db)
    open_jobs = jobs.open_jobs(db)
    queued = {run.run_id: video_of(run) for run in instance.get_runs(dg.RunsFilter(statuses=QUEUED))}
    waiting = {run_id: video_id for run_id, video_id in queued.items() if video_id is not None}
    jobs.queue(db, waiting)
    done.queued += len(waiting)
    open_jobs = [job for job in open_jobs if job["run_id"] not in queued]
    for start in range(0, len(open_jobs), RUNS_AT_ONCE):
        some = open_jobs[start : start + RUNS_AT_ONCE]
        runs = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=[job["run_id"] for job in some]))}
        for job in some:
            run = runs.get(job["run_id"])
            if (run is None and (job["leased"] or job["quiet"] < DEAD_AFTER_S)) or (run is not None and not run.is_finished):
                continue
            _end(instance, storage, job, run, done)
    for video_id in status.unattended(db):  # Dagster knew of a death before the lease had run out
        if lease.revoke(db, video_id):
            status.settle(db, video_id)
    return done


def _end(instance: dg.DagsterInstance, storage: Storage, job: dict[str, Any], run: dg.DagsterRun | None, done: Reconciled) -> None:
    """Write how a run ended that did not write so itself: by what its events tell. One of which they tell nothing has died."""
    db, video_id, run_id = storage.db, job["video_id"], job["run_id"]
    failed = run is not None and run.status == dg.DagsterRunStatus.FAILURE
    told = failure_of_run(instance, run_id) if failed else None
    if run is not None and run.status == dg.DagsterRunStatus.SUCCESS:
        jobs.complete(db, video_id, run_id, ())
        done.ended += 1
    elif run is not None and run.status == dg.DagsterRunStatus.CANCELED:
        jobs.fail(db, video_id, run_id, failures.Interrupted("The run was cancelled."))
        done.ended += 1
    elif told is not None and not isinstance(told, failures.RunDied):  # the database was away when it wanted to write it down
        jobs.fail(db, video_id, run_id, told)
        done.ended += 1
    elif job["status"] == "pending":
        jobs.fail(db, video_id, run_id, failures.Interrupted("The run ended before its first stage."))
        done.ended += 1
    else:
        _died(storage, job, done)
    if lease.revoke(db, video_id):  # else another run works on it, and says itself how it stands
        status.settle(db, video_id)
    if _is_quarantined(storage, video_id):
        status.fail(db, video_id, _quarantine(storage))


def _died(storage: Storage, job: dict[str, Any], done: Reconciled) -> None:
    db, video_id, run_id = storage.db, job["video_id"], job["run_id"]
    done.died += 1
    if jobs.deaths(db, video_id) + 1 >= storage.settings.quarantine_after:
        jobs.fail(db, video_id, run_id, _quarantine(storage))
        done.quarantined += 1
    else:
        stage = job["stage"] or "its first stage"
        jobs.fail(db, video_id, run_id, failures.RunDied(f"The process of the run ended without a word, at {stage}."))


def _quarantine(storage: Storage) -> failures.Quarantined:
    return failures.Quarantined(f"{storage.settings.quarantine_after} runs of this video died with their process, one after the other.")


def _is_quarantined(storage: Storage, video_id: str) -> bool:
    row = jobs.latest(storage.db, video_id)
    return row is not None and row["failure_code"] == failures.Quarantined.code


@dg.sensor(
    name="status",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the status of videos and jobs true: queued, ended, cancelled and dead runs.",
)
def status_sensor(context: dg.SensorEvaluationContext, storage: dg.ResourceParam[Storage]) -> dg.SkipReason:
    """One look; nothing is ever requested."""
    return dg.SkipReason(str(reconcile(context.instance, storage)))
