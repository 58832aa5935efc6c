"""Jobs: one row of `processing_jobs` per video and run, from the run's first stage to its end.

What belongs here: how far a run is with a video, and how it ended. What does not: the video's own status (`status`), what a run does.
A job is `completed` once all stages that its run was asked for are there, and `failed` once one of them has failed for good.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import CallerError, Interrupted, LeaseLost, Quarantined, ReframerError, RunDied, VideoBusy
from reframer_pipeline.work import lease
from reframer_pipeline.work.status import Event, settle_within, transition

if TYPE_CHECKING:
    import psycopg


def queue(db: Database, waiting: Mapping[str, str], within_s: float = math.inf) -> None:
    """Runs wait for their turn: run id to video id. A partition that somebody made by hand may be no video: it is left out.

    `within_s` as for `Database.run`.
    """
    db.execute(
        """INSERT INTO processing_jobs (video_id, run_id, status)
           SELECT v.id, w.run_id, 'pending'
           FROM unnest(%s::text[], %s::text[]) AS w (run_id, video_id) JOIN videos v ON v.id::text = w.video_id
           ON CONFLICT (video_id, run_id) DO NOTHING""",
        (list(waiting), list(waiting.values())),
        within_s,
    )


def forget_queued(db: Database, run_id: str) -> None:
    """A run was taken out of the queue before it began."""
    db.execute("DELETE FROM processing_jobs WHERE run_id = %s AND status = 'pending'", (run_id,))


@dataclass(frozen=True)
class Started:
    """A stage of a job that has begun.

    Attributes:
        job_id: The job's id.
        pinned: What its run is asked for, as the first of its stages has written it down.
    """

    job_id: str
    pinned: dict[str, Any]


def start(
    db: Database,
    video_id: str,
    run_id: str,
    *,
    lease_token: str,
    pinned: Mapping[str, Any],
    stage: str | None = None,
    recipe: str | None = None,
    attempt: int = 1,
) -> Started | None:
    """A run takes up a stage of a video. The video is `processing` from then on, and its lease is prolonged.

    Args:
        db: The database.
        video_id: The video.
        run_id: The run.
        lease_token: Of the video's lease.
        pinned: What the run is asked for; kept if it is the first stage to say so.
        stage: Name of the stage.
        recipe: Which recipe it follows: what a failure is remembered by.
        attempt: The how-manieth time the stage is tried.

    Returns:
        The job; None if the lease is another one's by now.

    Raises:
        LeaseLost: The run was declared dead while it was only asleep; nothing was written.
    """

    def act(conn: psycopg.Connection[Row]) -> Row | None:
        if not lease.beat(conn, video_id, lease_token):
            return None
        interrupt_within(conn, video_id, but=run_id)  # with the lease in our hands, a job of another run is one whose process ended
        row = conn.execute(
            """INSERT INTO processing_jobs AS job (id, video_id, run_id, attempts, stage, recipe, pinned)
               VALUES (%(id)s, %(video)s, %(run)s, %(attempt)s, %(stage)s, %(recipe)s, %(pinned)s)
               ON CONFLICT (video_id, run_id) DO UPDATE SET attempts = greatest(job.attempts, EXCLUDED.attempts), updated_at = now(),
                   stage = EXCLUDED.stage, done = 0, total = 0, progress = 0, recipe = EXCLUDED.recipe,
                   pinned = coalesce(job.pinned, EXCLUDED.pinned),
                   status = CASE job.status WHEN 'pending' THEN 'processing' ELSE job.status END
               RETURNING id, failure_code, pinned""",
            {
                "id": str(uuid.uuid4()), "video": video_id, "run": run_id, "attempt": attempt, "stage": stage, "recipe": recipe,
                "pinned": json.dumps(pinned),
            },
        ).fetchone()  # fmt: skip
        if row is not None and row["failure_code"] in (RunDied.code, Quarantined.code):
            told = "This run showed no sign of life for so long that it was declared dead."
            raise LeaseLost(told, "Nothing to do: another run takes over.")
        transition(conn, video_id, Event.BEGUN)
        return row

    row = db.run(act)
    return None if row is None else Started(str(row["id"]), row["pinned"])


def progress(db: Database, job_id: str, stage: str, done: int, total: int) -> bool:
    """How far a stage of the job is: `done` of `total` in its own unit, total 0 for unknown. Two stages may go on side by side.

    Returns:
        Whether there is such a job, however it stands: it goes with its video.
    """
    share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
    noted = db.execute(
        """UPDATE processing_jobs SET stage = %s, done = %s, total = %s, progress = %s, updated_at = now()
           WHERE id = %s AND status = 'processing'""",
        (stage, done, total, share, job_id),
    )
    return noted > 0 or db.fetch_one("SELECT 1 AS one FROM processing_jobs WHERE id = %s", (job_id,)) is not None


def complete(db: Database, video_id: str, run_id: str, stages: Collection[str]) -> bool:
    """Call a job completed if its run has committed all of these stages. Returns whether it is."""
    return db.run(lambda conn: _complete(conn, video_id, run_id, stages))


def finish(db: Database, video_id: str, run_id: str, stages: Collection[str], lease_token: str) -> bool:
    """`complete`; and then the video's status settles, unless another run has failed while this one went on.

    A video that failed before is well again by that. For the holder of the video's lease.
    """

    def act(conn: psycopg.Connection[Row]) -> bool:
        completed = _complete(conn, video_id, run_id, stages)
        if completed and not _failed_since(conn, video_id, run_id) and lease.beat(conn, video_id, lease_token):
            settle_within(conn, video_id)
        return completed

    return db.run(act)


def _complete(conn: psycopg.Connection[Row], video_id: str, run_id: str, stages: Collection[str]) -> bool:
    completed = conn.execute(
        """UPDATE processing_jobs SET status = 'completed', progress = 1, failure_code = NULL, failure_message = NULL,
               finished_at = coalesce(finished_at, now()), updated_at = now()
           WHERE video_id = %(video)s AND run_id = %(run)s
             AND (SELECT count(DISTINCT stage) FROM results WHERE video_id = %(video)s AND run_id = %(run)s AND stage = ANY(%(stages)s))
                 = %(count)s""",
        {"video": video_id, "run": run_id, "stages": list(stages), "count": len(set(stages))},
    )
    return completed.rowcount > 0


def _failed_since(conn: psycopg.Connection[Row], video_id: str, run_id: str) -> bool:
    """Whether another run of the video ended after this run's beginning and failed; interruptions, and giving way, do not count."""
    row = conn.execute(
        """SELECT 1 FROM processing_jobs AS this JOIN processing_jobs AS other USING (video_id)
           WHERE this.video_id = %s AND this.run_id = %s AND other.status = 'failed' AND other.failure_code <> ALL(%s)
             AND other.finished_at > this.created_at""",
        (video_id, run_id, [Interrupted.code, VideoBusy.code]),
    ).fetchone()
    return row is not None


def fail(db: Database, video_id: str, run_id: str, failure: ReframerError, stage: str | None = None, recipe: str | None = None) -> None:
    """A job has failed, if it was still going on: at this stage and with this recipe, or else at what it began last. For good, unless the
    failure passes or its cause is not the video.
    """
    passing = failure.retryable or isinstance(failure, CallerError)
    db.execute(
        """UPDATE processing_jobs SET status = 'failed', failure_code = %s, failure_message = %s, finished_at = now(), updated_at = now(),
               stage = coalesce(%s, stage), failed_recipe = coalesce(%s, recipe), retryable = %s
           WHERE video_id = %s AND run_id = %s AND status IN ('pending', 'processing')""",
        (failure.code, clean_text(str(failure)), stage, recipe, passing, video_id, run_id),
    )


def interrupt(db: Database, video_id: str) -> None:
    """Fail the jobs of a video that still go on, as interrupted. For the holder of the video's lease."""
    db.run(lambda conn: interrupt_within(conn, video_id))


def interrupt_within(conn: psycopg.Connection[Row], video_id: str, but: str = "") -> None:
    """`interrupt` within a transaction, but for the job of one run."""
    failure = Interrupted("The run was interrupted, or its process ended.")
    conn.execute(
        """UPDATE processing_jobs SET status = 'failed', failure_code = %s, failure_message = %s, finished_at = now(), updated_at = now(),
               retryable = true
           WHERE video_id = %s AND run_id <> %s AND status = 'processing'""",
        (failure.code, clean_text(str(failure)), video_id, but),
    )


def latest(db: Database, video_id: str) -> Row | None:
    """`status`, `failure_code`, `stage`, `done` and `total` of the video's youngest job, or None."""
    return db.fetch_one(
        "SELECT status, failure_code, stage, done, total FROM processing_jobs WHERE video_id = %s ORDER BY created_at DESC LIMIT 1",
        (video_id,),
    )


def open_jobs(db: Database) -> list[Row]:
    """The jobs that go on or wait, and whether somebody alive works on their video; those that go on first.

    Returns:
        Dicts with `video_id, filename, run_id, status, stage, done, total, quiet` (seconds since the last sign of the job itself) and
        `leased`.
    """
    return db.fetch(
        """SELECT j.video_id::text AS video_id, v.filename, j.run_id, j.status, j.stage, j.done, j.total,
               extract(epoch FROM clock_timestamp() - j.updated_at)::float8 AS quiet,
               coalesce(l.expires_at > clock_timestamp(), false) AS leased
           FROM processing_jobs j JOIN videos v ON v.id = j.video_id LEFT JOIN leases l ON l.video_id = j.video_id
           WHERE j.status IN ('pending', 'processing') ORDER BY j.status DESC, j.created_at"""
    )


def in_words(job: Row) -> str:
    """Where an open job is, for people: the file and the stage."""
    how_far = f", {job['done']} of {job['total']}" if job["total"] else ""
    return f"{job['filename']} ({job['stage'] or 'before its first stage'}{how_far})"


def deaths(db: Database, video_id: str) -> int:
    """Runs of a video that died one after the other since the last that ended otherwise."""
    row = db.fetch_one(
        """SELECT count(*) AS n FROM processing_jobs WHERE video_id = %(id)s AND failure_code = %(died)s AND created_at > coalesce(
               (SELECT max(created_at) FROM processing_jobs
                WHERE video_id = %(id)s AND status IN ('completed', 'failed') AND failure_code IS DISTINCT FROM %(died)s), '-infinity')""",
        {"id": video_id, "died": RunDied.code},
    )
    return int(row["n"]) if row else 0
