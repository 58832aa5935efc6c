"""Jobs as people see them: how far each is, what it waits for, how long that will take, and why it failed.

What belongs here: an upload that asks for computing, its video and the video's latest run as one value. What does not: making a job
(`uploads.submitting`), a run's own row (`work.jobs`), how it is said over HTTP (`api`). A job is `failed` if the upload was refused;
otherwise it stands as its video does (`work.status`). A video that is computed anew, later, shows as `processing` once more.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import InternalError, NobodyToRun, all_failures
from reframer_pipeline.reading.estimates import Rates
from reframer_pipeline.reading.parts import read_part
from reframer_pipeline.stages import NAMES
from reframer_pipeline.uploads.rows import WAS_THEIRS
from reframer_pipeline.work.signs import COMPUTING, QUIET_S
from reframer_pipeline.work.status import STANDING, WAITING, Status
from reframer_pipeline.work.videos import is_video_id

if TYPE_CHECKING:
    import psycopg

ENDS: Final[tuple[Status, ...]] = ("completed", "failed")


@dataclass(frozen=True)
class Failure:
    """Why a job failed, and what to do: a failure's code, message and remedy."""

    code: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Stage:
    """What a run is doing.

    Attributes:
        name: Of the stage.
        progress: From 0 to 1.
        done: Of `total`, in the stage's own unit.
        total: 0 if nobody knows.
    """

    name: str
    progress: float
    done: int
    total: int


@dataclass(frozen=True)
class Job:
    """A job at one moment.

    Attributes:
        job_id: `uploads.id`.
        video_id: Its video; None if the upload was refused.
        filename: As its sender calls the video.
        was_theirs: Whether they had brought it before; it keeps the name that it had.
        status: pending, processing, completed or failed.
        progress: Of the whole, from 0 to 1. Stages count by the time they usually take, or alike if that is not known.
        stage: What its run is doing, while there is one.
        place_in_queue: How many-th it is among the videos that wait, from 1; None if it does not wait.
        seconds_left: Until it is completed, from measured rates; None where something was never measured, while nobody computes, and when
            it has ended.
        held_up_by: Why nothing becomes of it although it has not ended: for `signs.QUIET_S`, nobody has computed anything.
        failure: Why it failed.
        created_at: When it was submitted.
        updated_at: When its video's state or its run gave its last sign, also one that waits.
    """

    job_id: str
    video_id: str | None
    filename: str
    was_theirs: bool
    status: Status
    progress: float
    stage: Stage | None
    place_in_queue: int | None
    seconds_left: float | None
    held_up_by: Failure | None
    failure: Failure | None
    created_at: datetime
    updated_at: datetime

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be expected, unless it is computed anew."""
        return self.status in ENDS

    @property
    def state(self) -> str:
        """A mark that differs whenever something other than the clock has changed. It follows from what is stored alone."""
        told = (
            self.status,
            self.progress,
            self.place_in_queue,
            self.stage and (self.stage.name, self.stage.done),
            self.failure and self.failure.code,
        )
        return hashlib.sha256(json.dumps([self.job_id, told]).encode()).hexdigest()[:16]


def get_job(db: Database, user_id: str, job_id: str, rates: Rates, at_once: int) -> Job | None:
    """One of a person's jobs, or None if they have none with this id.

    Args:
        db: The database.
        user_id: Whose.
        job_id: Which.
        rates: What stages usually take.
        at_once: How many videos are computed at a time.
    """
    if not is_video_id(job_id):
        return None

    def read(conn: psycopg.Connection[Row]) -> Job | None:
        row = conn.execute(f"{_JOBS} AND u.user_id = %s AND u.id = %s", (user_id, job_id)).fetchone()
        if row is None:
            return None
        queue = _ahead(conn, row, rates) if row["status"] == "pending" else None
        return _job(row, rates, queue, at_once)

    return db.run(read, snapshot=True)


def list_jobs(
    db: Database, user_id: str, rates: Rates, limit: int, after: Sequence[Any] = (), characters: float = math.inf
) -> tuple[list[Job], bool]:
    """A person's jobs, the newest first, one page, and whether there are more; without their places in the queue.

    Args:
        db: The database.
        user_id: Whose.
        rates: What stages usually take.
        limit: Length of the page.
        after: `created_at` and `job_id` of the last one on the page before.
        characters: Of what is read of them at most, as for `parts.read_part`.
    """
    at, job_id = after or (None, None)
    beyond: LiteralString = "" if not after else "AND (u.created_at, u.id) < (%(at)s, %(id)s::uuid)"  # along the index, no OR
    query = f"{_JOBS} AND u.user_id = %(user)s {beyond} ORDER BY u.created_at DESC, u.id DESC LIMIT %(limit)s"
    values = {"user": user_id, "at": at, "id": job_id, "limit": limit + 1}
    rows, more = db.run(lambda conn: read_part(conn, query, values, limit, characters))
    return [_job(row, rates, None, 1) for row in rows], more


@dataclass(frozen=True)
class _Ahead:
    """What comes before a job that waits: how many videos, and the seconds that they and those being computed still take, if known."""

    videos: int
    seconds: float | None


# Everything of a job that its own rows tell. A video's latest run counts that is at it, or else one that waits: that has no stage.
_JOBS: Final[LiteralString] = f"""
    SELECT u.id::text AS job_id, u.video_id::text AS video_id, u.filename, {WAS_THEIRS} AS was_theirs, u.created_at,
        CASE WHEN u.status = 'completed' THEN stands.status ELSE u.status END AS status,
        coalesce(u.failure_code, stands.failure_code) AS failure_code,
        coalesce(u.failure_message, stands.failure_message) AS failure_message,
        greatest(u.created_at, v.updated_at, run.updated_at) AS updated_at, v.created_at AS video_created_at, v.duration,
        run.stage, run.done, run.total, run.progress, {COMPUTING} AS computing,
        greatest(u.created_at, v.updated_at, run.updated_at) < now() - interval '{QUIET_S} seconds' AS waits_long
    FROM uploads u LEFT JOIN videos v ON v.id = u.video_id CROSS JOIN LATERAL ({STANDING}) stands
        LEFT JOIN LATERAL (SELECT stage, done, total, progress, updated_at FROM processing_jobs j
            WHERE j.video_id = v.id AND j.status IN ('processing', 'pending') ORDER BY j.status DESC, j.created_at DESC LIMIT 1) run ON true
    WHERE u.requested AND u.status <> 'deleted'"""


def _job(row: Mapping[str, Any], rates: Rates, ahead: _Ahead | None, at_once: int) -> Job:
    status: Status = row["status"]
    stage = None
    if status == "processing" and row["stage"] is not None:
        stage = Stage(row["stage"], row["progress"], row["done"], row["total"])
    open_still = status not in ENDS
    left = _left(row, rates) if open_still and row["computing"] else None
    if ahead is not None and left is not None:
        left = None if ahead.seconds is None else left + ahead.seconds / at_once
    return Job(
        job_id=row["job_id"],
        video_id=row["video_id"],
        filename=row["filename"],
        was_theirs=row["was_theirs"],
        status=status,
        progress=1.0 if status == "completed" else round(_share(row, rates), 4) if stage else 0.0,
        stage=stage,
        place_in_queue=None if ahead is None else ahead.videos + 1,
        seconds_left=None if left is None else round(left, 1),
        held_up_by=failure_of(NobodyToRun.code, "") if open_still and row["waits_long"] and not row["computing"] else None,
        failure=failure_of(row["failure_code"], row["failure_message"]) if status == "failed" else None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def failure_of(code: str, stored: str) -> Failure:
    """What is stored is message and remedy in one, as a failure says itself."""
    remedy = next((kind.default_remedy for kind in all_failures() if kind.code == code), InternalError.default_remedy)
    return Failure(code, stored.removesuffix(remedy).strip(), remedy)


def _share(row: Mapping[str, Any], rates: Rates) -> float:
    """How much of a run is done. What is before the stage that it is at is taken for done."""
    weights = [rates.seconds.get(name) for name in NAMES]
    known = [weight for weight in weights if weight is not None]
    if len(known) < len(NAMES) or not sum(known):
        known = [1.0] * len(NAMES)
    at = NAMES.index(row["stage"]) if row["stage"] in NAMES else 0
    return (sum(known[:at]) + known[at] * row["progress"]) / sum(known)


def _left(row: Mapping[str, Any], rates: Rates) -> float | None:
    """Seconds until a run is through that is at this stage, or has yet to begin; None if a stage was never measured."""
    at = NAMES.index(row["stage"]) if row["stage"] in NAMES else 0
    seconds = [rates.of_stage(name, row["duration"]) for name in NAMES[at:]]
    known = [each for each in seconds if each is not None]
    return None if len(known) < len(seconds) else sum(known) - known[0] * (row["progress"] or 0.0)


def _ahead(conn: psycopg.Connection[Row], row: Mapping[str, Any], rates: Rates) -> _Ahead:
    waiting = conn.execute(
        f"""SELECT count(*) AS videos, sum(coalesce(duration, %(usual)s::float8)) AS duration, count(coalesce(duration, %(usual)s)) AS known
            FROM ({WAITING}) v WHERE (created_at, id) < (%(at)s, %(id)s::uuid)""",
        {"usual": rates.usual_duration, "at": row["video_created_at"], "id": row["video_id"]},
    ).fetchone()
    assert waiting is not None
    running = conn.execute(
        """SELECT v.duration, j.stage, j.progress FROM processing_jobs j JOIN videos v ON v.id = j.video_id
           WHERE j.status = 'processing' LIMIT 1000"""
    ).fetchall()
    seconds = [_left(one, rates) for one in running]
    if waiting["videos"]:
        whole = [rates.of_stage(name, waiting["duration"]) for name in NAMES] if waiting["known"] == waiting["videos"] else [None]
        seconds += whole
    known = [each for each in seconds if each is not None]
    return _Ahead(waiting["videos"], sum(known) if len(known) == len(seconds) else None)
