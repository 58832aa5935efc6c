"""Status that is true: what the database says of runs is held against what became of them.

What belongs here: queued runs get their row, ended ones their end, and runs whose process died are found out, in Dagster and in the
database, and freed of their pool slots. What does not: starting anything (`schedules`), asking for a process (`run_workers`). Looked at
every half minute by a sensor, and when `reframer dev` starts.

A run counts as dead when its worker is gone with the code server that started it and nobody beats for its lease; where no server can
tell, when it gave no sign of life for `DEAD_AFTER_S`, or, if it is no run of a video's and gives none, when it goes on for `NO_SIGN_S`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from reframer_pipeline import failures
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.orchestration.stage.resources import Pipeline
from reframer_pipeline.orchestration.stage.runs import token_of
from reframer_pipeline.orchestration.tags import LEASE_TAG
from reframer_pipeline.orchestration.upkeep.dead_runs import end_dead_runs
from reframer_pipeline.orchestration.upkeep.run_workers import Worker, Workers
from reframer_pipeline.work import jobs, lease, status

DEAD_AFTER_S: Final = lease.TTL_S + 30.0
NO_SIGN_S: Final = 3600.0
RUNS_AT_ONCE: Final = 500
QUEUED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
STARTED = dg.DagsterRunStatus.STARTED
GOING_ON = [dg.DagsterRunStatus.STARTING, STARTED]  # a cancelled one that does not end is ended by Dagster's run monitoring


@dataclass
class Reconciled:
    """What was put right: numbers of runs."""

    queued: int = 0
    ended: int = 0
    died: int = 0
    quarantined: int = 0

    def __str__(self) -> str:
        return f"{self.queued} queued, {self.ended} ended, {self.died} died, {self.quarantined} quarantined"


def reconcile(instance: dg.DagsterInstance, pipeline: Pipeline) -> Reconciled:
    """Bring the rows of runs up to date with the runs."""
    db, done = pipeline.storage.db, Reconciled()
    end_dead_runs(instance, db)
    open_jobs = jobs.open_jobs(db)
    done.died += _end_runs_without_worker(instance, db, {job["run_id"]: job for job in open_jobs})
    queued = {run.run_id: run.tags.get("dagster/partition") for run in instance.get_runs(dg.RunsFilter(statuses=QUEUED))}
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
            _end(pipeline, job, run, done)
    for video_id in status.unattended(db):  # Dagster knew of a death before the lease had run out
        if lease.revoke(db, video_id):
            status.settle(db, video_id)
    return done


def _end_runs_without_worker(instance: dg.DagsterInstance, db: Database, open_jobs: dict[str, dict[str, Any]]) -> int:
    """Report runs of any job failed whose process is gone, and free their slots of the pools. Returns how many have no job here."""
    workers, without_job = Workers(), 0
    for record in instance.get_run_records(dg.RunsFilter(statuses=GOING_ON)):
        run, job = record.dagster_run, open_jobs.get(record.dagster_run.run_id)
        if LEASE_TAG in run.tags and run.parent_run_id is None:  # of the command line: `dead_runs`
            continue
        worker, age = workers.of(run), time.time() - (record.start_time or record.create_timestamp.timestamp())
        quiet = min(age, job["quiet"]) if job else age
        silent = run.status == STARTED and quiet > (DEAD_AFTER_S if "dagster/partition" in run.tags else NO_SIGN_S)
        if worker is Worker.ALIVE or (worker is Worker.UNKNOWN and not silent) or _beats(db, run):
            continue
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:  # it was just about to
            continue
        instance.report_run_failed(now, message="The process of this run is gone.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        without_job += job is None
    return without_job


def _beats(db: Database, run: dg.DagsterRun) -> bool:
    video_id = run.tags.get("dagster/partition")
    return video_id is not None and lease.held_by(db, video_id, token_of(run.run_id))


def _end(pipeline: Pipeline, job: dict[str, Any], run: dg.DagsterRun | None, done: Reconciled) -> None:
    """Write how a run ended that did not say so itself."""
    db, video_id, run_id = pipeline.storage.db, job["video_id"], job["run_id"]
    if run is not None and run.status == dg.DagsterRunStatus.SUCCESS:
        jobs.complete(db, video_id, run_id, ())
        done.ended += 1
    elif run is not None and run.status == dg.DagsterRunStatus.CANCELED:
        jobs.fail(db, video_id, run_id, failures.Interrupted("The run was cancelled."))
        done.ended += 1
    elif job["status"] == "pending":
        jobs.fail(db, video_id, run_id, failures.Interrupted("The run ended before its first stage."))
        done.ended += 1
    else:
        _died(pipeline, job, done)
    if lease.revoke(db, video_id):  # else another run works on it, and says itself how it stands
        status.settle(db, video_id)
    if _is_quarantined(pipeline, video_id):
        status.fail(db, video_id, _quarantine(pipeline))


def _died(pipeline: Pipeline, job: dict[str, Any], done: Reconciled) -> None:
    db, video_id, run_id = pipeline.storage.db, job["video_id"], job["run_id"]
    done.died += 1
    if jobs.deaths(db, video_id) + 1 >= pipeline.settings.quarantine_after:
        jobs.fail(db, video_id, run_id, _quarantine(pipeline))
        done.quarantined += 1
    else:
        stage = job["stage"] or "its first stage"
        jobs.fail(db, video_id, run_id, failures.RunDied(f"The process of the run ended without a word, at {stage}."))


def _quarantine(pipeline: Pipeline) -> failures.Quarantined:
    return failures.Quarantined(f"{pipeline.settings.quarantine_after} runs of this video died with their process, one after the other.")


def _is_quarantined(pipeline: Pipeline, video_id: str) -> bool:
    row = jobs.latest(pipeline.storage.db, video_id)
    return row is not None and row["failure_code"] == failures.Quarantined.code


@dg.sensor(
    name="status",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the status of videos and jobs true: queued, ended, cancelled and dead runs.",
)
def status_sensor(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SkipReason:
    """One look; nothing is ever requested."""
    return dg.SkipReason(str(reconcile(context.instance, pipeline)))
