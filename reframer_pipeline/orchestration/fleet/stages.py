"""What a worker does with a stage that a run hands to it: take it and compute it, or take it over from a worker that is gone.

What belongs here: one message, from its coming to its end. What does not: the run, which goes on at another worker (`executor`), the
process around it (`worker`).

A message may come twice, as that of a run (`tasks`). Unlike a run, a stage whose worker gives no more signs is computed again at once, in
the same run: the stage is taken away from that worker, and with it the lease, so that it can commit nothing. Should it come back and find
that out, its process ends without a word.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import dagster as dg
from sqlalchemy.exc import DBAPIError

from reframer_pipeline.failures import ReframerError
from reframer_pipeline.orchestration.dagster_internals import ends_of, execute_stage
from reframer_pipeline.orchestration.fleet.tasks import END_S, LOOK_S, StuckRun, known_run
from reframer_pipeline.orchestration.stage.interrupting import DoesNotEnd, interruptible
from reframer_pipeline.orchestration.stage.runs import claimed, video_of
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import workers
from reframer_pipeline.work.lease import Claim

WATCH_S: Final = 3.5 * workers.BEAT_S  # without any sign of whoever has taken a stage. If it lives after all, its work was for nothing

_log = logging.getLogger(__name__)


def key_of(run_id: str, stage: str, tried: int) -> str:
    """What a stage is taken by: each try of it is one of its own."""
    return f"{run_id}/{stage}/{tried}"


@dataclass
class StageDesk:
    """Where a worker's process handles messages of stages.

    Attributes:
        instance: Dagster's.
        storage: Of this deployment.
        presence: The worker's row.
        hurrying: Whether the process is to end now.
    """

    instance: dg.DagsterInstance
    storage: Storage
    presence: workers.Presence
    hurrying: Callable[[], bool]

    def handle(self, run_id: str, stage: str, tried: int, known_state: str) -> None:
        """Compute a stage, if it is to be computed.

        Args:
            run_id: The run.
            stage: The stage's name, or that of another asset.
            tried: How often it was tried before in this run.
            known_state: What the run knows of the stages before it.

        Raises:
            StuckRun: It was told to end, and did not.
            ReframerError: The database is away, or the dead one's last commit goes on: the message must come again.
        """
        run = known_run(self.instance, run_id)
        if run is None or _is_to_end(run):
            return
        try:
            if self._take(run, key_of(run_id, stage, tried), stage, tried):
                self._say_where(run, stage)
                self._compute(run, stage, tried, known_state)
        finally:  # also of one that was ours and has ended
            with suppress(ReframerError):  # the next beat says so
                self.presence.ready()

    def _take(self, run: dg.DagsterRun, key: str, stage: str, tried: int) -> bool:
        if self.presence.take(key):
            return ends_of(self.instance, run.run_id, stage) <= tried  # else it was ours, and its end was not acknowledged
        taker = workers.taker(self.storage.db, key)
        if taker is None or taker["worker_id"] is None or workers.lives(self.storage.db, key, WATCH_S):
            _log.info("%s is at another worker, which lives.", key)
            return False
        if ends_of(self.instance, run.run_id, stage) > tried:
            return False
        return self.presence.take_over(key, taker["worker_id"], video_of(run), run.run_id)

    def _compute(self, run: dg.DagsterRun, stage: str, tried: int, known_state: str) -> None:
        key, looked, ending = key_of(run.run_id, stage, tried), time.monotonic(), 0

        def vanish_if_overtaken() -> None:
            with suppress(ReframerError):  # the database is away: the next one who asks is told
                row = workers.taker(self.storage.db, key)
                if row is None or row["worker_id"] != self.presence.id:
                    self._vanish()

        def look() -> None:
            nonlocal looked, ending
            if self.hurrying():  # another worker has it at once
                self._vanish()
            if time.monotonic() - looked >= LOOK_S:
                looked = time.monotonic()
                vanish_if_overtaken()
                with suppress(Exception):  # Dagster's database may be away: the next look tells
                    now = self.instance.get_run_by_id(run.run_id)
                    ending += now is None or _is_to_end(now)
            if ending > 1:  # with the first look it may just be ending by itself
                raise KeyboardInterrupt

        with claimed(run.run_id, Claim(key, self.presence.id), vanish_if_overtaken):
            try:
                interruptible(lambda: execute_stage(run, stage, known_state, self.instance), look, END_S)
            except KeyboardInterrupt:
                _log.info("%s was ended with its run.", key)
            except DoesNotEnd as error:
                raise StuckRun(f"{key}: {error}.") from None
            except (ReframerError, DBAPIError):  # a database is away: the message must come again
                raise
            except Exception as error:  # of Dagster around the stage: it would be so the next time
                vanish_if_overtaken()
                self.instance.report_run_failed(run, message=f"{stage} could not begin at worker {self.presence.name}: {error}")

    def _vanish(self) -> None:
        with suppress(ReframerError):
            self.presence.leave()
        os.kill(os.getpid(), signal.SIGKILL)  # the broker hands the message to another, and the worker begins a new process

    def _say_where(self, run: dg.DagsterRun, stage: str) -> None:
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
        words = f"Worker {self.presence.name} computes {stage} on {self.presence.device} (CUDA_VISIBLE_DEVICES: {gpus})."
        self.instance.report_engine_event(words, run, step_key=stage)


def _is_to_end(run: dg.DagsterRun) -> bool:
    return run.is_finished or run.status == dg.DagsterRunStatus.CANCELING
