"""Videos as people see them: the list, and everything about one.

What belongs here: the summaries of `reframer list` and `show`. What does not: pictures (`sheets`), changing anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from reframer_pipeline.corrections import log
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import UnknownVideo
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work.status import STANDING
from reframer_pipeline.work.videos import plain

if TYPE_CHECKING:
    import psycopg

# Of the published results of a video `v`: `result_id`, the set, or null; `counts`, a dict of stage to number; `demo_models`, whether the
# demonstration models made any of them; `archived`, whether rows are away; `evicted`, whether the sampled pictures are.
SUMMARY: LiteralString = """
    SELECT max(r.result_id::text) FILTER (WHERE r.stage = 'scenes') AS result_id,
        coalesce(jsonb_object_agg(r.stage, r.row_count - coalesce((r.stats ->> 'candidates')::bigint, 0))
            FILTER (WHERE r.stage IS NOT NULL), '{}') AS counts,
        coalesce(bool_or(starts_with(r.components ->> 'weights', 'demo:')), false) AS demo_models,
        coalesce(bool_or(r.archived_at IS NOT NULL), false) AS archived,
        coalesce(bool_or(r.evicted_at IS NOT NULL), false) AS evicted
    FROM current_results r WHERE r.video_id = v.id"""


def list_videos(db: Database, limit: int = 100) -> list[Row]:
    """The newest videos, each with its facts, status, and the published counts by stage (absent before completion).

    Returns:
        Dicts with `video_id, filename, status, failure_code, failure_message, duration, resolution, fps, frame_count, size_bytes,
        created_at, updated_at`, and what `SUMMARY` says.
    """
    return db.fetch(
        f"""SELECT v.id::text AS video_id, v.filename, stands.*, v.duration, v.resolution, v.fps, v.frame_count, v.size_bytes,
                v.created_at, v.updated_at, about.*
            FROM (SELECT * FROM videos ORDER BY created_at DESC, id LIMIT %s) v
                CROSS JOIN LATERAL ({STANDING}) stands CROSS JOIN LATERAL ({SUMMARY}) about
            ORDER BY v.created_at DESC, v.id""",
        (limit,),
    )


def show_video(db: Database, video_id: str) -> dict[str, Any]:
    """Everything about one video, in one consistent view.

    Returns:
        A dict: `video` (facts and status), `stages` (published results: result id, rows, seconds, stats, checks), `counts`,
        `classes` (detections by class, as they were computed), `tracks`, `scenes`, `gemini` (what was asked, and its cost), `uploads`,
        `jobs` (newest first), `corrections` (the log of what was corrected by hand, as `corrections.log.list_` has it), `demo_models` and
        `archived` as for `list_videos`, `evicted` (published results whose attached object is away).

    Raises:
        UnknownVideo: There is none.
    """

    def read(conn: psycopg.Connection[Row]) -> dict[str, Any]:
        video = conn.execute(_VIDEO, (video_id,)).fetchone()
        if video is None:
            raise UnknownVideo(f"There is no video {video_id}.")
        lists = {name: [plain(row) for row in conn.execute(query, (video_id,))] for name, query in _SHOWN.items()}
        return {"video": plain(video), **lists}

    shown = db.run(read, snapshot=True)
    shown["stages"].sort(key=lambda row: NAMES.index(row["stage"]))
    shown["classes"] = {row["class"]: row["count"] for row in shown["classes"]}
    shown["counts"] = {row["stage"]: row["row_count"] - int(row["stats"].get("candidates", 0)) for row in shown["stages"]}
    (marks,) = shown.pop("marks")
    return {**shown, **marks, "corrections": log.list_(db, video_id)}


# Of two columns with the same name the last one counts.
_VIDEO: LiteralString = f"""
    SELECT v.*, stands.*, u.email FROM videos v JOIN users u ON u.id = v.user_id CROSS JOIN LATERAL ({STANDING}) stands WHERE v.id = %s"""
_SHOWN: dict[str, LiteralString] = {
    "stages": """SELECT stage, result_id, row_count, seconds, stats, checks, object_key, object_bytes, attachment_bytes, run_id, created_at,
                     recomputed_at, corrects IS NOT NULL AS by_hand FROM current_results WHERE video_id = %s""",
    "classes": """SELECT detection_data ->> 'class' AS class, count(*) FROM current_detections
                  WHERE video_id = %s AND NOT detection_data ? 'candidate' GROUP BY 1 ORDER BY 1""",
    "tracks": """SELECT track_id, class, label, start_frame, end_frame, start_seconds, seconds, sightings, confidence, by_hand
                 FROM tracks
                 WHERE video_id = %s ORDER BY start_frame, track_id""",
    "scenes": """SELECT scene_number, start_frame, end_frame, start_seconds, end_seconds, describer, analysis_data
                 FROM current_scene_analysis WHERE video_id = %s ORDER BY scene_number""",
    "gemini": """SELECT model, prompt_version, model_version, requests, input_tokens, output_tokens, cost_usd::float8 AS cost_usd,
                     answered_at, failures, failure_code, failure_message, next_ask_at,
                     coalesce(claimed_until > clock_timestamp(), false) AS being_asked
                 FROM gemini_questions WHERE video_id = %s ORDER BY coalesce(answered_at, failed_at, created_at) DESC""",
    "uploads": """SELECT id, filename, bucket_key, status, failure_code, failure_message, created_at FROM uploads
                  WHERE video_id = %s ORDER BY created_at DESC LIMIT 20""",
    "jobs": """SELECT id, run_id, status, stage, progress, attempts, failure_code, failure_message, created_at, finished_at
               FROM processing_jobs WHERE video_id = %s ORDER BY created_at DESC LIMIT 20""",
    "marks": """SELECT coalesce(bool_or(starts_with(components ->> 'weights', 'demo:')), false) AS demo_models,
                    coalesce(bool_or(archived_at IS NOT NULL), false) AS archived,
                    coalesce(array_agg(result_id::text ORDER BY result_id) FILTER (WHERE evicted_at IS NOT NULL), '{}') AS evicted
                FROM current_results WHERE video_id = %s""",
}
