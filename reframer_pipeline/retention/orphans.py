"""Orphans: objects that no row names, left by runs that were killed, and what nobody finishes: `.part` files, uploads in parts.

What belongs here: which they are, and deleting them. What does not: results that are still in the manifest (`superseded`).
Only what bears a name of ours is looked at, only once it is a day old, and only if it is younger than the database: whatever is older
may be just what a rebuilt database has not restored yet. Proxies and deliverables are never restored, so of them older ones go, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from re import Match
from typing import TYPE_CHECKING, Final

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.results import proxies
from reframer_pipeline.stages import NAMES
from reframer_pipeline.store import objects
from reframer_pipeline.store.objects import ObjectStore, StoredObject
from reframer_pipeline.work.videos import lock_file

if TYPE_CHECKING:
    import psycopg

MIN_AGE_H: Final = 24
BATCH: Final = 1000
_RESTORED: Final = {objects.RESULTS, objects.VIDEOS}  # by a rebuild


def find(db: Database, store: ObjectStore) -> Iterator[StoredObject]:
    """All orphans of the store.

    Raises:
        StoreUnavailable: It cannot be listed: an unreadable listing is no empty database.
    """
    (row,) = db.fetch(f"SELECT created_at AS born, now() - interval '{MIN_AGE_H} hours' AS young FROM deployment")
    for prefix, name, known in (
        (objects.RESULTS, objects.RESULT_PATTERN, _of_results),
        (objects.VIDEOS, objects.VIDEO_PATTERN, _of_videos),
        (objects.PROXIES, objects.PROXY_PATTERN, _of_proxies),
        (objects.DELIVERABLES, objects.DELIVERABLE_PATTERN, _of_deliverables),
    ):
        born = row["born"] if prefix in _RESTORED else None
        timed = ((one, one.modified) for one in store.inventory(prefix) if one.modified is not None)
        aged = (one for one, at in timed if at < row["young"] and (born is None or born < at))
        named_so = ((one, named) for one in aged if (named := name.fullmatch(one.key)))
        ours = ((one, named) for one, named in named_so if name is not objects.RESULT_PATTERN or named["stage"] in NAMES)
        while batch := list(islice(ours, BATCH)):
            kept = known(db, [named for _, named in batch])
            yield from (one for one, named in batch if named["part"] or one.key not in kept)


def delete(db: Database, store: ObjectStore, orphan: StoredObject) -> bool:
    """Delete one, unless it has become somebody's meanwhile.

    Results go under new names only. A video's name is its content, so the same file may just be coming in again: nobody may add that
    video while this is looked up and done, and `uploads.ingest` looks whether the object is still there before its row is.
    """
    video = objects.VIDEO_PATTERN.fullmatch(orphan.key)
    if video is None or video["part"]:
        store.discard(orphan)
        return True
    sha256 = video["sha256"]

    def act(conn: psycopg.Connection[Row]) -> bool:
        if not lock_file(conn, sha256, wait=False):  # it is just coming in
            return False
        if conn.execute("SELECT 1 FROM videos WHERE sha256 = %s", (sha256,)).fetchone():
            return False
        store.delete(orphan.key)
        return True

    return db.run(act)


def _of_results(db: Database, names: Iterable[Match[str]]) -> set[str]:
    """Objects that results of these videos name; an evicted one is named no more."""
    rows = db.fetch(
        """SELECT object_key, CASE WHEN evicted_at IS NULL THEN attachment_key END AS attachment_key
           FROM results WHERE video_id = ANY(%s::uuid[])""",
        (list({named["video"] for named in names}),),
    )
    return {key for row in rows for key in row.values() if key}


def _of_videos(db: Database, names: Iterable[Match[str]]) -> set[str]:
    """Objects of those among these videos that have a row."""
    rows = db.fetch("SELECT sha256 FROM videos WHERE sha256 = ANY(%s)", ([named["sha256"] for named in names],))
    return {objects.video_key(row["sha256"]) for row in rows}


def _of_proxies(db: Database, names: Iterable[Match[str]]) -> set[str]:
    """Objects that the rows of proxies name."""
    return proxies.known(db, [named[0] for named in names])


def _of_deliverables(db: Database, names: Iterable[Match[str]]) -> set[str]:
    """Objects that the rows of deliverables name."""
    rows = db.fetch("SELECT object_key FROM deliverables WHERE object_key = ANY(%s)", ([named[0] for named in names],))
    return {row["object_key"] for row in rows}
