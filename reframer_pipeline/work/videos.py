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
    pattern = prefix.lower().replace("\\", "").replace("%", "").replace("_", "") + "%"
    rows = db.fetch("SELECT id FROM videos WHERE id::text LIKE %s ORDER BY id LIMIT 2", (pattern,)) if len(pattern) > 1 else []
    if len(rows) != 1:
        raise UnknownVideo(f"{'Several videos have' if rows else 'No video has'} an id that begins with {prefix!r}.")
    return str(rows[0]["id"])


def video_ids(db: Database) -> list[str]:
    """The ids of all videos, oldest first."""
    return [str(row["id"]) for row in db.fetch("SELECT id FROM videos ORDER BY created_at, id")]


def is_video_id(text: str) -> bool:
    """Whether a video may have this id. Partitions that somebody made by hand have others."""
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
    row = db.fetch_one("SELECT filename FROM videos WHERE id = %s", (video_id,)) if is_video_id(video_id) else None
    return f"{row['filename']} (video {video_id})" if row else f"video {video_id}"


def plain(row: Row) -> Row:
    """The row with its UUIDs as text."""
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in row.items()}
