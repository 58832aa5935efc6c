"""Status: how far each video is.

What belongs here: `videos.status`. What does not: single runs (`jobs`), results. A video
becomes `completed` by the commit of scenes (`publishing`); here it only goes back to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import CallerError, ReframerError

if TYPE_CHECKING:
    pass


# With a token, nothing is written if the lease is another one's.
_ALLOWED: LiteralString = "(%(token)s::uuid IS NULL OR EXISTS (SELECT 1 FROM leases WHERE video_id = %(video)s AND token = %(token)s))"
_IS_PUBLISHED: LiteralString = "EXISTS (SELECT 1 FROM published WHERE video_id = videos.id)"


def processing(db: Database, video_id: str, lease_token: str | None = None) -> None:
    """A run has begun; what was published before stays readable. With a token, nothing is written if the lease is another one's."""
    db.execute(
        f"""UPDATE videos SET status = 'processing', failure_code = NULL, failure_message = NULL, updated_at = now()
            WHERE id = %(video)s AND status <> 'processing' AND {_ALLOWED}""",
        {"video": video_id, "token": lease_token},
    )


def fail(db: Database, video_id: str, failure: ReframerError, lease_token: str | None = None) -> None:
    """The last run has failed; what was published before stays readable. With a token, nothing is written if the lease is another
    one's.

    A failure of the caller's says nothing of a video that was completed before: that goes back to `completed`.
    """
    values = {"video": video_id, "token": lease_token, "code": failure.code, "message": clean_text(str(failure))}
    if isinstance(failure, CallerError):
        back = f"UPDATE videos SET status = 'completed', updated_at = now() WHERE id = %(video)s AND status = 'processing' AND {_ALLOWED}"
        db.execute(f"{back} AND {_IS_PUBLISHED}", values)
        condition = f"{_ALLOWED} AND NOT {_IS_PUBLISHED}"
    else:
        condition = _ALLOWED
    db.execute(
        f"""UPDATE videos SET status = 'failed', failure_code = %(code)s, failure_message = %(message)s, updated_at = now()
            WHERE id = %(video)s AND {condition}""",
        values,
    )


def settle(db: Database, video_id: str, lease_token: str | None = None) -> None:
    """No run is at a `processing` video any more: it is `failed` as before if the last run that came to an end failed for good, else
    `completed` if something is published, else `pending`.

    A video that is not `processing` stays as it is. With a token, nothing is written if the lease is another one's.
    """
    db.execute(
        f"""WITH last AS (
                SELECT failure_code, failure_message FROM processing_jobs
                WHERE video_id = %(video)s AND (status = 'completed' OR status = 'failed' AND NOT retryable)
                ORDER BY finished_at DESC LIMIT 1
            ), bad AS (
                SELECT failure_code, failure_message FROM last WHERE failure_code IS NOT NULL
            )
            UPDATE videos SET updated_at = now(),
                status = CASE WHEN EXISTS (SELECT 1 FROM bad) THEN 'failed' WHEN {_IS_PUBLISHED} THEN 'completed' ELSE 'pending' END,
                failure_code = (SELECT failure_code FROM bad), failure_message = (SELECT failure_message FROM bad)
            WHERE id = %(video)s AND status = 'processing' AND {_ALLOWED}""",
        {"video": video_id, "token": lease_token},
    )


def unattended(db: Database) -> list[str]:
    """Videos that are `processing` by their status alone: no run of theirs goes on, and nobody holds their lease."""
    rows = db.fetch(
        """SELECT id::text AS id FROM videos WHERE status = 'processing'
               AND NOT EXISTS (SELECT 1 FROM processing_jobs WHERE video_id = videos.id AND status = 'processing')
               AND NOT EXISTS (SELECT 1 FROM leases WHERE video_id = videos.id AND expires_at > clock_timestamp())"""
    )
    return [row["id"] for row in rows]
