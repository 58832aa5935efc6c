"""Jobs: one row of `processing_jobs` per video and run, from the run's first stage to its end.

What belongs here: how far a run is with a video, and how it ended. What does not: the video's own status (`status`), what a run does.
A job is `completed` once all stages that its run was asked for are there, and `failed` once one of them has failed for good.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import CallerError, Interrupted, LeaseLost, Quarantined, ReframerError, RunDied, VideoBusy


def queue(db: Database, waiting: Mapping[str, str]) -> None:
    """Runs wait for their turn: run id to video id."""
    db.execute(
        """INSERT INTO processing_jobs (video_id, run_id, status)
           SELECT v.id, w.run_id, 'pending' FROM unnest(%s::text[], %s::uuid[]) AS w (run_id, video_id) JOIN videos v ON v.id = w.video_id
           ON CONFLICT (video_id, run_id) DO NOTHING""",
        (list(waiting), list(waiting.values())),
    )


def forget_queued(db: Database, run_id: str) -> None:
    """A run was taken out of the queue before it began."""
    db.execute("DELETE FROM processing_jobs WHERE run_id = %s AND status = 'pending'", (run_id,))


def start(db: Database, video_id: str, run_id: str, attempt: int = 1) -> str:
    """A run takes up a video, its stage for the `attempt`-th time; each of its stages says so. For the holder of the video's lease.

    Returns:
        The job's id.

    Raises:
        LeaseLost: The run was declared dead while it was only asleep.
    """
    interrupt(db, video_id, but=run_id)  # with the lease in our hands, a job of another run is one whose process ended
    row = db.fetch_one(
        """INSERT INTO processing_jobs AS job (id, video_id, run_id, attempts) VALUES (%s, %s, %s, %s)
           ON CONFLICT (video_id, run_id) DO UPDATE SET attempts = greatest(job.attempts, EXCLUDED.attempts), updated_at = now(),
               recipe = NULL, status = CASE job.status WHEN 'pending' THEN 'processing' ELSE job.status END
           RETURNING id, failure_code""",
        (str(uuid.uuid4()), video_id, run_id, attempt),
    )
    assert row is not None
    if row["failure_code"] in (RunDied.code, Quarantined.code):
        raise LeaseLost("This run showed no sign of life for so long that it was declared dead.", "Nothing to do: another run takes over.")
    return str(row["id"])


def at_recipe(db: Database, job_id: str, recipe: str) -> None:
    """Which recipe the job's present stage follows: what a failure is remembered by."""
    db.execute("UPDATE processing_jobs SET recipe = %s WHERE id = %s", (recipe, job_id))


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
    """A job has failed, if it was still going on. For good, unless the failure passes or its cause is not the video."""
    passing = failure.retryable or isinstance(failure, CallerError)
    db.execute(
        """UPDATE processing_jobs SET status = 'failed', failure_code = %s, failure_message = %s, finished_at = now(), updated_at = now(),
               failed_recipe = recipe, retryable = %s
           WHERE video_id = %s AND run_id = %s AND status IN ('pending', 'processing')""",
        (failure.code, clean_text(str(failure)), passing, video_id, run_id),
    )


def interrupt(db: Database, video_id: str, but: str = "") -> None:
    """Fail the jobs of a video that still go on, as interrupted, but for that of one run. For the holder of the video's lease."""
    failure = Interrupted("The run was interrupted, or its process ended.")
    db.execute(
        """UPDATE processing_jobs SET status = 'failed', failure_code = %s, failure_message = %s, finished_at = now(), updated_at = now(),
               retryable = true
           WHERE video_id = %s AND run_id <> %s AND status = 'processing'""",
        (failure.code, clean_text(str(failure)), video_id, but),
    )


def failed_since(db: Database, video_id: str, run_id: str) -> bool:
    """Whether another run of the video ended after this run's beginning and failed; interruptions, and giving way, do not count."""
    row = db.fetch_one(
        """SELECT 1 FROM processing_jobs AS this JOIN processing_jobs AS other USING (video_id)
           WHERE this.video_id = %s AND this.run_id = %s AND other.status = 'failed' AND other.failure_code <> ALL(%s)
             AND other.finished_at > this.created_at""",
        (video_id, run_id, [Interrupted.code, VideoBusy.code]),
    )
    return row is not None


def latest(db: Database, video_id: str) -> Row | None:
    """`status`, `failure_code`, `stage`, `done` and `total` of the video's youngest job, or None."""
    return db.fetch_one(
        "SELECT status, failure_code, stage, done, total FROM processing_jobs WHERE video_id = %s ORDER BY created_at DESC LIMIT 1",
        (video_id,),
    )


def open_jobs(db: Database) -> list[Row]:
    """The jobs that go on or wait, and whether somebody alive works on their video; those that go on first.

    Returns:
        Dicts with `video_id, run_id, status, stage, quiet` (seconds since the last sign of the job itself) and `leased`.
    """
    return db.fetch(
        """SELECT j.video_id::text AS video_id, j.run_id, j.status, j.stage,
               extract(epoch FROM clock_timestamp() - j.updated_at)::float8 AS quiet,
               coalesce(l.expires_at > clock_timestamp(), false) AS leased
           FROM processing_jobs j LEFT JOIN leases l ON l.video_id = j.video_id
           WHERE j.status IN ('pending', 'processing') ORDER BY j.status DESC, j.created_at"""
    )


def deaths(db: Database, video_id: str) -> int:
    """Runs of a video that died one after the other since the last that ended otherwise."""
    row = db.fetch_one(
        """SELECT count(*) AS n FROM processing_jobs WHERE video_id = %(id)s AND failure_code = %(died)s AND created_at > coalesce(
               (SELECT max(created_at) FROM processing_jobs
                WHERE video_id = %(id)s AND status IN ('completed', 'failed') AND failure_code IS DISTINCT FROM %(died)s), '-infinity')""",
        {"id": video_id, "died": RunDied.code},
    )
    return int(row["n"]) if row else 0
