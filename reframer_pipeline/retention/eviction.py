"""Eviction: frame stores of old videos are deleted, for they are by far the largest objects and can be made again from the upload.

What belongs here: deleting and marking them, and which stages need them back. What does not: when (`retention_job`), making frames.
The frames result stays fresh: its rows, the times, are in Parquet. Only a stage that looks at pictures makes the frames run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.retention.idle import WhileIdle, old_results, while_old
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.work import lease

if TYPE_CHECKING:
    import psycopg

_THERE: LiteralString = "v.status IN ('completed', 'failed') AND r.attachment_key IS NOT NULL AND r.evicted_at IS NULL"


def evict_older(db: Database, store: ObjectStore, days: int) -> WhileIdle:
    """Evict the frame stores of every video that nobody computed or restored for so many days; `amount` is bytes.

    Raises:
        StoreMismatch: Store and database do not belong together; nothing was done.
        DatabaseUnavailable, StoreUnavailable: What was evicted until then stays so.
    """
    return while_old(db, store, days, _THERE, "evict", evict)


def evict(db: Database, store: ObjectStore, video_id: str, lease_token: str, days: int = 0) -> int:
    """Delete a video's frame stores. They are marked first: a crash in between leaves an object to the sweep, never a mark missing.

    Args:
        db: The database.
        store: Its store.
        video_id: The video.
        lease_token: Of its lease.
        days: Do nothing if it was computed or restored since.

    Returns:
        Bytes deleted.

    Raises:
        LeaseLost: A run took this video over.
    """

    def mark(conn: psycopg.Connection[Row]) -> None:
        lease.demand(conn, video_id, lease_token)
        conn.execute("UPDATE results SET evicted_at = now() WHERE result_id = ANY(%s)", ([row["result_id"] for row in found],))

    found = old_results(db, days, _THERE, video_id)
    db.run(mark)
    for row in found:
        store.delete(row["attachment_key"])
    return sum(row["attachment_bytes"] or 0 for row in found)
