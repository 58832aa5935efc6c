"""Deliverables that go: like frames, when nobody took them for long; and those of results that newer ones have replaced.

What belongs here: which they are, and deleting them, rows first and objects then. What does not: asking for one again
(`results.deliverables`). A crash in between leaves an orphan to the sweep. What somebody took within a day never goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.store.mark import bind
from reframer_pipeline.store.objects import ObjectStore

_OLD: Final[LiteralString] = """deliverables d USING published p
    WHERE p.video_id = d.video_id AND p.stage = 'scenes' AND p.result_id <> d.result_id AND d.status IN ('made', 'failed', 'evicted')
        AND p.published_at < now() - %(days)s * interval '1 day' AND d.alive_at < now() - interval '1 day'"""


@dataclass(frozen=True)
class Gone:
    """What went, or would.

    Attributes:
        objects: Keys of the objects.
        bytes: Their size.
    """

    objects: tuple[str, ...] = ()
    bytes: int = 0


def evict_older(db: Database, store: ObjectStore, days: int) -> Gone:
    """Delete the files that nobody took for so many days. Their rows stay: who asks again has them made again.

    Raises:
        StoreMismatch: Store and database do not belong together; nothing was done.
        DatabaseUnavailable, StoreUnavailable: The rest is left to the sweep.
    """
    bind(db, store)
    rows = db.fetch(
        """UPDATE deliverables d SET status = 'evicted', object_key = NULL, object_bytes = NULL, evicted_at = now()
           FROM (SELECT id, object_key, object_bytes FROM deliverables
                 WHERE status = 'made' AND alive_at < now() - %s * interval '1 day' FOR UPDATE) old
           WHERE d.id = old.id RETURNING old.object_key, old.object_bytes""",
        (days,),
    )
    return _deleted(store, rows)


def sweep_superseded(db: Database, store: ObjectStore, days: int, *, dry_run: bool = False) -> Gone:
    """Delete the deliverables of sets in whose place another one has been published for so many days.

    Those of a set that is deleted itself go with its rows.

    Raises:
        DatabaseUnavailable, StoreUnavailable: The rest is left to the next sweep.
    """
    if dry_run:
        query: LiteralString = f"SELECT d.object_key, d.object_bytes FROM {_OLD.replace('USING', ',')}"
        return _gone(db.fetch(query, {"days": days}))
    return _deleted(store, db.fetch(f"DELETE FROM {_OLD} RETURNING d.object_key, d.object_bytes", {"days": days}))


def _deleted(store: ObjectStore, rows: list[Row]) -> Gone:
    gone = _gone(rows)
    for key in gone.objects:
        store.delete(key)
    return gone


def _gone(rows: list[Row]) -> Gone:
    there = [row for row in rows if row["object_key"]]
    return Gone(tuple(str(row["object_key"]) for row in there), sum(int(row["object_bytes"]) for row in there))
