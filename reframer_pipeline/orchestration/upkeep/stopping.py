"""The runs of a `reframer dev` that is being stopped.

What belongs here: which runs are its own, what they are at, asking them to end, and writing the end of those that could not. What does not:
processes and signals (`cli.ending`). A run that waits in the queue stays there: the next `reframer dev` takes it up. A run of the command
line is not ended; it lives in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.orchestration.stage.runs import video_of
from reframer_pipeline.orchestration.tags import FILENAME_TAG, HOME_TAG, PARTITION_TAG
from reframer_pipeline.orchestration.upkeep.dead_runs import GOING_ON, of_command_line
from reframer_pipeline.orchestration.upkeep.launcher import home_id
from reframer_pipeline.orchestration.upkeep.reconcile import reconcile
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import jobs, lease
from reframer_pipeline.work.videos import get_video


def going_on(instance: dg.DagsterInstance, settings: Settings) -> Sequence[dg.DagsterRun]:
    """The runs that this deployment's daemon or UI has started, and that have not ended. Others may share Dagster's database."""
    ours = dg.RunsFilter(statuses=GOING_ON, tags={HOME_TAG: home_id(settings)})
    return [run for run in instance.get_runs(ours) if not of_command_line(run)]


def describe(runs: Sequence[dg.DagsterRun], db: Database) -> list[str]:
    """A line for each run: the file, and the stage it is at."""
    open_jobs = {job["run_id"]: job for job in jobs.open_jobs(db)}
    return [jobs.in_words(open_jobs[run.run_id]) if run.run_id in open_jobs else _without_job(run, db) for run in runs]


def waiting(instance: dg.DagsterInstance) -> int:
    """How many runs wait in the queue."""
    return instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))


def ask_to_end(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> None:
    """Interrupt them. Each clears up, and writes down that it was interrupted."""
    for run in runs:
        with suppress(Exception):  # of whichever kind: what does not end is killed, and its end written by `write_ends`
            instance.run_launcher.terminate(run.run_id)


def write_ends(instance: dg.DagsterInstance, storage: Storage) -> None:
    """After their processes are gone: runs that did not write their own end are cancelled, and hold nothing any more."""
    with ExitStack() as ends:  # each is tried, whatever becomes of the others
        ends.callback(reconcile, instance, storage)
        for run in going_on(instance, storage.settings):
            ends.callback(_write_end, instance, storage, run)


def _write_end(instance: dg.DagsterInstance, storage: Storage, run: dg.DagsterRun) -> None:
    instance.report_run_canceled(run, message="`reframer dev` was stopped.")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    video_id = video_of(run)
    if video_id is not None:
        lease.take_away(storage.db, video_id, owner=run.run_id)


def _without_job(run: dg.DagsterRun, db: Database) -> str:
    """One that has not come to its first stage, or that is not a video's."""
    if FILENAME_TAG in run.tags:
        return f"{run.tags[FILENAME_TAG]} ({run.job_name})"
    if PARTITION_TAG in run.tags:
        with suppress(ReframerError):
            return f"{get_video(db, run.tags[PARTITION_TAG])['filename']} ({run.job_name})"
    return run.job_name
