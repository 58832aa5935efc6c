"""Status: how far each video is, and what the commands that only read want to know.

What belongs here: `videos.status`, and the summaries of `reframer list` and `show`. What does not: single runs (`jobs`), results. A video
becomes `completed` by the commit of scenes (`publishing`); here it only goes back to that.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, LiteralString

from reframer_pipeline.failures import CallerError, ReframerError, UnknownVideo
from reframer_pipeline.storage.postgres import Database, Row
from reframer_pipeline.storage.questions import OF_VIDEO
from reframer_pipeline.storage.text import clean_text

if TYPE_CHECKING:
    import psycopg


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


def get_video(db: Database, video_id: str) -> Row:
    """The row of a video in `videos`.

    Raises:
        UnknownVideo: There is none.
    """
    row = db.fetch_one("SELECT * FROM videos WHERE id = %s", (video_id,))
    if row is None:
        raise UnknownVideo(f"There is no video {video_id}.")
    return _plain(row)


def list_videos(db: Database, limit: int = 100) -> list[Row]:
    """The newest videos, each with its facts, status, and the published counts by stage (absent before completion).

    Returns:
        Dicts with `video_id, filename, status, failure_code, failure_message, duration, resolution, fps, frame_count, size_bytes,
        created_at, updated_at` and `counts`, a dict of stage to number.
    """
    rows = db.fetch(
        """SELECT v.id::text AS video_id, v.filename, v.status, v.failure_code, v.failure_message, v.duration, v.resolution, v.fps,
                  v.frame_count, v.size_bytes, v.created_at, v.updated_at,
                  coalesce(jsonb_object_agg(r.stage, r.row_count - coalesce((r.stats ->> 'candidates')::bigint, 0))
                           FILTER (WHERE r.stage IS NOT NULL), '{}') AS counts
           FROM videos v LEFT JOIN current_results r ON r.video_id = v.id
           GROUP BY v.id ORDER BY v.created_at DESC, v.id LIMIT %s""",
        (limit,),
    )
    return rows


def show_video(db: Database, video_id: str) -> dict[str, Any]:
    """Everything about one video, in one consistent view.

    Returns:
        A dict: `video` (facts and status), `stages` (published results: result id, rows, seconds, stats, checks), `counts`,
        `classes` (detections by class), `tracks`, `scenes`, `gemini` (what was asked, and its cost), `uploads`, `jobs` (newest first).

    Raises:
        UnknownVideo: There is none.
    """

    def read(conn: psycopg.Connection[Row]) -> dict[str, Any]:
        video = conn.execute("SELECT v.*, u.email FROM videos v JOIN users u ON u.id = v.user_id WHERE v.id = %s", (video_id,)).fetchone()
        if video is None:
            raise UnknownVideo(f"There is no video {video_id}.")
        lists = {name: [_plain(row) for row in conn.execute(query, (video_id,))] for name, query in _SHOWN.items()}
        return {"video": _plain(video), **lists}

    shown = db.run(read, snapshot=True)
    shown["classes"] = {row["class"]: row["count"] for row in shown["classes"]}
    shown["counts"] = {row["stage"]: row["row_count"] - int(row["stats"].get("candidates", 0)) for row in shown["stages"]}
    return shown


_SHOWN: dict[str, LiteralString] = {
    "stages": """SELECT stage, result_id, row_count, seconds, stats, checks, object_key, object_bytes, attachment_bytes, run_id, created_at,
                     recomputed_at FROM current_results WHERE video_id = %s
                 ORDER BY array_position(ARRAY['metadata', 'frames', 'detections', 'masks', 'trajectories', 'scenes'], stage)""",
    "classes": """SELECT detection_data ->> 'class' AS class, count(*) FROM current_detections
                  WHERE video_id = %s AND NOT detection_data ? 'candidate' GROUP BY 1 ORDER BY 1""",
    "tracks": """SELECT track_id, object_class AS class, trajectory_data ->> 'label' AS label, start_frame, end_frame,
                     (trajectory_data ->> 'avg_confidence')::float8 AS avg_confidence,
                     jsonb_array_length(trajectory_data -> 'frames') AS frames
                 FROM current_tracking_trajectories WHERE video_id = %s ORDER BY track_id""",
    "scenes": """SELECT scene_number, start_frame, end_frame, start_seconds, end_seconds, describer, analysis_data
                 FROM current_scene_analysis WHERE video_id = %s ORDER BY scene_number""",
    "gemini": OF_VIDEO,
    "uploads": """SELECT id, filename, bucket_key, status, failure_code, failure_message, created_at FROM uploads
                  WHERE video_id = %s ORDER BY created_at DESC LIMIT 20""",
    "jobs": """SELECT id, run_id, status, stage, progress, attempts, failure_code, failure_message, created_at, finished_at
               FROM processing_jobs WHERE video_id = %s ORDER BY created_at DESC LIMIT 20""",
}


def _plain(row: Row) -> Row:
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in row.items()}
