"""Orphans: objects that no row names, left by runs that were killed, and `.part` files that nobody finishes.

What belongs here: which they are, and deleting them. What does not: results that are still in the manifest (`superseded`).
Only what bears a name of ours is looked at, only once it is a day old, and only if it is younger than the database: whatever is older
may be just what a rebuilt database has not restored yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.stages import NAMES
from reframer_pipeline.store import layout
from reframer_pipeline.store.objects import ObjectStore, StoredObject

if TYPE_CHECKING:
    import psycopg

MIN_AGE_H: Final = 24
BATCH: Final = 1000


def find(db: Database, store: ObjectStore) -> Iterator[StoredObject]:
    """All orphans of the store.

    Raises:
        StoreUnavailable: It cannot be listed: an unreadable listing is no empty database.
    """
    row = db.fetch_one(f"SELECT created_at AS born, now() - interval '{MIN_AGE_H} hours' AS young FROM deployment")
    assert row is not None
    for prefix in (layout.RESULTS, layout.VIDEOS):
        aged = (one for one in store.inventory(prefix) if one.modified is not None and row["born"] < one.modified < row["young"])
        while batch := list(islice(aged, BATCH)):
            yield from _orphans(db, batch)


def delete(db: Database, store: ObjectStore, orphan: StoredObject) -> bool:
    """Delete one, unless it has become somebody's meanwhile.

    Results go under new names only. A video's name is its content, so the same file may just be coming in again: nobody may add a video
    while this is looked up and done, and `uploads.ingest` looks whether the object is still there once its row is.
    """
    from psycopg.errors import LockNotAvailable

    video = layout.VIDEO.fullmatch(orphan.key)
    if video is None or video["part"]:
        store.delete(orphan.key)
        return True
    sha256 = video["sha256"]

    def act(conn: psycopg.Connection[Row]) -> bool:
        try:
            with conn.transaction():
                conn.execute("SET LOCAL lock_timeout = '2s'")  # others' writes queue behind a lock that waits
                conn.execute("LOCK TABLE videos IN SHARE MODE")
        except LockNotAvailable:  # somebody writes for long: the next sweep finds it again
            return False
        if conn.execute("SELECT 1 FROM videos WHERE sha256 = %s", (sha256,)).fetchone():
            return False
        store.delete(orphan.key)
        return True

    return db.run(act)


def _orphans(db: Database, batch: Iterable[StoredObject]) -> Iterator[StoredObject]:
    results = [(one, named) for one in batch if (named := layout.RESULT.fullmatch(one.key)) and named["stage"] in NAMES]
    videos = [(one, named) for one in batch if (named := layout.VIDEO.fullmatch(one.key))]
    known: set[str] = set()
    if results:
        known |= _result_objects(db, {named["video"] for _, named in results})
    if videos:
        digests = [named["sha256"] for _, named in videos]
        rows = db.fetch("SELECT sha256 FROM videos WHERE sha256 = ANY(%s)", (digests,))
        known |= {layout.video_key(row["sha256"]) for row in rows}
    yield from (one for one, named in (*results, *videos) if named["part"] or one.key not in known)


def _result_objects(db: Database, video_ids: Iterable[str]) -> set[str]:
    """Objects that results of these videos name; an evicted one is named no more."""
    rows = db.fetch(
        """SELECT object_key, CASE WHEN evicted_at IS NULL THEN attachment_key END AS attachment_key
           FROM results WHERE video_id = ANY(%s::uuid[])""",
        (list(video_ids),),
    )
    return {key for row in rows for key in row.values() if key}
