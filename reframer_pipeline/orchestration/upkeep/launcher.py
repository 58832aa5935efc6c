"""Runs whose process died, as Dagster's run monitoring finds them: the run launcher (named in dagster.yaml) tells it who lives.

What belongs here: the judgement. What does not: asking a code server (`dagster_internals`), ending the run and freeing its slots (Dagster),
what is written of it (`reconcile`), runs of `reframer run`, which no launcher started (`dead_runs`). Dagster's own default launcher judges
nothing: a server reports workers that end without a word, but if it goes with them, nobody does.

A run counts as dead when its worker is gone with the code server that started it and nobody beats for its lease; where no server can
tell, when it gave no sign of life for `DEAD_AFTER_S`, or, if it is no run of a video's and gives none, when it goes on for `NO_SIGN_S`.
"""

from __future__ import annotations

import socket
import time
import uuid
from typing import Final

import dagster as dg

from reframer_pipeline.orchestration.dagster_internals import CheckRunHealthResult, LaunchRunContext, Worker, WorkerStatus, worker_of
from reframer_pipeline.orchestration.own_database import OwnDatabase
from reframer_pipeline.orchestration.stage.runs import token_of, video_of
from reframer_pipeline.orchestration.tags import HOME_TAG
from reframer_pipeline.orchestration.upkeep.dead_runs import of_command_line
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import jobs, lease

DEAD_AFTER_S: Final = lease.TTL_S + 30.0
NO_SIGN_S: Final = 3600.0


def home_id(settings: Settings) -> str:
    """Which deployment this is, among those that share a Dagster database: the same for the same data folder of the same machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{socket.gethostname()}:{settings.home_dir}"))


class RunLauncher(OwnDatabase, dg.DefaultRunLauncher):
    """Dagster's default launcher, which also says whose a run is, and knows whether its worker lives."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Tag the run as this deployment's, and start it."""
        self._instance.add_run_tags(context.dagster_run.run_id, {HOME_TAG: home_id(Settings())})
        super().launch_run(context)

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
        ours, video_id = run.tags.get(HOME_TAG) in (None, home_id(Settings())), video_of(run)
        worker = worker_of(run) if ours else Worker.UNKNOWN  # the code servers of another machine cannot be asked
        if worker is Worker.ALIVE or (video_id is not None and lease.held_by(self._db, video_id, token_of(run.run_id))):
            return True
        return worker is Worker.UNKNOWN and self._quiet_s(run) <= (NO_SIGN_S if video_id is None else DEAD_AFTER_S)

    def _quiet_s(self, run: dg.DagsterRun) -> float:
        """Seconds since its last sign of life, which is its beginning if it gives none."""
        record = self._instance.get_run_record_by_id(run.run_id)
        age = time.time() - (record.start_time or record.create_timestamp.timestamp()) if record else 0.0
        return min([age, *(job["quiet"] for job in jobs.open_jobs(self._db) if job["run_id"] == run.run_id)])
