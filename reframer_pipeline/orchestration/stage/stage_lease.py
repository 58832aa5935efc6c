"""The lease under which a Dagster run works on its video.

What belongs here: finding out who holds it, the run's caller or the run itself. What does not: leases themselves (`work.lease`). A run
that nobody holds a lease for takes one with its first stage and keeps it to its end, over the pauses between tries too: two runs of one
video never take turns. Its token follows from the run, so stages that have processes of their own share it. A process that ends without
giving it back loses it within a minute.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.orchestration.tags import LEASE_TAG
from reframer_pipeline.work import lease

_RUNS: Final = uuid.UUID("6a1c7f0e-58a4-4d0e-9a53-0c7a1f5d2b94")
_kept: dict[str, lease.Held] = {}  # by run id
_lock = threading.Lock()


def token_of(run_id: str) -> str:
    """The token of the lease that a run takes for itself."""
    return str(uuid.uuid5(_RUNS, run_id))


@contextmanager
def lease_of(run: dg.DagsterRun, db: Database, video_id: str, patience_s: float | None = None) -> Iterator[str]:
    """The token under which this run may write, while the block lasts and until `give_back`.

    Args:
        run: The run.
        db: The database.
        video_id: Its video.
        patience_s: Longest wait for another's lease to run out, by default for as long as that of a dead process can last.

    Raises:
        VideoBusy: Another one holds the lease, and lives.
    """
    tagged = run.tags.get(LEASE_TAG)
    if tagged is not None and lease.held_by(db, video_id, tagged):  # whoever started the run holds it for all stages
        yield tagged
        return
    with _lock:
        kept = _kept.get(run.run_id)
    if kept is None or not lease.held_by(db, video_id, kept.token):
        if kept is not None:
            kept.stop()
        kept = lease.take_patiently(db, video_id, owner=run.run_id, token=token_of(run.run_id), patience_s=patience_s)
        with _lock:
            _kept[run.run_id] = kept
    yield kept.token


def give_back(run_id: str) -> None:
    """The run is over: others may have the video. Nothing happens if it keeps none."""
    with _lock:
        kept = _kept.pop(run_id, None)
    if kept is not None:
        kept.release()
