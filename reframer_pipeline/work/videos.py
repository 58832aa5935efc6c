"""Which videos there are.

What belongs here: finding a video's row. What does not: how far it is (`status`), what people are shown of it (`reading.videos`).
"""

from __future__ import annotations

import uuid

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import UnknownVideo


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


def get_video(db: Database, video_id: str) -> Row:
    """The row of a video in `videos`.

    Raises:
        UnknownVideo: There is none.
    """
    row = db.fetch_one("SELECT * FROM videos WHERE id = %s", (video_id,))
    if row is None:
        raise UnknownVideo(f"There is no video {video_id}.")
    return plain(row)


def plain(row: Row) -> Row:
    """The row with its UUIDs as text."""
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in row.items()}
