"""Migrations: the numbered files of `sql/`, applied once each, in order, with a ledger.

What belongs here: reading the files and applying them. What does not: DDL (`sql/`), whether the database can take it (`preflight`), data
repair. One transaction holds an advisory lock of its own (`pg_advisory_xact_lock`: the only kind a transaction pooler keeps), so
two programs that start at once migrate once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, cast

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.preflight import LEDGER, demand_our_ledger, demand_prepared
from reframer_pipeline.failures import SchemaMismatch
from reframer_pipeline.shipped import shipped

if TYPE_CHECKING:
    import psycopg

_LOCK = 7_264_891_337_025  # any constant, as long as it stays
_STATEMENT_S = 6 * 3600.0  # an index over the rows of a whole library takes its time; so does waiting for another who makes it
_LEDGER: LiteralString = f"""
CREATE TABLE IF NOT EXISTS {LEDGER} (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


@dataclass(frozen=True)
class Migration:
    """One file: its name, such as `0001_core.sql`, and its text."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Digest of the text, kept in the ledger so that an edited file is noticed."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations, in order.

    Raises:
        InternalError: There are none.
    """
    return [Migration(path.name, path.read_text(encoding="utf-8")) for path in shipped("sql/*.sql")]


def pending(db: Database) -> list[str]:
    """Names of the migrations that the database does not have yet.

    Raises:
        SchemaMismatch: The database has a migration that this program does not know, or knows with another text.
        DatabaseNotPrepared: Another program's ledger is in the place of ours.
    """
    return [migration.name for migration in _missing(db.run(lambda conn: _applied(conn, db.schema)))]


def migrate(db: Database) -> list[str]:
    """Bring the database up to date, in one transaction: wholly or not at all.

    Returns:
        Names of the migrations applied now; empty if there was nothing to do.

    Raises:
        SchemaMismatch: As in `pending`.
        DatabaseNotPrepared: Something stands in the way, such as a missing right. Nothing is changed by either.
    """
    if not pending(db):
        return []

    def apply(conn: psycopg.Connection[Row]) -> list[str]:
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        applied = _applied(conn, db.schema)
        missing = _missing(applied)
        demand_prepared(conn, db.schema, [migration.text for migration in missing], first=not applied)
        conn.execute(_LEDGER)
        for migration in missing:
            conn.execute(cast(Any, migration.text))
            conn.execute("INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)", (migration.name, migration.sha256))
        return [migration.name for migration in missing]

    return db.run(apply, timeout_s=_STATEMENT_S)


def _applied(conn: psycopg.Connection[Row], schema: str) -> dict[str, str]:
    """Names and digests; none before the first time."""
    columns = conn.execute(
        "SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass('schema_migrations') AND attnum > 0 AND NOT attisdropped"
    ).fetchall()
    if not columns:
        return {}
    demand_our_ledger({row["name"] for row in columns}, schema)
    return {row["name"]: row["sha256"] for row in conn.execute("SELECT name, sha256 FROM schema_migrations")}


def _missing(applied: dict[str, str]) -> list[Migration]:
    known = migrations()
    strangers = sorted(set(applied) - {migration.name for migration in known})
    edited = [migration.name for migration in known if applied.get(migration.name, migration.sha256) != migration.sha256]
    if strangers or edited:
        names = ", ".join(strangers + edited)
        raise SchemaMismatch(f"The database holds migrations that this program does not have in this form: {names}.")
    return [migration for migration in known if migration.name not in applied]
