"""Marks in the store: which set readers see of a video that was corrected by hand.

What belongs here: writing a mark with what it tells of, and reading it, for a rebuild. What does not: showing (`publishing`,
`correcting`).

Undoing a correction shows an older set again, so no date of a result says which set is the last one. A video that was never corrected has
no mark.

A mark is written within the transaction that shows a set, as its last act: it names that set, and the one before. Once it is known what
came of the transaction, it is written again, with what readers see alone (`settle`). Who is killed in between leaves both names. After the
COMMIT the first is what readers see. Just before it, a rebuild shows what was asked for and never answered; or, where its objects are
swept by then, the set before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import ObjectMissing
from reframer_pipeline.store.objects import ObjectStore, shown_key

if TYPE_CHECKING:
    import psycopg

    Conn = psycopg.Connection[Row]


def now(conn: Conn, video_id: str) -> str | None:
    """The set that readers see, by its scenes result; locked, so that one mark is written after the other."""
    query = "SELECT result_id::text AS id FROM published WHERE video_id = %s AND stage = 'scenes' FOR UPDATE"
    row = conn.execute(query, (video_id,)).fetchone()
    return None if row is None else str(row["id"])


def announce(conn: Conn, store: ObjectStore, video_id: str, before: str | None, scenes: str) -> None:
    """Note in the store what readers will see of a video, if it was ever corrected.

    Args:
        conn: In the transaction that shows it.
        store: The store.
        video_id: The video.
        before: What readers see until then, as `now` had it.
        scenes: What they will see.

    Raises:
        StoreUnavailable: Nothing is to be shown then.
    """
    if before != scenes and _to_be_marked(conn, store, video_id):
        _write(store, video_id, {"scenes": scenes, "before": before} if before else {"scenes": scenes})


def settle(db: Database, store: ObjectStore, video_id: str) -> None:
    """Note in the store what readers see of a video now, if it was ever corrected.

    Raises:
        DatabaseUnavailable, StoreUnavailable: The mark before this one stays.
    """

    def act(conn: Conn) -> None:
        scenes = now(conn, video_id)
        if scenes is not None and _to_be_marked(conn, store, video_id):
            _write(store, video_id, {"scenes": scenes})

    db.run(act)


def marked(store: ObjectStore, video_id: str) -> list[str]:
    """The sets that a mark names, by their scenes results; the first one that is whole counts. Empty without a mark that can be read.

    Raises:
        StoreUnavailable: Nobody knows.
    """
    try:
        with store.open_object(shown_key(video_id)) as file:
            said = json.load(file)
            return [str(said[name]) for name in ("scenes", "before") if name in said]
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return []


def _to_be_marked(conn: Conn, store: ObjectStore, video_id: str) -> bool:
    """Whether it was ever corrected: a rebuilt log lacks what was undone, but then there is a mark."""
    logged = conn.execute("SELECT 1 FROM corrections WHERE video_id = %s LIMIT 1", (video_id,)).fetchone()
    return logged is not None or store.exists(shown_key(video_id))


def _write(store: ObjectStore, video_id: str, said: dict[str, str]) -> None:
    store.put_bytes(json.dumps(said).encode(), shown_key(video_id))
