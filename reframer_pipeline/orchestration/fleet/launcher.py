"""The run launcher of a fleet: it hands runs to a broker (named in dagster.yaml if `launcher` is celery).

What belongs here: handing over, and taking back. What does not: whether a worker lives (`upkeep.life`), computing (`tasks`). Stock
dagster-celery asks Celery how a task stands, which stays STARTED for ever where a worker was killed, and revokes tasks that then end as
if nothing had been said. Here the rows of the workers say who lives, and a worker looks itself whether its run is to end.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster_celery.launcher import CeleryRunLauncher

from reframer_pipeline.orchestration.dagster_internals import (
    MAX_RETRIES_TAG,
    ConfigurableClassData,
    LaunchRunContext,
    ResumeRunContext,
    Worker,
)
from reframer_pipeline.orchestration.fleet.app import RUNS, TASK, celery_app
from reframer_pipeline.orchestration.stage.runs import video_of
from reframer_pipeline.orchestration.tags import HOME_TAG
from reframer_pipeline.orchestration.upkeep.dead_runs import of_command_line
from reframer_pipeline.orchestration.upkeep.launcher import home_id
from reframer_pipeline.orchestration.upkeep.life import Judge, worker_in_fleet
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import workers

AT_ONCE_AGAIN = "1"  # how often Dagster starts a run again by itself that died with its worker; after that the backfill does, with pauses
FIRST_TAG = "dagster-celery/run_priority"  # taking a file in is short, and goes before videos


class FleetLauncher(Judge, CeleryRunLauncher):
    """Hands each run to the workers of the queue `runs`."""

    def __init__(self, own_workers: bool = False, inst_data: ConfigurableClassData | None = None) -> None:
        """
        Args:
            own_workers: Whether the workers are those of one `reframer dev`, which end with it.
            inst_data: What Dagster has read from dagster.yaml.
        """
        super().__init__(default_queue=RUNS, inst_data=inst_data)
        self._own_workers = own_workers
        url = Settings().broker_url
        self.celery = celery_app(url.get_secret_value() if url is not None else None)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What dagster.yaml may say. The broker's URL is a secret, and comes from the environment."""
        return {"own_workers": dg.Field(bool, default_value=False)}

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send the run's id.

        Raises:
            kombu.exceptions.OperationalError: The broker did not take it within some 20 s. Dagster then calls the run failed.
        """
        run = context.dagster_run
        ours = {HOME_TAG: home_id(Settings())} if self._own_workers else {}
        again = {MAX_RETRIES_TAG: AT_ONCE_AGAIN} if video_of(run) is not None else {FIRST_TAG: "9"}  # others are asked for again by sensors
        self._instance.add_run_tags(run.run_id, {**again, **ours})
        self._launch_celery_task_run(run=run, task_signature=self.celery.signature(TASK, args=(run.run_id,)), routing_key=TASK)

    def worker(self, run: dg.DagsterRun) -> Worker:
        """As the workers' rows tell."""
        return worker_in_fleet(self._db, run.run_id)

    def terminate(self, run_id: str) -> bool:
        """Ask the run to end. Its worker sees that within a second, and stays warm. One that nobody has taken is cancelled here."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or of_command_line(run):  # that one is ended where it was started
            return False
        begun = run.status == dg.DagsterRunStatus.STARTED
        self._instance.report_run_canceling(run)
        if not begun and workers.withdraw(self._db, run_id):
            self._instance.report_run_canceled(run, message="It was cancelled before a worker had taken it.")
        return True

    @property
    def supports_resume_run(self) -> bool:
        """A run that died is started again as another one, which computes what is missing."""
        return False

    def resume_run(self, context: ResumeRunContext) -> None:
        raise NotImplementedError

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Who has taken the run, for people."""
        row = workers.taker(self._db, run.run_id)
        return "No worker has taken this run." if row is None else f"Taken by worker {row['worker_id']}."
