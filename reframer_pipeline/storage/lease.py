"""Leases: who may commit results of a video.

What belongs here: taking, keeping and checking a lease. What does not: what happens under it. Whoever computes a video holds its
lease; a run that stopped beating is overtaken after the lease's end, and since each commit checks the token it can no longer
commit, even if it was only asleep. All times are the server's, so clocks of machines need not agree.

Taking a lease and committing under it exclude each other by an advisory lock, not by a lock on the lease's row: the heartbeat writes
to that row and must pass during a commit, which for a long video takes longer than the lease lives.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, LiteralString

from reframer_pipeline.failures import LeaseLost, ReframerError, UnknownVideo, VideoBusy
from reframer_pipeline.storage.postgres import Database, Row

if TYPE_CHECKING:
    import psycopg

_log = logging.getLogger(__name__)
# Of the transaction, the only kind that a transaction pooler keeps. Two videos of one hash only wait for each other.
_LOCK_KEY: LiteralString = "hashtextextended('reframer lease ' || %s, 0)"
TTL_S = 60.0


def acquire(db: Database, video_id: str, owner: str, ttl_s: float = TTL_S) -> str:
    """Take the lease of a video that is free or whose lease has run out.

    Args:
        db: The database.
        video_id: The video.
        owner: Shown to those who find it busy, such as a run's id.
        ttl_s: Seconds after the last heartbeat until others may take it.

    Returns:
        The token that commits need.

    Raises:
        VideoBusy: Another one holds it.
        UnknownVideo: There is no such video.
    """
    token = str(uuid.uuid4())

    def take(conn: psycopg.Connection[Row]) -> Row | None:
        if conn.execute("SELECT 1 FROM videos WHERE id = %s", (video_id,)).fetchone() is None:
            raise UnknownVideo(f"There is no video {video_id}.")
        held = "SELECT owner, acquired_at FROM leases WHERE video_id = %s"
        lock = conn.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY}) AS got", (video_id,)).fetchone()
        if lock is None or not lock["got"]:  # the holder is just committing, or another one is just taking it
            return conn.execute(held, (video_id,)).fetchone()
        # The last condition is for a retry after a COMMIT whose answer was lost.
        row = conn.execute(
            """INSERT INTO leases AS held (video_id, token, owner, acquired_at, heartbeat_at, expires_at)
               VALUES (%(video)s, %(token)s, %(owner)s, clock_timestamp(), clock_timestamp(),
                   clock_timestamp() + %(ttl)s * interval '1 second')
               ON CONFLICT (video_id) DO UPDATE SET token = EXCLUDED.token, owner = EXCLUDED.owner, acquired_at = EXCLUDED.acquired_at,
                   heartbeat_at = EXCLUDED.heartbeat_at, expires_at = EXCLUDED.expires_at
               WHERE held.expires_at < clock_timestamp() OR held.token = EXCLUDED.token
               RETURNING token""",
            {"video": video_id, "token": token, "owner": owner, "ttl": ttl_s},
        ).fetchone()
        return row or conn.execute(held, (video_id,)).fetchone()

    row = db.run(take)
    if row is None or "token" not in row:
        holder = f"{row['owner']}, since {row['acquired_at']:%Y-%m-%d %H:%M:%S %Z}" if row else "another run"
        raise VideoBusy(f"Video {video_id} is being processed by {holder}.")
    return token


def heartbeat(db: Database, video_id: str, token: str, ttl_s: float = TTL_S) -> None:
    """Prolong the lease, from now.

    Raises:
        LeaseLost: It is another one's by now.
    """
    kept = db.execute(
        """UPDATE leases SET heartbeat_at = clock_timestamp(), expires_at = clock_timestamp() + %s * interval '1 second'
           WHERE video_id = %s AND token = %s""",
        (ttl_s, video_id, token),
    )
    if not kept:
        raise LeaseLost(f"Another run took over video {video_id}.")


def release(db: Database, video_id: str, token: str) -> None:
    """Give the lease back; nothing happens if it is another one's by now."""
    db.execute("DELETE FROM leases WHERE video_id = %s AND token = %s", (video_id, token))


def held_by(db: Database, video_id: str, token: str, grace_s: float = 0.0) -> bool:
    """Whether the lease is there, with this token, and has not run out, or not longer ago than the grace."""
    query = "SELECT 1 FROM leases WHERE video_id = %s AND token = %s AND expires_at > clock_timestamp() - %s * interval '1 second'"
    return db.fetch_one(query, (video_id, token, grace_s)) is not None


def demand(conn: psycopg.Connection[Row], video_id: str, token: str) -> None:
    """Within a transaction: go on only with the lease, and keep others from taking it until the end; heartbeats pass.

    A lease that ran out but that nobody took is still ours.

    Raises:
        LeaseLost: It is another one's by now.
    """
    conn.execute(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})", (video_id,))
    row = conn.execute("SELECT token FROM leases WHERE video_id = %s", (video_id,)).fetchone()
    if row is None or str(row["token"]) != token:
        raise LeaseLost(f"Another run took over video {video_id}.")


@contextlib.contextmanager
def hold(db: Database, video_id: str, owner: str, ttl_s: float = TTL_S) -> Iterator[str]:
    """Hold the lease for a block, with heartbeats from a thread; yields the token.

    A lost lease does not stop the block: its next commit does. A heartbeat that fails is tried again soon and for as long as the
    block lasts, because a lease that ran out while the database was away is still ours until another takes it.

    Raises:
        VideoBusy, UnknownVideo: As `acquire`.
    """
    token = acquire(db, video_id, owner, ttl_s)
    ended = threading.Event()

    def beat() -> None:
        pause = ttl_s / 3
        while not ended.wait(pause):
            try:
                heartbeat(db, video_id, token, ttl_s)
                pause = ttl_s / 3
            except LeaseLost:
                return
            except ReframerError as failure:
                pause = ttl_s / 30
                _log.warning("No heartbeat for video %s: %s", video_id, failure.message)

    thread = threading.Thread(target=beat, name=f"lease-{video_id[:8]}", daemon=True)
    thread.start()
    try:
        yield token
    finally:
        ended.set()
        thread.join(timeout=5)
        with contextlib.suppress(ReframerError):
            release(db, video_id, token)


@contextlib.contextmanager
def hold_patiently(db: Database, video_id: str, owner: str) -> Iterator[str]:
    """`hold`, after waiting for a lease that a dead process left behind: it runs out within a minute.

    Raises:
        VideoBusy: The other one lives.
        UnknownVideo: There is no such video.
    """
    until = time.monotonic() + TTL_S + 5
    with contextlib.ExitStack() as stack:
        while True:
            try:
                token = stack.enter_context(hold(db, video_id, owner))
                break
            except VideoBusy:
                if time.monotonic() > until:
                    raise
                time.sleep(1)
        yield token
