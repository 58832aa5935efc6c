"""Jobs: one row of `processing_jobs` per video and run, from the run's first stage to its end.

What belongs here: how far a run is with a video, and how it ended. What does not: the video's own status (`status`), what a run does.
A job is `completed` once all stages that its run was asked for are there, and `failed` once one of them has failed for good.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection

from reframer_pipeline.failures import Interrupted, ReframerError
from reframer_pipeline.storage.postgres import Database, Row
from reframer_pipeline.storage.text import clean_text


def start(db: Database, video_id: str, run_id: str, attempt: int = 1) -> str:
    """A run takes up a video, its stage for the `attempt`-th time; each of its stages says so. For the holder of the video's lease.

    Returns:
        The job's id.
    """
    interrupt(db, video_id, but=run_id)  # with the lease in our hands, a job of another run is one whose process ended
    row = db.fetch_one(
        """INSERT INTO processing_jobs AS job (id, video_id, run_id, attempts) VALUES (%s, %s, %s, %s)
           ON CONFLICT (video_id, run_id) DO UPDATE SET attempts = greatest(job.attempts, EXCLUDED.attempts), updated_at = now()
           RETURNING id""",
        (str(uuid.uuid4()), video_id, run_id, attempt),
    )
    assert row is not None
    return str(row["id"])


def progress(db: Database, job_id: str, stage: str, done: int, total: int) -> None:
    """How far a job is: `done` of `total` in the stage's own unit, total 0 for unknown."""
    share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
    db.execute(
        "UPDATE processing_jobs SET stage = %s, done = %s, total = %s, progress = %s, updated_at = now() WHERE id = %s",
        (stage, done, total, share, job_id),
    )


def complete(db: Database, video_id: str, run_id: str, stages: Collection[str]) -> bool:
    """Call a job completed if its run has committed all of these stages.

    Returns:
        Whether it is completed.
    """
    completed = db.execute(
        """UPDATE processing_jobs SET status = 'completed', progress = 1, failure_code = NULL, failure_message = NULL,
               finished_at = coalesce(finished_at, now()), updated_at = now()
           WHERE video_id = %(video)s AND run_id = %(run)s
             AND (SELECT count(DISTINCT stage) FROM results WHERE video_id = %(video)s AND run_id = %(run)s AND stage = ANY(%(stages)s))
                 = %(count)s""",
        {"video": video_id, "run": run_id, "stages": list(stages), "count": len(set(stages))},
    )
    return completed > 0


def fail(db: Database, video_id: str, run_id: str, failure: ReframerError) -> None:
    """A job has failed, if it was still going on."""
    db.execute(
        """UPDATE processing_jobs SET status = 'failed', failure_code = %s, failure_message = %s, finished_at = now(), updated_at = now()
           WHERE video_id = %s AND run_id = %s AND status = 'processing'""",
        (failure.code, clean_text(str(failure)), video_id, run_id),
    )


def interrupt(db: Database, video_id: str, but: str = "") -> None:
    """Fail the jobs of a video that still go on, as interrupted, but for that of one run. For the holder of the video's lease."""
    failure = Interrupted("The run was interrupted, or its process ended.")
    db.execute(
        """UPDATE processing_jobs SET status = 'failed', failure_code = %s, failure_message = %s, finished_at = now(), updated_at = now()
           WHERE video_id = %s AND run_id <> %s AND status = 'processing'""",
        (failure.code, clean_text(str(failure)), video_id, but),
    )


def failed_since(db: Database, video_id: str, run_id: str) -> bool:
    """Whether another run of the video began or ended after this run's beginning and failed, interruptions not counted."""
    row = db.fetch_one(
        """SELECT 1 FROM processing_jobs AS this JOIN processing_jobs AS other USING (video_id)
           WHERE this.video_id = %s AND this.run_id = %s AND other.status = 'failed' AND other.failure_code <> %s
             AND other.finished_at > this.created_at""",
        (video_id, run_id, Interrupted.code),
    )
    return row is not None


def latest(db: Database, video_id: str) -> Row | None:
    """`stage`, `done` and `total` of the video's youngest job, or None."""
    return db.fetch_one("SELECT stage, done, total FROM processing_jobs WHERE video_id = %s ORDER BY created_at DESC LIMIT 1", (video_id,))
