"""`dagster dev` and what stands beside it as children, and their end: after Ctrl-C nothing that they started is left within ten seconds.

What belongs here: processes, signals and the clock. What does not: the runs' side of it (`orchestration.upkeep.stopping`), what an earlier
one left behind (`alone`), children coming back (`beside`, `parts`).

The children have process groups of their own, so a terminal's Ctrl-C arrives here alone, and the order is ours. The daemon goes first: it
would start what waits in the queue. Runs and what stands beside are asked to end; they clear up, and runs write their end down. What lives
on after `GENTLE_S` is killed, and the end of killed runs is written for them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from reframer_pipeline.cli.alone import PARTS
from reframer_pipeline.cli.beside import Beside
from reframer_pipeline.cli.parts import keep_whole
from reframer_pipeline.cli.tables import aside
from reframer_pipeline.failures.typing import typed
from reframer_pipeline.orchestration.upkeep import stopping
from reframer_pipeline.results.storage import Storage

if TYPE_CHECKING:
    import dagster as dg
    import psutil

TELL_S: Final = 1.0  # for saying what runs, and again for asking it to end: the database may be away
GENTLE_S: Final = 4.0  # from the first signal on
WRITE_S: Final = 2.5


class Program(NamedTuple):
    """A program that is kept running.

    Attributes:
        name: What people call it.
        command: Starts it.
        environment: All of its variables.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


def run_until_stopped(
    dagster: Program, programs: Sequence[Program], opened: threading.Event, instance: dg.DagsterInstance, storage: Storage
) -> int:
    """Run `dagster dev`, with programs beside it, until SIGINT, SIGTERM or SIGHUP arrives; then end all that was started.

    What ends by itself is started again, and the rest goes on. If one of Dagster's parts is gone, that is the end of `dagster dev`.

    Args:
        dagster: `dagster dev`. If it ends before its UI has answered, it is not started again.
        programs: The first to be started is the last to be ended.
        opened: Set once Dagster's UI has answered.
        instance: Dagster's.
        storage: Where ends of runs are written down.

    Returns:
        The exit status of `dagster dev` if its UI never answered, 1 for a signal that ended it; else 0.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # which is what nohup means
            signal.signal(number, signal.default_int_handler)
    home = dagster.environment["DAGSTER_HOME"]  # a dagster.yaml or workspace.yaml of the present folder must not interfere
    groups: list[int] = []
    children: list[Beside] = []
    one_at_a_time = threading.Lock()

    def start(program: Program) -> subprocess.Popen[bytes]:
        with one_at_a_time:
            groups[:] = _present(groups)
            if program is dagster:
                _end_parts(groups)
            process = subprocess.Popen(program.command, env=program.environment, cwd=home, stdin=subprocess.DEVNULL, process_group=0)
            groups.append(process.pid)
            return process

    try:
        children.append(Beside(dagster.name, partial(start, dagster), signal.SIGINT, opened.is_set))
        keep_whole(lambda: children[0].process, children[0].over)
        for program in programs:
            children.append(Beside(program.name, partial(start, program)))
        children[0].over.wait()
        status = children[0].wait()
        return status if status >= 0 else 1
    except KeyboardInterrupt:
        return 0
    finally:
        _end(children, groups, instance, storage)


def _end(children: Sequence[Beside], groups: Sequence[int], instance: dg.DagsterInstance, storage: Storage) -> None:
    import psutil

    until = time.monotonic() + GENTLE_S
    try:
        for one in children[:1]:  # it ends the code server as soon as that has no runs any more
            one.end()
        for one in reversed(children[1:]):
            one.end()
        for process in _members(groups):
            with suppress(psutil.Error):
                if not PARTS.isdisjoint(process.cmdline()):  # daemon and webserver keep nothing that must be saved
                    process.kill()
        _within(TELL_S, partial(_tell, instance, storage), "What still runs cannot be told")
        _within(TELL_S, partial(_ask_to_end, instance, storage), "Not all runs could be asked to end")
        psutil.wait_procs(_members(groups), max(until - time.monotonic(), 0))
    except KeyboardInterrupt:
        aside("Ending at once.")
    for name in (signal.SIGINT, signal.SIGTERM):  # what follows is short, and leaves nothing running
        signal.signal(name, signal.SIG_IGN)
    for one in children:
        one.end()  # a second Ctrl-C may have come before the first was obeyed
    left = _members(groups, with_children=True)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    for one in children:
        one.wait()
    psutil.wait_procs(left, 1)
    _within(WRITE_S, partial(stopping.write_ends, instance, storage), "How runs end could not be written down")
    aside("Stopped.")


def _tell(instance: dg.DagsterInstance, storage: Storage) -> None:
    runs, waiting = stopping.going_on(instance, storage.settings), stopping.waiting(instance)
    if runs:
        aside("Still running, and ended now; finished stages are kept:")
        for line in stopping.describe(runs, storage.db):
            aside(f"  {line}")
        aside("Ctrl-C again does not wait for them.")
    if waiting:
        aside(f"{waiting} {'run waits' if waiting == 1 else 'runs wait'} in the queue for the next `reframer dev`.")


def _ask_to_end(instance: dg.DagsterInstance, storage: Storage) -> None:
    stopping.ask_to_end(instance, stopping.going_on(instance, storage.settings))


def _within(seconds: float, act: Callable[[], None], trouble: str) -> None:
    """Do it, or say what the trouble is. Neither longer than that nor beyond another Ctrl-C: a database that is away must not keep
    anything running.
    """
    over = threading.Event()

    def run() -> None:
        try:
            act()
        except Exception as error:
            aside(f"{trouble}: {typed(error).message.splitlines()[0]}")
        finally:
            over.set()

    threading.Thread(target=run, name="ending", daemon=True).start()
    if not over.wait(seconds):
        aside(f"{trouble}: no answer in time.")


def _present(groups: Sequence[int]) -> list[int]:
    """Those groups that have a process: the number of another may be given to somebody else."""
    import psutil

    there = set()
    for pid in psutil.pids():
        with suppress(OSError):
            there.add(os.getpgid(pid))
    return [group for group in groups if group in there]


def _end_parts(groups: Sequence[int]) -> None:
    """End daemon and web server of a `dagster dev` that was killed: they live on, look at everything twice, and hold the port."""
    import psutil

    left = []
    for process in _members(groups):
        with suppress(psutil.Error):
            if not PARTS.isdisjoint(process.cmdline()):
                process.kill()
                left.append(process)
    psutil.wait_procs(left, GENTLE_S)


def _members(groups: Sequence[int], with_children: bool = False) -> list[psutil.Process]:
    """The living processes of these groups, and those of their children that have another one."""
    import psutil

    found, session = set(), os.getsid(0)
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it ended meanwhile
            ours = os.getsid(process.pid) == session and os.getpgid(process.pid) in groups
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found |= {process, *(process.children(recursive=True) if with_children else ())}
    return list(found)
