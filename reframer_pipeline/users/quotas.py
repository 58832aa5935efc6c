"""Quotas: how much a key may have at once, and in a day.

What belongs here: counting in Postgres, so that several servers count together and a restart forgets nothing. What does not: requests a
minute, which one server counts for itself (`api.rates`); the limits (`settings`).
"""

from __future__ import annotations

import time
from datetime import date
from typing import TYPE_CHECKING

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import QuotaUsedUp
from reframer_pipeline.settings import A_DAY_S

if TYPE_CHECKING:
    import psycopg

_RETRY_JOB_S = 60.0  # nobody knows when a job ends


def spend_bytes(db: Database, key_id: str, count: int, limit: int) -> date:
    """Take bytes off today's quota: all of them, or none. Twice, if the connection is lost in the moment of the COMMIT.

    Args:
        db: The database.
        key_id: The key's id.
        count: Bytes that are about to be received.
        limit: Most bytes in a day, which ends at midnight UTC.

    Returns:
        The day, to which `give_back_bytes` gives what was not received.

    Raises:
        QuotaUsedUp: Not so many are left.
    """

    def act(conn: psycopg.Connection[Row]) -> Row | None:
        return conn.execute(
            """WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day)
               INSERT INTO api_key_bytes AS used (api_key_id, day, bytes)
               SELECT %(key)s, day, %(count)s FROM today WHERE %(count)s <= %(limit)s
               ON CONFLICT (api_key_id, day) DO UPDATE SET bytes = used.bytes + %(count)s WHERE used.bytes + %(count)s <= %(limit)s
               RETURNING day""",
            {"key": key_id, "count": count, "limit": limit},
        ).fetchone()

    taken = db.run(act)
    if taken is None:
        raise _no_bytes(limit)
    day: date = taken["day"]
    return day


def give_back_bytes(db: Database, key_id: str, count: int, day: date) -> None:
    """What `spend_bytes` took on a day, and did not come. Twice, if the connection is lost in the moment of the COMMIT."""
    query = "UPDATE api_key_bytes SET bytes = greatest(bytes - %s, 0) WHERE api_key_id = %s AND day = %s"
    db.execute(query, (count, key_id, day))


def demand_bytes(conn: psycopg.Connection[Row], key_id: str, count: int, limit: int) -> None:
    """Go on only if so many bytes of today's quota are left; none is taken.

    Raises:
        QuotaUsedUp: They are not.
    """
    query = "SELECT bytes FROM api_key_bytes WHERE api_key_id = %s AND day = (now() AT TIME ZONE 'UTC')::date"
    row = conn.execute(query, (key_id,)).fetchone()
    if count + (row["bytes"] if row else 0) > limit:
        raise _no_bytes(limit)


def demand_upload(conn: psycopg.Connection[Row], key_id: str, limit: int, upload_id: str) -> None:
    """Go on only if the key may have this resumable upload beside those that are under way, as `demand_place` does for jobs.

    Raises:
        QuotaUsedUp: It has as many as it may.
    """
    _lock(conn, key_id)
    row = conn.execute(
        "SELECT count(*) AS uploads FROM resumable_uploads WHERE asked ->> 'api_key_id' = %s AND id <> %s AND expires_at > now()",
        (key_id, upload_id),
    ).fetchone()
    assert row is not None
    if row["uploads"] >= limit:
        remedy = "Finish one of them, or give one up (DELETE /uploads/ID)."
        raise QuotaUsedUp(f"The key may have {limit} uploads under way, and has {row['uploads']}.", remedy).after(_RETRY_JOB_S)


def demand_place(conn: psycopg.Connection[Row], key_id: str, limit: int, job_id: str | None = None) -> None:
    """Go on only if the key may have this job, and keep others from taking the same place until this transaction ends.

    A job is open until its video is computed or has failed. One that is submitted again does not stand in its own way. A deliverable that
    is wanted or being made counts as one.

    Raises:
        QuotaUsedUp: It has as many as it may.
    """
    _lock(conn, key_id)
    row = conn.execute(
        """SELECT count(*) + (SELECT count(*) FROM deliverables WHERE api_key_id = %(key)s AND status IN ('wanted', 'making')) AS jobs
           FROM uploads u JOIN videos v ON v.id = u.video_id
           WHERE u.api_key_id = %(key)s AND u.id IS DISTINCT FROM %(job)s::uuid AND u.status = 'completed'
               AND v.status IN ('pending', 'processing')""",
        {"key": key_id, "job": job_id},
    ).fetchone()
    assert row is not None
    if row["jobs"] >= limit:
        raise QuotaUsedUp(f"The key may have {limit} jobs at once, and has {row['jobs']}.").after(_RETRY_JOB_S)


def _lock(conn: psycopg.Connection[Row], key_id: str) -> None:
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('api_key:' || %s, 0))", (key_id,))


def _no_bytes(limit: int) -> QuotaUsedUp:
    left_s = A_DAY_S - time.time() % A_DAY_S
    return QuotaUsedUp(f"The key may upload {limit / 1e6:.0f} MB a day, and has not so much left.").after(left_s)
