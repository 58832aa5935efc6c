"""The lease under which a Dagster run works on its video.

What belongs here: finding out who holds it, the run's caller or the run itself. What does not: leases themselves (`storage.lease`). A run
that nobody holds a lease for takes one with its first stage and keeps it to its end, as long as its stages share a process: two runs of one
video never take turns. A process that ends without giving it back loses it within a minute.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg

from reframer_pipeline.storage import lease
from reframer_pipeline.storage.postgres import Database
from reframer_pipeline.tags import LEASE_TAG

_kept: dict[str, tuple[str, ExitStack]] = {}  # run id to token, and what gives it back
_lock = threading.Lock()


@contextmanager
def lease_of(run: dg.DagsterRun, db: Database, video_id: str) -> Iterator[str]:
    """The token under which this run may write, while the block lasts and until `give_back`.

    Raises:
        VideoBusy: Another one holds the lease, and lives.
    """
    tagged = run.tags.get(LEASE_TAG)
    if tagged is not None and lease.held_by(db, video_id, tagged):  # whoever started the run holds it for all stages
        yield tagged
        return
    with _lock:
        token = _kept[run.run_id][0] if run.run_id in _kept else None
    if token is None or not lease.held_by(db, video_id, token):
        give_back(run.run_id)
        stack = ExitStack()
        token = stack.enter_context(lease.hold_patiently(db, video_id, owner=run.run_id))
        with _lock:
            _kept[run.run_id] = token, stack
    yield token


def give_back(run_id: str) -> None:
    """The run is over, or tries again later: others may have the video. Nothing happens if it keeps none."""
    with _lock:
        kept = _kept.pop(run_id, None)
    if kept is not None:
        kept[1].close()
