"""Quotas: how much a key may have at once, and in a day.

What belongs here: counting in Postgres, so that several servers count together and a restart forgets nothing. What does not: requests a
minute, which one server counts for itself (`api.rates`); the limits (`settings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import QuotaUsedUp

if TYPE_CHECKING:
    import psycopg

_RETRY_JOB_S = 60.0  # nobody knows when a job ends


def spend_bytes(db: Database, key_id: str, count: int, limit: int) -> None:
    """Take bytes off today's quota: all of them, or none.

    Args:
        db: The database.
        key_id: The key's id.
        count: Bytes that are about to be received. What was taken and then not received is given back by a negative number.
        limit: Most bytes in a day, which ends at midnight UTC.

    Raises:
        QuotaUsedUp: Not so many are left.
    """

    def act(conn: psycopg.Connection[Row]) -> Row | None:
        return conn.execute(
            """WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day)
               INSERT INTO api_key_bytes AS used (api_key_id, day, bytes)
               SELECT %(key)s, day, greatest(%(count)s, 0) FROM today WHERE %(count)s <= %(limit)s
               ON CONFLICT (api_key_id, day) DO UPDATE SET bytes = greatest(used.bytes + %(count)s, 0)
                   WHERE used.bytes + %(count)s <= %(limit)s OR %(count)s <= 0
               RETURNING bytes""",
            {"key": key_id, "count": count, "limit": limit},
        ).fetchone()

    if db.run(act) is None:
        left = db.fetch("SELECT extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day'"
                        " - now() AT TIME ZONE 'UTC')::float8 AS seconds")  # fmt: skip
        raise QuotaUsedUp(f"The key may upload {limit / 1e6:.0f} MB a day, and has not so much left.").after(left[0]["seconds"])


def demand_place(conn: psycopg.Connection[Row], key_id: str, limit: int) -> None:
    """Go on only if the key may have one more job, and keep others from taking the same place until this transaction ends.

    A job is open from its upload until its video is computed or has failed.

    Raises:
        QuotaUsedUp: It has as many as it may.
    """
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('api_key:' || %s, 0))", (key_id,))
    row = conn.execute(
        """SELECT (SELECT count(*) FROM uploads WHERE api_key_id = %(key)s AND status = 'pending')
             + (SELECT count(*) FROM videos v JOIN uploads u ON u.video_id = v.id
                WHERE v.status IN ('pending', 'processing') AND u.api_key_id = %(key)s AND u.status = 'completed') AS jobs""",
        {"key": key_id},
    ).fetchone()
    assert row is not None
    if row["jobs"] >= limit:
        raise QuotaUsedUp(f"The key may have {limit} jobs at once, and has {row['jobs']}.").after(_RETRY_JOB_S)
