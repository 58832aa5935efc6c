"""Leases: who may commit results of a video.

What belongs here: taking, keeping and checking a lease. What does not: what happens under it. Whoever computes a video holds its
lease; a run that stopped beating is overtaken after the lease's end, and since each commit checks the token it can no longer
commit, even if it was only asleep. All times are the server's, so clocks of machines need not agree.

Taking a lease and committing under it exclude each other by an advisory lock, not by a lock on the lease's row: the heartbeat writes
to that row and must pass during a commit, which for a long video takes longer than the lease lives.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import LeaseLost, ReframerError, UnknownVideo, VideoBusy
from reframer_pipeline.work.heartbeat import Heartbeat
from reframer_pipeline.work.videos import name_of

if TYPE_CHECKING:
    import psycopg

# Of the transaction, the only kind that a transaction pooler keeps. Two videos of one hash only wait for each other.
_LOCK_KEY: LiteralString = "hashtextextended('reframer lease ' || %s, 0)"
TTL_S = 60.0


@dataclass(frozen=True)
class Claim:
    """One stage of a run whose stages are computed by several workers, one after the other: each takes the lease over from the one before.

    Attributes:
        key: Of the stage, in `worker_runs`.
        worker_id: Of the worker that has taken it. One from which it was taken away gets the lease no more.
    """

    key: str
    worker_id: str


def acquire(db: Database, video_id: str, owner: str, ttl_s: float = TTL_S, token: str | None = None, claim: Claim | None = None) -> str:
    """Take the lease of a video that is free or whose lease has run out.

    Args:
        db: The database.
        video_id: The video.
        owner: Shown to those who find it busy, such as a run's id.
        ttl_s: Seconds after the last heartbeat until others may take it.
        token: To be taken with; a lease that is held with it already is taken, too. By default one of its own.
        claim: A stage, for which a lease of the same owner is taken, too, whatever its token.

    Returns:
        The token that commits need.

    Raises:
        VideoBusy: Another one holds it.
        UnknownVideo: There is no such video.
        LeaseLost: The claim is another worker's by now.
    """
    token = token or str(uuid.uuid4())

    def take(conn: psycopg.Connection[Row]) -> Row | None:
        if conn.execute("SELECT 1 FROM videos WHERE id = %s", (video_id,)).fetchone() is None:
            raise UnknownVideo(f"There is no video {video_id}.")
        held = "SELECT filename, owner, acquired_at FROM videos LEFT JOIN leases ON video_id = id WHERE id = %s"
        lock = conn.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY}) AS got", (video_id,)).fetchone()
        if lock is None or not lock["got"]:  # the holder is just committing, or another one is just taking it
            return conn.execute(held, (video_id,)).fetchone()
        if claim is not None and not is_ours(conn, claim):
            raise _lost(conn, video_id)
        # A token that is held already: for a retry after a COMMIT whose answer was lost.
        row = conn.execute(
            """INSERT INTO leases AS held (video_id, token, owner, acquired_at, heartbeat_at, expires_at)
               VALUES (%(video)s, %(token)s, %(owner)s, clock_timestamp(), clock_timestamp(),
                   clock_timestamp() + %(ttl)s * interval '1 second')
               ON CONFLICT (video_id) DO UPDATE SET token = EXCLUDED.token, owner = EXCLUDED.owner, acquired_at = EXCLUDED.acquired_at,
                   heartbeat_at = EXCLUDED.heartbeat_at, expires_at = EXCLUDED.expires_at
               WHERE held.expires_at < clock_timestamp() OR held.token = EXCLUDED.token OR (%(takes_over)s AND held.owner = EXCLUDED.owner)
               RETURNING token""",
            {"video": video_id, "token": token, "owner": owner, "ttl": ttl_s, "takes_over": claim is not None},
        ).fetchone()
        return row or conn.execute(held, (video_id,)).fetchone()

    row = db.run(take)
    if row is None or "token" not in row:
        holder = f"{row['owner']}, since {row['acquired_at']:%Y-%m-%d %H:%M:%S %Z}" if row and row["owner"] else "another run"
        raise VideoBusy(f"{row['filename'] if row else 'A file'} (video {video_id}) is being processed by {holder}.")
    return token


def heartbeat(db: Database, video_id: str, token: str, ttl_s: float = TTL_S) -> None:
    """Prolong the lease, from now. One that ran out but that nobody took is still ours.

    Raises:
        LeaseLost: It is another one's by now.
        DatabaseUnavailable: It did not answer within a third of the lease's life: there is time for another try.
    """

    def act(conn: psycopg.Connection[Row]) -> None:
        if not beat(conn, video_id, token, ttl_s):
            raise _lost(conn, video_id)

    db.run(act, within_s=ttl_s / 3)


def beat(conn: psycopg.Connection[Row], video_id: str, token: str, ttl_s: float = TTL_S) -> bool:
    """`heartbeat` within a transaction; whether the lease is ours."""
    kept = conn.execute(
        """UPDATE leases SET heartbeat_at = clock_timestamp(), expires_at = clock_timestamp() + %s * interval '1 second'
           WHERE video_id = %s AND token = %s""",
        (ttl_s, video_id, token),
    )
    return kept.rowcount > 0


def is_ours(conn: psycopg.Connection[Row], claim: Claim) -> bool:
    """Within a transaction: whether nobody took the stage away."""
    query = "SELECT 1 FROM worker_runs WHERE run_id = %s AND worker_id = %s"
    return conn.execute(query, (claim.key, claim.worker_id)).fetchone() is not None


def keep(db: Database, video_id: str, owner: str, ttl_s: float = TTL_S) -> None:
    """Prolong the lease of an owner, whatever its token, while one stage has ended and the next waits for a worker."""
    query = """UPDATE leases SET heartbeat_at = clock_timestamp(), expires_at = clock_timestamp() + %s * interval '1 second'
        WHERE video_id = %s AND owner = %s"""
    db.execute(query, (ttl_s, video_id, owner), within_s=ttl_s / 3)


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
    keep_out(conn, video_id)
    row = conn.execute("SELECT token FROM leases WHERE video_id = %s", (video_id,)).fetchone()
    if row is None or str(row["token"]) != token:
        raise _lost(conn, video_id)


def keep_out(conn: psycopg.Connection[Row], video_id: str) -> None:
    """Within a transaction: no commit, no takeover and no correction of this video but ours until its end, whoever holds the lease."""
    conn.execute(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})", (video_id,))


def _lost(conn: psycopg.Connection[Row], video_id: str) -> LeaseLost:
    return LeaseLost(f"Another run took over {name_of(conn, video_id)}.")


def revoke(db: Database, video_id: str, token: str | None = None) -> bool:
    """Take a lease that ran out away from whoever held it, so that it can neither beat nor commit any more.

    Returns:
        Whether nobody holds it now, or, with a token, nobody with that one: a lease that lives, or under which a commit goes on, stays.
    """

    def take(conn: psycopg.Connection[Row]) -> bool:
        lock = conn.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY}) AS got", (video_id,)).fetchone()
        if lock is None or not lock["got"]:
            return False
        conn.execute("DELETE FROM leases WHERE video_id = %s AND expires_at < clock_timestamp()", (video_id,))
        held = conn.execute("SELECT token::text AS token FROM leases WHERE video_id = %s", (video_id,)).fetchone()
        return held is None or token not in (None, held["token"])

    return db.run(take)


def take_away(db: Database, video_id: str, owner: str) -> bool:
    """Take a lease away from an owner that is known to be gone, though it has not run out: should it come back, it can commit no more.

    Returns:
        Whether that owner holds it no more. A lease under which a commit goes on stays.
    """
    return db.run(lambda conn: take_away_within(conn, video_id, owner))


def take_away_within(conn: psycopg.Connection[Row], video_id: str, owner: str) -> bool:
    """`take_away` within a transaction, until whose end nobody commits or takes the lease."""
    lock = conn.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY}) AS got", (video_id,)).fetchone()
    if lock is None or not lock["got"]:
        return False
    conn.execute("DELETE FROM leases WHERE video_id = %s AND owner = %s", (video_id, owner))
    return True


class Held:
    """A lease with heartbeats, from its making until `release` or `stop`.

    A lost lease does not stop what goes on under it: the next commit does.

    Attributes:
        token: That commits need.
    """

    def __init__(
        self, db: Database, video_id: str, owner: str, ttl_s: float = TTL_S, token: str | None = None, claim: Claim | None = None
    ) -> None:
        """Take it. Raises what `acquire` raises."""
        self.token = acquire(db, video_id, owner, ttl_s, token, claim)
        self._db, self._video_id = db, video_id
        self._heart = Heartbeat(lambda: heartbeat(db, video_id, self.token, ttl_s), ttl_s / 3, f"video {video_id}")

    def stop(self) -> None:
        """No more heartbeats: it runs out."""
        self._heart.stop()

    def release(self) -> None:
        """Give it back."""
        self.stop()
        with contextlib.suppress(ReframerError):
            release(self._db, self._video_id, self.token)


@contextlib.contextmanager
def hold(db: Database, video_id: str, owner: str, ttl_s: float = TTL_S) -> Iterator[str]:
    """Hold the lease for a block; yields the token.

    Raises:
        VideoBusy, UnknownVideo: As `acquire`.
    """
    held = Held(db, video_id, owner, ttl_s)
    try:
        yield held.token
    finally:
        held.release()


def take_patiently(
    db: Database,
    video_id: str,
    owner: str,
    token: str | None = None,
    patience_s: float | None = None,
    waits: Callable[[VideoBusy], None] = lambda busy: None,
    claim: Claim | None = None,
) -> Held:
    """Take the lease, waiting for one that a dead process left behind: it runs out within a minute.

    Args:
        db: The database.
        video_id: The video.
        owner: As `acquire`.
        token: As `acquire`.
        patience_s: Longest wait, by default for as long as the lease of a dead process can last.
        waits: Called once if there is somebody to wait for, with who it is.
        claim: As `acquire`.

    Raises:
        VideoBusy: The other one lives.
        UnknownVideo: There is no such video.
        LeaseLost: As `acquire`.
    """
    until = time.monotonic() + (TTL_S + 5 if patience_s is None else patience_s)
    told = False
    while True:
        try:
            return Held(db, video_id, owner, token=token, claim=claim)
        except VideoBusy as busy:
            if time.monotonic() > until:
                raise
            if not told:
                waits(busy)
                told = True
            time.sleep(1)


@contextlib.contextmanager
def hold_patiently(db: Database, video_id: str, owner: str, waits: Callable[[VideoBusy], None]) -> Iterator[str]:
    """`take_patiently` for a block; yields the token."""
    held = take_patiently(db, video_id, owner, waits=waits)
    try:
        yield held.token
    finally:
        held.release()
