"""The rows of an upload: its own, its video's, its user's.

What belongs here: writing them, within a transaction. What does not: the file (`ingest`), the job that it may be (`submitting`), looking
at them (`records`, `known`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString, NamedTuple

from reframer_pipeline.database.postgres import Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.versions import video_id_of

if TYPE_CHECKING:
    import psycopg


# Of an upload `u`: whether its user had brought the same video before.
WAS_THEIRS: Final[LiteralString] = """EXISTS (
    SELECT 1 FROM uploads earlier WHERE earlier.user_id = u.user_id AND earlier.video_id = u.video_id AND earlier.status = 'completed'
        AND (earlier.created_at, earlier.id) < (u.created_at, u.id))"""


@dataclass(frozen=True)
class Event:
    """An upload as it happens: what its row holds, whatever comes of it; a tag only if it came from the bucket."""

    upload_id: str
    email: str
    filename: str
    bucket_key: str | None
    etag: str | None


class Written(NamedTuple):
    """What is known of a video whose upload was written.

    Attributes:
        is_new: Nobody had uploaded it before.
        filename: What the uploader calls it.
        was_theirs: They had uploaded it before.
    """

    is_new: bool
    filename: str
    was_theirs: bool


def write_video(conn: psycopg.Connection[Row], event: Event, sha256: str, size: int) -> Written:
    """An upload that is a video, with this digest and so many bytes. A video that the uploader has keeps the name that it has for them."""
    user, video = _user(conn, event.email), video_id_of(sha256)
    theirs = conn.execute(
        """SELECT filename FROM uploads WHERE user_id = %s AND video_id = %s AND status = 'completed' AND id <> %s
           ORDER BY created_at DESC, id DESC LIMIT 1""",
        (user, video, event.upload_id),
    ).fetchone()
    filename = theirs["filename"] if theirs else event.filename
    added = conn.execute(
        "INSERT INTO videos (id, user_id, sha256, filename, size_bytes) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
        (video, user, sha256, event.filename, size),
    )
    conn.execute(
        """INSERT INTO uploads (id, user_id, video_id, bucket_key, etag, filename, size_bytes, status)
           VALUES (%s, %s, %s, %s, %s, %s, %s, 'completed')
           ON CONFLICT (id) DO UPDATE SET video_id = EXCLUDED.video_id, filename = EXCLUDED.filename, size_bytes = EXCLUDED.size_bytes,
               status = 'completed', failure_code = NULL, failure_message = NULL""",
        (event.upload_id, user, video, event.bucket_key, event.etag or sha256, filename, size),
    )
    return Written(added.rowcount == 1, filename, theirs is not None)


def write_refusal(conn: psycopg.Connection[Row], event: Event, failure: ReframerError) -> None:
    """An upload that is none, and why: the latest reason stays."""
    user, said = _user(conn, event.email), clean_text(str(failure))
    conn.execute(
        """INSERT INTO uploads (id, user_id, bucket_key, etag, filename, status, failure_code, failure_message)
           VALUES (%s, %s, %s, %s, %s, 'failed', %s, %s)
           ON CONFLICT (id) DO UPDATE SET failure_code = EXCLUDED.failure_code, failure_message = EXCLUDED.failure_message
               WHERE uploads.status = 'failed'""",
        (event.upload_id, user, event.bucket_key, event.etag, event.filename, failure.code, said),
    )


def _user(conn: psycopg.Connection[Row], email: str) -> str:
    conn.execute("INSERT INTO users (email) VALUES (%s) ON CONFLICT (email) DO NOTHING", (email,))
    row = conn.execute("SELECT id FROM users WHERE email = %s", (email,)).fetchone()
    assert row is not None
    return str(row["id"])
