"""Status: how far each video is. The one owner of `videos.status`.

What belongs here: the transitions, as a table, and writing them; who is to be told of an end is due with it; how a video stands for people.
What does not: single runs (`jobs`), telling, results, who sees what happened. A video is `pending` until a run has begun, `processing`
while one is at it, `completed` if readers see results, `failed` if the last run did.

To people a failed video is pending from the moment another run is asked for. That is told by the run's row, and not written: if the run is
taken out of the queue, whoever does that, the video has failed as it had before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import CallerError, ReframerError

if TYPE_CHECKING:
    import psycopg

Status = Literal["pending", "processing", "completed", "failed"]


# How a video `v` stands for people: to be joined LATERAL.
STANDING: Final[LiteralString] = """
    SELECT CASE WHEN waits THEN 'pending' ELSE v.status END AS status, CASE WHEN NOT waits THEN v.failure_code END AS failure_code,
        CASE WHEN NOT waits THEN v.failure_message END AS failure_message
    FROM (SELECT v.status = 'failed' AND EXISTS (
        SELECT 1 FROM processing_jobs j WHERE j.video_id = v.id AND j.status = 'pending') AS waits) AS again"""
# The videos that are pending by this, along indexes.
WAITING: Final[LiteralString] = """
    SELECT * FROM videos WHERE status = 'pending'
    UNION ALL
    SELECT * FROM videos WHERE status = 'failed' AND id IN (SELECT video_id FROM processing_jobs WHERE status = 'pending')"""


class Event(Enum):
    """What can happen to a video."""

    BEGUN = "a run has begun; what was published before stays readable"
    PUBLISHED = "readers see a whole set of results"
    WITHDRAWN = "what readers saw is gone"
    FAILED = "the last run has failed, and the video may be why; what was published before stays readable"
    EXCUSED = "the last run has failed by the caller's fault"
    SETTLED = "no run is at it any more, and the last that came to an end did well, or was interrupted"
    SETTLED_BADLY = "no run is at it any more, and the last that came to an end failed for good"


Moves = dict[Status, Status]
_FAILED: Final[Moves] = dict.fromkeys(("pending", "processing", "completed", "failed"), "failed")
_COMPLETED: Final[Moves] = dict.fromkeys(("pending", "processing", "completed", "failed"), "completed")
_BEGUN: Final[Moves] = {"pending": "processing", "completed": "processing", "failed": "processing"}

# From what to what an event takes a video: first where readers see results, then where they do not. What is not in here stays as it is.
TRANSITIONS: Final[dict[Event, tuple[Moves, Moves]]] = {
    Event.BEGUN: (_BEGUN, _BEGUN),
    Event.PUBLISHED: (_COMPLETED, _COMPLETED),
    Event.WITHDRAWN: ({}, {"completed": "processing"}),
    Event.FAILED: (_FAILED, _FAILED),
    Event.EXCUSED: ({"processing": "completed"}, _FAILED),
    Event.SETTLED: ({"processing": "completed"}, {"processing": "pending"}),
    Event.SETTLED_BADLY: ({"processing": "failed"}, {"processing": "failed"}),
}


def target(event: Event, status: Status, published: bool) -> Status | None:
    """To what an event takes a video; None if it stays as it is."""
    seen, unseen = TRANSITIONS[event]
    return (seen if published else unseen).get(status)


# Of the video's jobs, those whose end is news: a failed one may yet be completed, and a completed one has ended.
_DUE: Final = """
    UPDATE webhooks SET next_try_at = now(), attempts = 0 FROM uploads u
    WHERE u.id = upload_id AND u.video_id = %s AND told IS DISTINCT FROM 'completed' AND told IS DISTINCT FROM %s"""


@dataclass(frozen=True)
class Reason:
    """Why a video is `failed`."""

    code: str
    message: str

    @classmethod
    def of(cls, failure: ReframerError) -> Reason:
        """As it is stored."""
        return cls(failure.code, clean_text(str(failure)))


def transition(conn: psycopg.Connection[Row], video_id: str, event: Event, reason: Reason | None = None) -> None:
    """Within a transaction: let an event happen to a video; unknown ones are left out.

    Args:
        conn: In a transaction.
        video_id: The video.
        event: What happened.
        reason: Of a failure.
    """
    row = conn.execute(
        """SELECT status, EXISTS (SELECT 1 FROM published WHERE video_id = videos.id) AS published
           FROM videos WHERE id = %s FOR NO KEY UPDATE""",
        (video_id,),
    ).fetchone()
    to = target(event, row["status"], row["published"]) if row else None
    if row is None or to is None:
        return
    why = reason if to == "failed" else None
    now = (to, why.code if why else None, why.message if why else None)
    query = "UPDATE videos SET status = %s, failure_code = %s, failure_message = %s, updated_at = now() WHERE id = %s"
    conn.execute(query, (*now, video_id))
    if to in ("completed", "failed"):
        conn.execute(_DUE, (video_id, to))


def fail(db: Database, video_id: str, failure: ReframerError, lease_token: str | None = None) -> None:
    """The last run has failed. With a token, nothing is written if the lease is another one's."""
    event = Event.EXCUSED if isinstance(failure, CallerError) else Event.FAILED
    _write(db, video_id, lease_token, lambda conn: transition(conn, video_id, event, Reason.of(failure)))


def settle(db: Database, video_id: str, lease_token: str | None = None) -> None:
    """No run is at a `processing` video any more. With a token, nothing is written if the lease is another one's."""
    _write(db, video_id, lease_token, lambda conn: settle_within(conn, video_id))


def settle_within(conn: psycopg.Connection[Row], video_id: str) -> None:
    """`settle` within a transaction, by the last run that came to an end; one that may go better the next time does not count."""
    last = conn.execute(
        """SELECT failure_code, failure_message FROM processing_jobs
           WHERE video_id = %s AND (status = 'completed' OR status = 'failed' AND NOT retryable) ORDER BY finished_at DESC LIMIT 1""",
        (video_id,),
    ).fetchone()
    if last is None or last["failure_code"] is None:
        transition(conn, video_id, Event.SETTLED)
    else:
        transition(conn, video_id, Event.SETTLED_BADLY, Reason(last["failure_code"], last["failure_message"]))


def unattended(db: Database) -> list[str]:
    """Videos that are `processing` by their status alone: no run of theirs goes on, and nobody holds their lease."""
    rows = db.fetch(
        """SELECT id::text AS id FROM videos WHERE status = 'processing'
               AND NOT EXISTS (SELECT 1 FROM processing_jobs WHERE video_id = videos.id AND status = 'processing')
               AND NOT EXISTS (SELECT 1 FROM leases WHERE video_id = videos.id AND expires_at > clock_timestamp())"""
    )
    return [row["id"] for row in rows]


def _write(db: Database, video_id: str, lease_token: str | None, act: Callable[[psycopg.Connection[Row]], None]) -> None:
    def write(conn: psycopg.Connection[Row]) -> None:
        query = "SELECT 1 FROM leases WHERE video_id = %s AND token = %s"
        if lease_token is None or conn.execute(query, (video_id, lease_token)).fetchone() is not None:
            act(conn)

    db.run(write)
