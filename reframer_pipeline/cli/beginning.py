"""What a deployment does before Dagster begins, whoever starts it: `reframer dev`, or `reframer daemon`.

What belongs here: its tables and settings, what has to be put right, and that there is one daemon over a database. What does not: processes
(`dev`, `apart`), the lock of a data folder (`alone`).
"""

from __future__ import annotations

import os
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from reframer_pipeline import scratch
from reframer_pipeline.cli.tables import aside
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from reframer_pipeline.results.storage import Storage
    from reframer_pipeline.uploads.bucket import Bucket


def prepared(settings: Settings, save: bool = True) -> Bucket:
    """Bring the tables up to date, and make these settings the deployment's. Returns the bucket that is watched.

    Args:
        settings: The deployment's.
        save: Whether they become so for all processes.
    """
    from reframer_pipeline.planning import result_settings
    from reframer_pipeline.results.storage import open_storage
    from reframer_pipeline.uploads.bucket import Bucket

    with open_storage(settings) as storage:  # starts the server, migrates, binds database and store to each other
        bucket = Bucket.open(settings)
        changed = result_settings.save(storage.db, settings) if save else {}
    for name, (old, new) in changed.items():
        aside(f"The deployment's {name}: {old} → {new}")
    return bucket


def put_right(instance: dg.DagsterInstance, storage: Storage) -> None:
    """Before anything new starts: runs that died meanwhile are ended, and every video is a partition."""
    from reframer_pipeline.orchestration import assets
    from reframer_pipeline.orchestration.upkeep.reconcile import reconcile

    assets.register_partitions(instance, storage.db)
    done = reconcile(instance, storage)
    if done.died or done.ended:
        aside(f"Runs put right: {done}.")


@contextmanager
def one_daemon(settings: Settings) -> Iterator[None]:
    """While the block lasts, no other daemon runs over this database. Interrupts this process if another one does all the same."""
    from reframer_pipeline.results.storage import storage_of
    from reframer_pipeline.work.daemon import OneDaemon

    def lost() -> None:
        aside("Another `reframer dev` has taken over this database, which was out of reach from here. This one ends.", style="yellow")
        os.kill(os.getpid(), signal.SIGINT)

    held = OneDaemon(storage_of(settings).db, _identity(settings), f"{settings.home_dir} on {socket.gethostname()}", lost)
    try:
        yield
    finally:
        with suppress(ReframerError):
            held.release()


def _identity(settings: Settings) -> str:
    """UUID of the data folder: two machines may have the same name and the same path."""
    file = scratch.made(settings.home_dir) / "daemon.id"
    with scratch.writing(settings.home_dir), suppress(FileExistsError), file.open("x") as new:
        new.write(str(uuid.uuid4()))
    return file.read_text()
