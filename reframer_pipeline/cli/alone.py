"""One deployment over one data folder, on a port that is free.

What belongs here: the lock, and what a killed `reframer dev` left running. What does not: starting anything (`dev`). Two daemons over one
data folder would look at everything twice, and one without its code server fails each run that it takes from the queue.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reframer_pipeline import scratch
from reframer_pipeline.cli.tables import aside
from reframer_pipeline.database import clients
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import psutil

LOCK: Final = "dev.lock"
PARTS: Final = {"dagster._daemon", "dagster_webserver"}  # as `dagster dev` starts them, and nothing else does
API: Final = "serve"  # as `reframer dev` starts it beside; anybody may start another
WORKER: Final = "worker"  # likewise
PATIENCE_S: Final = 10.0


def be_alone(settings: Settings) -> None:
    """Take the lock of the data folder, and end what an earlier holder left behind.

    The lock goes with this process, however it ends. Its children may outlive it.

    Raises:
        click.ClickException: Another one is running.
        HomeNotWritable, DiskFull: The data folder cannot be used.
    """
    with scratch.writing(settings.home_dir):
        lock = os.open(settings.home_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _locked(lock):
        os.close(lock)
        raise click.ClickException(f"`reframer dev` is running already over {settings.home_dir}.")
    ended = _end_leftovers(settings.home_dir / "dagster")
    if ended:
        aside(f"Ended {ended} processes of an earlier `reframer dev` that was killed.")


def is_running(settings: Settings) -> bool:
    """Whether a `reframer dev` holds the lock of the data folder."""
    try:
        lock = os.open(settings.home_dir / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locked(lock)
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    """Take the lock, unless another one has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def free_port(port: int, host: str = "127.0.0.1", option: str = "--port") -> None:
    """Refuse a port that is taken, or an address that is not this machine's: Dagster would go on without its UI.

    Raises:
        click.BadParameter: It cannot be used.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was used until now is free
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.BadParameter(f"port {port} cannot be used on {host}: {error.strerror}", param_hint=option) from error


def _end_leftovers(dagster_home: Path) -> int:
    """End what a killed `reframer dev` of this folder has left: `dagster dev`, daemon, webserver, API, workers. Returns how many."""
    import psutil

    left = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it ended meanwhile, or is another user's
            if not _is_part(process, dagster_home):
                continue
            parent = process.parent()
            if parent is not None and "dev" in parent.cmdline():
                if not _is_of_dev(parent):
                    raise click.ClickException(f"`dagster dev` is running already over {dagster_home}, as process {parent.pid}.")
                left.add(parent)
            left.add(process)
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    for process in psutil.wait_procs(list(left), PATIENCE_S)[1]:
        with suppress(psutil.Error):
            process.kill()
    return len(left)


def _is_part(process: psutil.Process, dagster_home: Path) -> bool:
    """Whether it is a part of a deployment over this folder."""
    words = process.cmdline()
    ours = not PARTS.isdisjoint(words) or (not {API, WORKER}.isdisjoint(words) and _is_of_dev(process))
    return ours and process.environ().get("DAGSTER_HOME") == str(dagster_home)


def _is_of_dev(process: psutil.Process) -> bool:
    """Whether a `reframer dev` has started it."""
    return process.environ().get(clients.VARIABLE, "").startswith("reframer dev ")
