"""What the database knows of uploads: which files of the bucket have been dealt with, and which videos still wait for a run.

What belongs here: the questions that the sensor asks, each one query whatever the number of files. What does not: writing
(`ingest`), deciding (`watching`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, LiteralString, NamedTuple

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.uploads.bucket import Entry, upload_id

WITHIN_S: Final = 8.0  # of the 60 that a tick has: for all tries together, three times in a tick at most, and 3 more to say what is wrong

# Conditions on `videos`: the upload sensor will ask for it, and no run has taken it up.
FOR_THE_SENSOR: Final[LiteralString] = """status = 'pending' AND EXISTS (
    SELECT 1 FROM uploads WHERE video_id = videos.id AND (bucket_key IS NOT NULL OR requested) AND uploads.status = 'completed')"""
NEVER_RAN: Final[LiteralString] = "NOT EXISTS (SELECT 1 FROM processing_jobs WHERE video_id = videos.id)"


class WaitingVideo(NamedTuple):
    """A video that nobody has begun to compute."""

    video_id: str
    filename: str
    created_at: datetime

    @property
    def place(self) -> tuple[datetime, str]:
        """Where the next page goes on."""
        return self.created_at, self.video_id


def known_uploads(db: Database, entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Keys and tags of those files that have a row in `uploads`, completed or refused."""
    named = {upload_id(one.key, one.etag): (one.key, one.etag) for one in entries}
    (row,) = db.fetch(
        """SELECT coalesce(array_agg(asked.id::text), '{}') AS strangers FROM unnest(string_to_array(%s, ',')::uuid[]) AS asked (id)
           WHERE NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.id = asked.id AND status <> 'pending')""",
        (",".join(named),),  # one text and one row: a tenth of the time of a hundred thousand of each
        within_s=WITHIN_S,
    )
    for stranger in row["strangers"]:
        del named[stranger]
    return set(named.values())


def waiting_videos(db: Database, after: tuple[datetime, str] | None = None, limit: int = 500) -> list[WaitingVideo]:
    """Videos from the bucket or of jobs that are pending and that no run has taken up, oldest first, one page.

    Args:
        db: The database.
        after: `place` of the last one on the page before.
        limit: Length of a page.
    """
    created_at, video_id = after or (None, None)
    rows = db.fetch(
        f"""SELECT id::text, filename, created_at FROM videos
           WHERE {FOR_THE_SENSOR} AND {NEVER_RAN}
               AND (%(at)s::timestamptz IS NULL OR (created_at, id) > (%(at)s, %(id)s::uuid))
           ORDER BY videos.created_at, videos.id LIMIT %(limit)s""",
        {"at": created_at, "id": video_id, "limit": limit},
        within_s=WITHIN_S,
    )
    return [WaitingVideo(row["id"], row["filename"], row["created_at"]) for row in rows]
