"""How large the database is, against the limit that its plan has.

What belongs here: measuring and saying it. What does not: making it smaller (`archive`, `sweep`).
"""

from __future__ import annotations

from dataclasses import dataclass

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.settings import Settings

NEARLY_FULL = 0.8


@dataclass(frozen=True)
class DatabaseSize:
    """Size and limit, in bytes. Space of deleted rows is counted until Postgres uses it again."""

    bytes: int
    limit_bytes: int | None = None

    @property
    def share(self) -> float | None:
        """Size as a fraction of the limit, or None without one."""
        return None if self.limit_bytes is None else self.bytes / self.limit_bytes

    @property
    def nearly_full(self) -> bool:
        """Whether something should be done about it."""
        return self.share is not None and self.share >= NEARLY_FULL

    def __str__(self) -> str:
        size = f"{self.bytes / 1e6:.0f} MB"
        return size if self.limit_bytes is None else f"{size} of {self.limit_bytes / 1e6:.0f} MB ({self.share:.0%})"


def database_size(db: Database, settings: Settings) -> DatabaseSize:
    """Measure it."""
    row = db.fetch_one("SELECT pg_database_size(current_database()) AS bytes")
    assert row is not None
    limit = settings.database_limit_mb
    return DatabaseSize(int(row["bytes"]), None if limit is None else limit * 1_000_000)
