"""Whether the process of a run lives, for Dagster's run monitoring.

What belongs here: the judgement that all launchers share. What does not: launching (`launcher`, `fleet.launcher`).

A run counts as dead when its worker is gone and nobody beats for the lease of a run that one process computes; where nobody can tell, when
it gave no sign of life for `DEAD_AFTER_S`, or, if it is no run of a video's and gives none, when it goes on for `NO_SIGN_S`.
"""

from __future__ import annotations

import time
from typing import Final

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.orchestration.dagster_internals import CheckRunHealthResult, Worker, WorkerStatus
from reframer_pipeline.orchestration.own_database import OwnDatabase
from reframer_pipeline.orchestration.stage.runs import token_of, video_of
from reframer_pipeline.orchestration.upkeep.dead_runs import of_command_line
from reframer_pipeline.work import jobs, lease, workers

DEAD_AFTER_S: Final = lease.TTL_S + 30.0
NO_SIGN_S: Final = 3600.0


class Judge(OwnDatabase):
    """What a run launcher answers Dagster's run monitoring. To be inherited before Dagster's class."""

    _instance: dg.DagsterInstance

    def worker(self, run: dg.DagsterRun) -> Worker:
        """What is known of the process of a run."""
        raise NotImplementedError

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Asked by Dagster's run monitoring."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """For each run that goes on, every half minute. Who cannot be judged, because the database is away, is left alone."""
        if self._lives(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The process of this run is gone.")

    def _lives(self, run: dg.DagsterRun) -> bool:
        if of_command_line(run):  # `dead_runs` sees to it
            return True
        video_id, worker = video_of(run), self.worker(run)
        if worker is Worker.ALIVE or (video_id is not None and lease.held_by(self._db, video_id, token_of(run.run_id))):
            return True
        return worker is Worker.UNKNOWN and self._quiet_s(run) <= (NO_SIGN_S if video_id is None else DEAD_AFTER_S)

    def _quiet_s(self, run: dg.DagsterRun) -> float:
        """Seconds since its last sign of life, which is its beginning if it gives none."""
        record = self._instance.get_run_record_by_id(run.run_id)
        age = time.time() - (record.start_time or record.create_timestamp.timestamp()) if record else 0.0
        return min([age, *(job["quiet"] for job in jobs.open_jobs(self._db) if job["run_id"] == run.run_id)])


def worker_in_fleet(db: Database, run_id: str) -> Worker:
    """What the rows of the workers say of the process of a run."""
    row = workers.taker(db, run_id)
    if row is None:
        return Worker.UNKNOWN
    if row["beats_for_it"] and row["quiet"] < workers.SILENT_S:
        return Worker.ALIVE
    return Worker.GONE if workers.anybody_beats(db) else Worker.UNKNOWN
