"""The executor of a run whose stages are computed by other workers: by those of the queue that a stage's tag names, `gpu` or `cpu`.

What belongs here: handing stages over, and watching them. What does not: computing one (`stages`). Stock dagster-celery asks a result
backend how a stage ended, and hears nothing of one whose worker was killed. Dagster's own executor for steps that are computed elsewhere
reads a run's log instead, and needs no such server; ours tells it where they are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import dagster as dg
from celery import Celery
from dagster import Executor, InitExecutorContext, multiple_process_executor_requirements
from kombu.exceptions import OperationalError

from reframer_pipeline.failures import BrokerUnavailable, DagsterFailed, Interrupted, ReframerError
from reframer_pipeline.orchestration.dagster_internals import Worker
from reframer_pipeline.orchestration.dagster_internals.stepping import (
    CheckStepHealthResult,
    OneByOne,
    StepHandler,
    StepHandlerContext,
    known_state_of,
    step_of,
)
from reframer_pipeline.orchestration.fleet.app import CPU, STAGE, celery_app
from reframer_pipeline.orchestration.fleet.stages import key_of
from reframer_pipeline.orchestration.fleet.waiting import waiting
from reframer_pipeline.orchestration.stage.interrupting import raise_if_leaving
from reframer_pipeline.orchestration.stage.runs import video_of
from reframer_pipeline.orchestration.tags import QUEUE_TAG, WAITS_TAG
from reframer_pipeline.orchestration.upkeep.life import worker_in_fleet
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import jobs, lease, status, workers
from reframer_pipeline.work.heartbeat import beating

PAUSE_S: Final = 0.1  # between two looks at the run's log
HEALTH_S: Final = 5  # between two questions how a stage is
PUBLISH: Final = {"max_retries": 40, "interval_start": 0.5, "interval_step": 0.5, "interval_max": 5}  # three minutes and more


def celery_executor(settings: Settings) -> dg.ExecutorDefinition:
    """The executor, for these settings."""

    @dg.executor(name="celery", requirements=multiple_process_executor_requirements())
    def made(context: InitExecutorContext) -> Executor:
        return FleetExecutor(settings)

    return made


class FleetExecutor(OneByOne):
    """Hands one stage after the other to the workers, and keeps the video's lease while none is at it."""

    def __init__(self, settings: Settings) -> None:
        """For these settings."""
        self._storage = storage_of(settings)
        self._stages = Stages(self, self._storage)
        super().__init__(self._stages, PAUSE_S, HEALTH_S)

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """All stages of a run."""
        run, db = plan_context.dagster_run, self._storage.db
        video_id = video_of(run)
        if video_id is None:
            yield from super().execute(plan_context, execution_plan)
            return
        why: ReframerError | None = Interrupted("The run was interrupted.")
        try:
            with beating(lambda: lease.keep(db, video_id, run.run_id), lease.TTL_S / 3, f"video {video_id}"):
                yield from super().execute(plan_context, execution_plan)
            why = self._stages.gave_up  # else each stage has seen to its own end
        except Exception as error:
            why = error if isinstance(error, ReframerError) else DagsterFailed(f"{type(error).__name__} between two stages.")
            raise
        finally:
            with suppress(ReframerError):  # the status sensor sees to it
                self._end(run.run_id, video_id, why)

    def _end(self, run_id: str, video_id: str, why: ReframerError | None) -> None:
        """Leave nothing behind."""
        db = self._storage.db
        if why is not None:
            jobs.fail(db, video_id, run_id, why)
        lease.take_away(db, video_id, owner=run_id)
        if video_id in status.unattended(db):
            status.settle(db, video_id)


class Stages(StepHandler):
    """What becomes of a stage, asked by Dagster.

    Attributes:
        gave_up: Why a stage that nobody computes is waited for no longer.
    """

    def __init__(self, executor: OneByOne, storage: Storage) -> None:
        """
        Args:
            executor: Whose stages they are.
            storage: Of this deployment.
        """
        url = storage.settings.broker_url
        self._url = url.get_secret_value() if url is not None else None
        self._celery: Celery = celery_app(self._url)
        self._executor, self._db = executor, storage.db
        self._idle_looks = 0
        self.gave_up: ReframerError | None = None

    @property
    def name(self) -> str:
        """For Dagster's log."""
        return "fleet"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Send a stage.

        Raises:
            BrokerUnavailable: The broker did not take it within some minutes.
            Interrupted: This process is to end.
        """
        raise_if_leaving()
        step, tried = step_of(step_handler_context)
        self._executor.launched(step, tried)
        self._idle_looks = 0
        self._send(step_handler_context)
        yield from ()

    def _send(self, context: StepHandlerContext) -> None:
        step, tried = step_of(context)
        message = (context.dagster_run.run_id, step, tried, known_state_of(context))
        try:
            self._celery.send_task(STAGE, message, queue=_queue(context, step), retry_policy=PUBLISH)
        except OperationalError as error:
            raise BrokerUnavailable(f"The broker did not take {step}: {error}") from error

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Whether somebody is at it, or will be. Why it waits is said; what the broker has lost is sent once more."""
        step, tried = step_of(step_handler_context)
        key = key_of(step_handler_context.dagster_run.run_id, step, tried)
        taker = workers.taker(self._db, key)
        if taker is not None and worker_in_fleet(self._db, key) is not Worker.GONE:
            self._idle_looks = 0
            return CheckStepHealthResult.healthy()
        try:
            raise_if_leaving()
        except Interrupted as failure:
            if workers.withdraw(self._db, key, taker["worker_id"] if taker else None):
                self.gave_up = failure
                return CheckStepHealthResult.unhealthy(str(failure))
        self._see_to_waiting(step_handler_context, step)
        return CheckStepHealthResult.healthy()

    def _see_to_waiting(self, context: StepHandlerContext, step: str) -> None:
        queue, run = _queue(context, step), context.dagster_run
        there = [row for row in workers.living(self._db) if row["queue"] == queue]
        if not there:
            now, why = context.instance.get_run_by_id(run.run_id), f"no {queue} worker"
            if now is not None and now.tags.get(WAITS_TAG) != why:
                words = f"No worker of the queue {queue} lives, so {step} waits. Start one: reframer worker --queue {queue}."
                context.instance.report_engine_event(words, run, step_key=step)
                context.instance.add_run_tags(run.run_id, {WAITS_TAG: why})
            return
        try:
            idle = all(row["state"] == "ready" for row in there) and waiting(self._url or "", queue) == 0
        except BrokerUnavailable:  # it keeps what it has
            idle = False
        self._idle_looks = self._idle_looks + 1 if idle else 0
        if self._idle_looks > 1:  # the broker has lost it. Should it come twice, it is taken once
            self._idle_looks = 0
            self._send(context)

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Take it out if it waits. A worker that is at it sees itself that the run is to end."""
        step, tried = step_of(step_handler_context)
        workers.withdraw(self._db, key_of(step_handler_context.dagster_run.run_id, step, tried))
        yield from ()


def _queue(context: StepHandlerContext, step: str) -> str:
    return context.step_tags[step].get(QUEUE_TAG, CPU)
