"""Who runs the daemon over a database: one at a time, whatever machine it is on.

What belongs here: the lease of that, and its heartbeat. What does not: leases of videos (`lease`), the lock of a data folder (`cli.alone`).
Two daemons would look at every upload twice, and launch what waits twice. All times are the server's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import AnotherDaemon, LeaseLost
from reframer_pipeline.work.heartbeat import Heartbeat

TTL_S: Final = 45.0


class OneDaemon:
    """The lease, from its making until `release`.

    Args:
        db: The database.
        token: UUID of the deployment. One that was killed takes its own lease again at once.
        name: For those who are refused.
        lost: Called from another thread once another one has it: this daemon was out of reach for longer than the lease lives.

    Raises:
        AnotherDaemon: Another one holds it, and beats.
    """

    def __init__(self, db: Database, token: str, name: str, lost: Callable[[], None]) -> None:
        self._db, self._token, self._name, self._lost = db, token, name, lost
        self._take()
        self._heart = Heartbeat(self._beat, TTL_S / 3, "the daemon")

    def release(self) -> None:
        """Another one may have it."""
        self._heart.stop()
        self._db.execute("DELETE FROM daemon_lease WHERE token = %s", (self._token,))

    def _take(self) -> None:
        taken = self._db.fetch(
            """INSERT INTO daemon_lease AS held (token, name, expires_at)
               VALUES (%(token)s, %(name)s, clock_timestamp() + %(ttl)s * interval '1 second')
               ON CONFLICT (one) DO UPDATE SET token = EXCLUDED.token, name = EXCLUDED.name, expires_at = EXCLUDED.expires_at
               WHERE held.token = EXCLUDED.token OR held.expires_at < clock_timestamp() RETURNING token""",
            {"token": self._token, "name": self._name, "ttl": TTL_S},
        )
        if not taken:
            row = self._db.fetch_one("SELECT name FROM daemon_lease")
            raise AnotherDaemon(f"Another `reframer dev` runs over this database: {row['name'] if row else 'it has just ended'}.")

    def _beat(self) -> None:
        try:
            self._take()
        except AnotherDaemon as other:
            self._lost()
            raise LeaseLost(other.message) from other
