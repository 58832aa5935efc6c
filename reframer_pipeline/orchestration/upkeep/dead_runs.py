"""Runs whose process died: Dagster lists them as going on, and their slots of the GPU pool would be taken for ever.

What belongs here: finding and ending them in Dagster's storage. A run started by `run_videos` carries the token of its video's
lease; a token that no lease holds any more, or one that ran out a while ago, shows that the process is gone, since a living one beats
every twenty seconds. Runs started by the UI carry none, those that it starts again carry that of another run: both are left to
Dagster's run monitoring.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.orchestration.stage.runs import video_of
from reframer_pipeline.orchestration.tags import LEASE_TAG
from reframer_pipeline.work import lease

EVERY_S = 10.0
GRACE_S = 30.0  # after the lease's end: a process whose database was away for a moment beats again before that
GOING_ON = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def of_command_line(run: dg.DagsterRun) -> bool:
    """Whether `run_videos` started it. One that the UI starts again has the token of another run, and a parent."""
    return LEASE_TAG in run.tags and run.parent_run_id is None


def end_dead_runs(instance: dg.DagsterInstance, db: Database, own_token: str | None = None) -> list[str]:
    """Fail every run whose lease is gone and free its slots; never the asker's own, which lives. It cannot commit any more, should it only
    have been asleep. Returns their ids.
    """
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=GOING_ON)):
        token, video_id = run.tags.get(LEASE_TAG), video_of(run)
        if token is None or video_id is None or token == own_token or not of_command_line(run):
            continue
        if lease.held_by(db, video_id, token, GRACE_S) or not lease.revoke(db, video_id, token):
            continue
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:  # it was just about to
            continue
        instance.report_run_failed(run, message="The process of this run is gone: nobody holds its video's lease any more.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(run.run_id)
    return ended


@contextmanager
def ending_dead_runs(instance: dg.DagsterInstance, db: Database, own_token: str) -> Iterator[None]:
    """Look for dead runs now and every few seconds while the block runs, so that it does not wait for their slots."""
    over = threading.Event()

    def watch() -> None:
        while True:
            with suppress(Exception):  # a courtesy to others: trouble shows where the work happens
                end_dead_runs(instance, db, own_token)
            if over.wait(EVERY_S):
                return

    thread = threading.Thread(target=watch, name="dead-runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)
