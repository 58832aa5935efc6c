"""What a worker does with a run that the broker hands it: take it and compute it; or see to one whose worker is gone.

What belongs here: one message, from its coming to its end. What does not: the process around it (`worker`), what a run does (`stage`).

A message may come twice: its worker was killed or cut off, or the broker lost patience with one that lives. The run's row says that it is
taken. Whoever took it and gives no more signs is fenced out: it loses its lease, so that it can commit no more should it come back, and the
run ends as `run_died`. Dagster then starts another run for what is missing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import dagster as dg

from reframer_pipeline.failures import ReframerError, VideoBusy
from reframer_pipeline.orchestration.dagster_internals import MAX_RETRIES_TAG, RETRY_ON_ASSET_OR_OP_FAILURE_TAG, execute_launched
from reframer_pipeline.orchestration.stage.interrupting import DoesNotEnd, interruptible, leave_when
from reframer_pipeline.orchestration.stage.runs import give_back, video_of
from reframer_pipeline.orchestration.upkeep.reconcile import reconcile
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import lease, workers

LOOK_S: Final = 1.0  # between two looks whether the run is to end
END_S: Final = 8.0  # for a run that is told to end; its process is killed then
WATCH_S: Final = 7 * workers.BEAT_S  # without any sign of whoever has taken a run

_NOT_BEGUN: Final = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED)
_log = logging.getLogger(__name__)


class StuckRun(RuntimeError):
    """A run did not end when it was told to: its process must be killed."""


def known_run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun | None:
    """The run that a message is about, if this worker's database has it."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        _log.warning("Run %s is in no database that this worker knows. Has another deployment the same broker?", run_id)
    return run


@dataclass
class Desk:
    """Where a worker's process handles its messages.

    Attributes:
        instance: Dagster's.
        storage: Of this deployment.
        presence: The worker's row.
        leaving: Whether the process is to end between two stages.
        hurrying: Whether it is to end now.
    """

    instance: dg.DagsterInstance
    storage: Storage
    presence: workers.Presence
    leaving: Callable[[], bool]
    hurrying: Callable[[], bool]

    def handle(self, run_id: str) -> None:
        """Compute a run, if it is to be computed.

        Raises:
            StuckRun: It was told to end, and did not.
            ReframerError: The database is away, or the dead one's last commit goes on: the message must come again.
        """
        run = known_run(self.instance, run_id)
        if run is None or run.is_finished:
            return
        if self.presence.take(run_id):
            try:
                self._compute(run) if run.status in _NOT_BEGUN else self._bury(run)
            finally:
                with suppress(ReframerError):  # the next beat says so
                    self.presence.ready()
        elif run.status == dg.DagsterRunStatus.CANCELING or not workers.lives(self.storage.db, run_id, WATCH_S):
            self._bury(run)
        else:
            _log.info("Run %s is at another worker, which lives.", run_id)

    def _compute(self, run: dg.DagsterRun) -> None:
        looked, ended = time.monotonic(), list[dg.DagsterRunStatus]()

        def leaves() -> bool:
            if self.leaving():
                self._go_on_elsewhere(run.run_id)
            return self.leaving()

        def look() -> None:
            nonlocal looked
            if self.hurrying():
                self._go_on_elsewhere(run.run_id)
                raise KeyboardInterrupt
            if time.monotonic() - looked >= LOOK_S:
                looked = time.monotonic()
                with suppress(Exception):  # Dagster's database may be away: the next look tells
                    if self._is_to_end(run.run_id, ended):
                        raise KeyboardInterrupt

        leave_when(leaves)
        try:
            interruptible(lambda: execute_launched(run.run_id, self.instance), look, END_S)
        except KeyboardInterrupt:
            if dg.DagsterRunStatus.CANCELED in ended:  # by force; the interruption was told as a failure
                self.instance.report_run_canceled(run)
        except DoesNotEnd as error:
            raise StuckRun(f"Run {run.run_id}: {error}.") from None
        finally:
            give_back(run.run_id)

    def _go_on_elsewhere(self, run_id: str) -> None:
        """Have Dagster start the rest of a run again that is about to end because this process does."""
        with suppress(Exception):  # then the backfill does, a minute later
            self.instance.add_run_tags(run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "true"})

    def _is_to_end(self, run_id: str, ended: list[dg.DagsterRunStatus]) -> bool:
        """Whether somebody wants the run to end, or has called it ended for a while, by force or because it was thought dead."""
        now = self.instance.get_run_by_id(run_id)
        if now is None or now.status == dg.DagsterRunStatus.CANCELING:
            return True
        if now.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE):
            if now.status == dg.DagsterRunStatus.CANCELED:
                self.instance.add_run_tags(run_id, {MAX_RETRIES_TAG: "0"})
            ended.append(now.status)
        return len(ended) > 1  # with the first look it may just be ending by itself

    def _bury(self, run: dg.DagsterRun) -> None:
        """End a run whose worker is gone, and free what it held."""
        video_id = video_of(run)
        if video_id is not None and not lease.take_away(self.storage.db, video_id, run.run_id):
            raise VideoBusy(f"A commit of run {run.run_id} goes on.")  # of its last moment: the message comes again
        now = self.instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            return
        if now.status == dg.DagsterRunStatus.CANCELING:
            self.instance.report_run_canceled(now, message="Its worker is gone.")
        else:
            self.instance.report_run_failed(now, message="The worker that computed this run is gone.")
        self.instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        reconcile(self.instance, self.storage)
