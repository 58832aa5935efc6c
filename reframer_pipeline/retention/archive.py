"""Archive: rows of old videos leave Postgres, and come back from Parquet.

What belongs here: taking the rows away, and loading them back. What does not: when (`retention_job`), the
frame store (`eviction`). Manifest, published set and Parquet stay, so an archived result is as fresh as any other; only the `current_*`
views show nothing of it. All rows of a video go, and come, in one transaction: readers see the whole or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import ObjectMissing
from reframer_pipeline.results import parquet, rows
from reframer_pipeline.results.manifest import Footer, ManifestRow
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.retention.idle import WhileIdle, old_results, while_old
from reframer_pipeline.stages import NAMES, STAGES
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.work import lease

if TYPE_CHECKING:
    import psycopg

WITH_ROWS = [stage.name for stage in STAGES if stage.rows]
TABLES = [stage.rows.table for stage in STAGES if stage.rows]
_THERE: LiteralString = "v.status = 'completed' AND r.archived_at IS NULL AND r.stage = ANY(%(stages)s)"


def archive_older(db: Database, store: ObjectStore, days: int) -> WhileIdle:
    """Archive every completed video that nobody computed or restored for so many days.

    Raises:
        StoreMismatch: Store and database do not belong together; nothing was done.
        DatabaseUnavailable, StoreUnavailable: What was archived until then stays so.
    """
    return while_old(db, store, days, _THERE, "archive", archive, stages=WITH_ROWS)


def archive(db: Database, store: ObjectStore, video_id: str, lease_token: str, days: int = 0) -> int:
    """Take a completed video's rows out of Postgres, if each of its Parquet objects can be read.

    Args:
        db: The database.
        store: Its store.
        video_id: The video.
        lease_token: Of its lease.
        days: Do nothing if it was computed or restored since.

    Returns:
        Rows deleted; none if somebody corrected it meanwhile, who counts as computing it.

    Raises:
        ObjectMissing: An object is lost or damaged; nothing was deleted.
        LeaseLost: A run took this video over.
    """
    found = [ManifestRow.from_row(row) for row in old_results(db, days, _THERE, video_id, stages=WITH_ROWS)]
    for row in found:
        _demand_readable(store, row)
    ids = [row.result_id for row in found]

    def act(conn: psycopg.Connection[Row]) -> int:
        from psycopg import sql

        lease.demand(conn, video_id, lease_token)
        query: LiteralString = "SELECT result_id::text FROM results WHERE video_id = %s AND archived_at IS NULL AND stage = ANY(%s)"
        if {row["result_id"] for row in conn.execute(query, (video_id, WITH_ROWS))} != set(ids):
            return 0
        deleted = 0
        for table in reversed(TABLES):  # masks before the detections that they point at
            statement = sql.SQL("DELETE FROM {} WHERE result_id = ANY(%s)").format(sql.Identifier(table))
            deleted += conn.execute(statement, (ids,)).rowcount
        conn.execute("UPDATE results SET archived_at = now() WHERE result_id = ANY(%s)", (ids,))
        return deleted

    return db.run(act, timeout_s=rows.STATEMENT_S) if ids else 0


def restore(
    db: Database,
    store: ObjectStore,
    video_id: str,
    lease_token: str,
    *,
    skip_lost: bool = False,
    alive: Callable[[], None] = lambda: None,
) -> int:
    """Load a video's archived rows back; nothing happens if none are archived. It then counts as computed just now.

    Args:
        db: The database.
        store: Its store.
        video_id: The video.
        lease_token: Of its lease.
        skip_lost: Leave out results whose object is lost, and what was made from them: a run that makes them anew is under way.
        alive: Called for every batch.

    Returns:
        Rows loaded.

    Raises:
        ObjectMissing: An object is lost or damaged; nothing was loaded.
        LeaseLost: A run took this video over.
    """
    query: LiteralString = "SELECT * FROM results WHERE video_id = %s AND archived_at IS NOT NULL"
    found = [ManifestRow.from_row(row) for row in db.fetch(query, (video_id,))]
    found.sort(key=lambda row: NAMES.index(row.stage))  # detections before the masks that point at them
    if skip_lost:
        found = list(_readable(store, found))
    if not found:
        return 0

    def act(conn: psycopg.Connection[Row]) -> int:
        lease.demand(conn, video_id, lease_token)
        loaded = 0
        for row in found:
            state = conn.execute("UPDATE results SET archived_at = NULL WHERE result_id = %s AND archived_at IS NOT NULL", (row.result_id,))
            if state.rowcount:  # else our own COMMIT, whose answer was lost
                loaded += rows.copy_rows(conn, row, StoredResult(row, store).batches, alive)
        conn.execute("UPDATE videos SET updated_at = now() WHERE id = %s", (video_id,))
        return loaded

    return db.run(act)


def _demand_readable(store: ObjectStore, row: ManifestRow) -> None:
    with store.open_object(row.object_key) as file:
        entry = parquet.read_footer(file)
    if entry is None or Footer.decode(entry).manifest.content_digest != row.content_digest:
        raise ObjectMissing(f"The object {row.object_key} does not hold the rows of its result any more.")


def _readable(store: ObjectStore, found: Iterable[ManifestRow]) -> Iterator[ManifestRow]:
    lost: set[str] = set()
    for row in found:
        try:
            _demand_readable(store, row)
        except ObjectMissing:
            lost.add(row.result_id)
        if lost.isdisjoint({row.result_id, *row.inputs.values()}):
            yield row
        else:
            lost.add(row.result_id)
