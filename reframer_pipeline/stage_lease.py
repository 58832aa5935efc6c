"""The lease under which a Dagster run works on its video.

What belongs here: finding out who holds it, the run's caller or nobody yet. What does not: leases themselves (`storage.lease`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from reframer_pipeline.storage import lease
from reframer_pipeline.storage.postgres import Database
from reframer_pipeline.tags import LEASE_TAG


@contextmanager
def lease_of(run: dg.DagsterRun, db: Database, video_id: str) -> Iterator[str]:
    """The token under which this run may write, while the block lasts.

    Raises:
        VideoBusy: Another one holds the lease.
    """
    token = run.tags.get(LEASE_TAG)
    if token is not None and lease.held_by(db, video_id, token):  # whoever started the run holds it for all stages
        yield token
    else:  # started by the UI, or started again from there with the tags of a run that is over
        with lease.hold(db, video_id, owner=run.run_id) as own:
            yield own
