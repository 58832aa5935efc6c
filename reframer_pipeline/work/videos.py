"""Which videos there are.

What belongs here: finding a video's row, and who may decide over its file. What does not: how far it is (`status`), what people are shown
of it (`reading.videos`).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import UnknownVideo

if TYPE_CHECKING:
    import psycopg


def find_video(db: Database, prefix: str) -> str:
    """The id of the one video whose id begins like this.

    Raises:
        UnknownVideo: None does, or several do.
    """
    rows = beginning_with(db, prefix, 2) if prefix else []
    if len(rows) != 1:
        raise UnknownVideo(f"{'Several videos have' if rows else 'No video has'} an id that begins with {prefix!r}.")
    return str(rows[0]["id"])


def beginning_with(db: Database, prefix: str, limit: int) -> list[Row]:
    """`id` and `filename` of the videos whose id begins like this, the newest first."""
    query = "SELECT id::text AS id, filename FROM videos WHERE starts_with(id::text, %s) ORDER BY created_at DESC, id LIMIT %s"
    return db.fetch(query, (prefix.lower(), limit))


def video_ids(db: Database) -> list[str]:
    """The ids of all videos, oldest first."""
    return [str(row["id"]) for row in db.fetch("SELECT id FROM videos ORDER BY created_at, id")]


def is_video_id(text: str) -> bool:
    """Whether a video may have this id, spelt as the database spells it: locks go by the text. What people type is looked up by
    `find_video`; partitions that somebody made by hand have other ids.
    """
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def get_video(db: Database, video_id: str) -> Row:
    """The row of a video in `videos`.

    Raises:
        UnknownVideo: There is none.
    """
    row = db.fetch_one("SELECT * FROM videos WHERE id = %s", (video_id,)) if is_video_id(video_id) else None
    if row is None:
        raise UnknownVideo(f"There is no video {video_id}.")
    return plain(row)


def in_words(db: Database, video_id: str) -> str:
    """A video for people: its file's name beside the id."""
    return db.run(lambda conn: name_of(conn, video_id))


def name_of(conn: psycopg.Connection[Row], video_id: str) -> str:
    """`in_words` within a transaction."""
    row = conn.execute("SELECT filename FROM videos WHERE id = %s", (video_id,)).fetchone() if is_video_id(video_id) else None
    return f"{row['filename']} (video {video_id})" if row else f"video {video_id}"


def plain(row: Row) -> Row:
    """The row with its UUIDs as text."""
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in row.items()}


def lock_file(conn: psycopg.Connection[Row], sha256: str, *, wait: bool = True) -> bool:
    """Within a transaction: nobody else decides until its end whether the file with this content is a video's.

    Whoever adds a video holds this until its row is in, and a sweep that takes the file for an orphan while it deletes it. No table is
    locked: a store may take minutes for that.

    Returns:
        Whether it is held; without `wait` it is not if another one has it.
    """
    key = "hashtextextended('reframer file ' || %s, 0)"
    if wait:
        conn.execute(f"SELECT pg_advisory_xact_lock({key})", (sha256,))
        return True
    row = conn.execute(f"SELECT pg_try_advisory_xact_lock({key}) AS got", (sha256,)).fetchone()
    return row is not None and bool(row["got"])
