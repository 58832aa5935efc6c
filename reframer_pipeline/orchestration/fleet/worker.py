"""The process of a worker: a parent that talks to the broker, and one child that holds the models and computes.

What belongs here: beginning, saying ready, being told to end, being replaced. What does not: what is done with a run (`tasks`), whether the
places it reads and writes are fit for many machines (`running.fleet_places`).

The parent loads no model, so that a child can be replaced, and answers the broker while the child computes. The child is replaced between
two runs if it has grown, or if the GPU's driver has failed in it: nothing mends that process.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import RawArray
from typing import Any, Final

from celery import Celery, signals
from celery.exceptions import Reject, SecurityWarning, WorkerLostError
from celery.worker import state as celery_state
from celery.worker.request import Request

from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import ReframerError, RunDied
from reframer_pipeline.failures.typing import typed
from reframer_pipeline.orchestration.fleet.app import QUEUES, RUNS, STAGE, TASK, celery_app
from reframer_pipeline.orchestration.fleet.stages import StageDesk
from reframer_pipeline.orchestration.fleet.tasks import Desk, StuckRun
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.device import resolve_device
from reframer_pipeline.work.workers import Presence, forget, resident_bytes

GROWN: Final = 1.5  # times what it was after its first runs, and
GROWN_BYTES: Final = 500_000_000  # by this more
FIRST_RUNS: Final = 3  # after so many, memory is what it will be
RECYCLE: Final = 0x9B  # the exit status by which a child says that it is to be replaced (billiard's EX_RECYCLE)
HURRY_S: Final = 10.0  # from being told to end at once to being killed
AGAIN: Final = 75  # exit status: start it anew
STEADY_S: Final = 10.0  # who ends by itself sooner than that after being ready would only do so again
TRIES: Final = 2
SAY_S: Final = 3.0  # to tell the database that the child is dead
AGAIN_S: Final = 3.0  # before a message is given back that could not be handled, as the database is away

_log = logging.getLogger(__name__)
Say = Callable[[str], None]


@dataclass
class Worker:
    """A worker of one queue.

    Attributes:
        settings: Of this process.
        queue: One of `app.QUEUES`: whether it computes runs, or single stages of them.
        device: What it computes on, for people.
        say: Tells people how it stands.
        rehearse: Loads what a run needs, in the child.
        idle_s: Seconds without a run, once it is ready, after which it ends by itself; None: never.
    """

    settings: Settings
    queue: str
    device: str
    say: Say
    rehearse: Callable[[Settings], None]
    idle_s: float | None = None
    _leaving: Any = field(default_factory=multiprocessing.Event)  # shared with the child
    _hurrying: Any = field(default_factory=multiprocessing.Event)
    _loaded: Any = field(default_factory=multiprocessing.Event)
    _unfit: Any = field(default_factory=multiprocessing.Event)
    _presence_id: Any = field(default_factory=lambda: RawArray("c", 36))  # of the child, the newest. No lock: who dies with one keeps it
    _starts: Any = field(default_factory=lambda: multiprocessing.Value("i", 0))  # of children, before the first was ready
    _ready_at: float | None = None
    _desk: Desk | StageDesk | None = None  # in the child
    _memory: list[int] = field(default_factory=list)
    _held: ExitStack = field(default_factory=ExitStack)

    def run(self) -> int:
        """Compute what the broker hands out, until told to end.

        Returns:
            The exit status: 0 if it was told to end, 1 if it cannot compute here, `AGAIN` if it is to be started anew.
        """
        url = self.settings.broker_url
        app = celery_app(url.get_secret_value() if url is not None else None)
        self._define(app)
        signals.worker_process_init.connect(self._begin_child, weak=False)
        signals.worker_process_shutdown.connect(self._end_child, weak=False)
        signals.worker_ready.connect(self._connected, weak=False)
        signals.setup_logging.connect(lambda **_: None, weak=False)  # the process's own stays
        warnings.simplefilter("ignore", SecurityWarning)  # of root: what is unpickled could be anything, but nothing is
        worker = app.Worker(
            exclude_queues=list(QUEUES), pool="prefork", concurrency=1,
            hostname=f"reframer-{os.getpid()}@{socket.gethostname()}", quiet=True,
            without_gossip=True, without_mingle=True, loglevel="WARNING",
        )  # fmt: skip
        worker.start()
        if self._unfit.is_set():
            return 1
        if self._leaving.is_set():
            return 0
        return AGAIN if self._ready_at is not None and time.monotonic() - self._ready_at > STEADY_S else 1

    def _define(self, app: Celery) -> None:
        @app.task(name=TASK if self.queue == RUNS else STAGE, bind=True, Request=self._watched())
        def compute(task: Any, *message: Any) -> None:
            self._handle(*message)

    # --- the parent
    def _watched(self) -> type[Request]:
        """What Celery's parent keeps of a message that the child has: here the end of a child that was killed is seen."""

        class Watched(Request):
            def on_failure(request, exc_info: Any, *how: Any, **more: Any) -> Any:
                error = exc_info.exception
                if isinstance(getattr(error, "exc", error), WorkerLostError):  # billiard may wrap it
                    self._say_gone()
                return super().on_failure(exc_info, *how, **more)

        return Watched

    def _say_gone(self) -> None:
        """That the child is dead: who gets its message next need not wait for a sign of it. This process talks to the broker, so it waits
        for no database; nor does it keep a connection, which the next child would inherit.
        """
        try:
            if self.settings.database_url is None and embedded.running(self.settings) is None:
                return  # it is not started from here
            with Database(embedded.database_url(self.settings), max_size=1, schema=self.settings.database_schema) as db:
                forget(db, self._presence_id.value.decode(), SAY_S)
        except ReframerError as error:
            _log.info("Nobody was told that the process is gone, which they find out by themselves: %s", error)

    def _connected(self, sender: Any, **_: Any) -> None:
        """To the broker, for the first time or again. Celery has set its own signal handlers, and does not know of stages; it would also
        take a run while the models are being loaded, which another worker could begin at once.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_end)

        def consume() -> None:
            self._loaded.wait()
            if not self._leaving.is_set():
                sender.call_soon(sender.add_task_queue, self.queue)
            if self._ready_at is None:
                self._ready_at = time.monotonic()
                self.say("The worker is ready.")

        threading.Thread(target=consume, name="consume", daemon=True).start()
        if self.idle_s is not None and self._ready_at is None:
            threading.Thread(target=self._leave_when_idle, args=(self.idle_s,), name="idle", daemon=True).start()

    def _leave_when_idle(self, idle_s: float) -> None:
        busy_at = time.monotonic()
        while time.monotonic() - busy_at < idle_s:
            time.sleep(0.5)
            if celery_state.reserved_requests or not self._loaded.is_set():
                busy_at = time.monotonic()
        self.say(f"The worker ends: no run for {idle_s:g} s.")
        self._leaving.set()  # whatever comes now goes back to the broker
        celery_state.should_stop = 0

    def _told_to_end(self, number: int, frame: Any) -> None:
        if self._unfit.is_set():
            os._exit(1)
        if not self._loaded.is_set():
            os._exit(0)  # the child goes with it
        if not self._leaving.is_set():
            self._leaving.set()
            celery_state.should_stop = 0  # no new message; Celery waits for the child's run
            os.write(2, b"The worker ends after the stage that it is at. Once more: at once.\n")
        elif not self._hurrying.is_set():
            self._hurrying.set()
            threading.Thread(target=self._kill_soon, name="hurry", daemon=True).start()

    def _kill_soon(self) -> None:
        time.sleep(HURRY_S)
        os._exit(1)  # the child goes with its parent, and the broker hands the run to another

    # --- the child
    def _begin_child(self, **_: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):  # a service manager tells all processes; the parent says what becomes of this one
            signal.signal(number, signal.SIG_IGN)
        try:
            if not self._loaded.is_set():
                self._starts.value += 1
                if self._starts.value > TRIES:
                    raise RunDied(f"{TRIES} processes died while they loaded their models.", "See the system's log for what killed them.")
            import dagster as dg

            storage = storage_of(self.settings)
            presence = Presence(storage.db, self.queue, resolve_device("auto") if self.device == "auto" else self.device)
            self._presence_id.value = presence.id.encode()
            instance = self._held.enter_context(dg.DagsterInstance.get())
            if self.queue == RUNS:
                self._desk = Desk(instance, storage, presence, self._leaving.is_set, self._hurrying.is_set)
            else:
                self._desk = StageDesk(instance, storage, presence, self._hurrying.is_set)
            self.say("The worker loads its models.")
            began = time.monotonic()
            self.rehearse(self.settings)
            presence.ready()
            self._loaded.set()
            self.say(f"They are loaded, after {time.monotonic() - began:.0f} s.")
        except BaseException as error:  # a library may call exit()
            failure = typed(error)
            self.say(f"[{failure.code}] {failure}")
            self._unfit.set()
            os.kill(os.getppid(), signal.SIGTERM)  # it would only begin another child
            os._exit(1)

    def _end_child(self, **_: Any) -> None:
        if self._desk is not None:
            with suppress(ReframerError):
                self._desk.presence.leave()
            self._held.close()

    def _handle(self, *message: Any) -> None:
        assert self._desk is not None
        if self._leaving.is_set():
            raise Reject("The worker ends.", requeue=True)
        try:
            self._desk.handle(*message)
        except StuckRun as stuck:
            _log.error("%s Its process is killed.", stuck)
            os.kill(os.getpid(), signal.SIGKILL)
        except Exception as error:
            _log.warning("Run %s comes again: %s", "/".join(map(str, message[:2])), typed(error))
            time.sleep(AGAIN_S)
            raise Reject(str(typed(error)), requeue=True) from None
        self._be_replaced_if_unfit()

    def _be_replaced_if_unfit(self) -> None:
        self._memory.append(resident_bytes())
        if len(self._memory) > FIRST_RUNS:
            usual = max(self._memory[:FIRST_RUNS])
            if self._memory[-1] > max(GROWN * usual, usual + GROWN_BYTES):
                self._leave_for_another(f"it has grown from {usual / 1e9:.1f} to {self._memory[-1] / 1e9:.1f} GB")
        if _driver_failed():
            self._leave_for_another("the GPU's driver failed in it")

    def _leave_for_another(self, why: str) -> None:
        self.say(f"The worker's process is replaced: {why}.")
        raise SystemExit(RECYCLE)


def _driver_failed() -> bool:
    """Whether the GPU can be used in this process no more: after an error of the driver, each call fails."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
        return False
    except RuntimeError:
        return True
