"""Preflight: whether a database can take the migrations, found out before anything is written.

What belongs here: what a database must be, have and allow, and what is to be done where it does not. What does not: writing (`migrations`),
and what is refused later (`refusals`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final, LiteralString

from reframer_pipeline.failures import DatabaseNotPrepared

if TYPE_CHECKING:
    import psycopg

    from reframer_pipeline.database.postgres import Row

LEDGER: Final = "schema_migrations"
LEDGER_COLUMNS: Final = {"name", "sha256", "applied_at"}
OLDEST: Final = 15
_MADE: Final = re.compile(r"^CREATE +(?:TABLE|VIEW|(?:UNIQUE +)?INDEX) +(\w+)", re.MULTILINE)
_SERVER: LiteralString = """
    SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('server_encoding') AS encoding,
        pg_is_in_recovery() AS standby, current_setting('transaction_read_only')::boolean AS read_only, n.oid AS schema,
        has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') AS allowed
    FROM (SELECT %s AS wanted) w LEFT JOIN pg_namespace n ON n.nspname = w.wanted
"""
_ELSEWHERE: LiteralString = f"""
    SELECT n.nspname AS schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = '{LEDGER}' AND n.nspname = ANY(current_schemas(false)) AND n.nspname <> %s
        AND EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = c.oid AND attname = 'sha256')
"""


def demand_prepared(conn: psycopg.Connection[Row], schema: str, texts: Collection[str], first: bool) -> None:
    """See that nothing stands in the way of these migrations. Reads only.

    Args:
        conn: In a transaction.
        schema: Where the tables are to be.
        texts: SQL of the migrations, whose names must be free the first time.
        first: Whether the schema has no ledger yet.

    Raises:
        DatabaseNotPrepared: Something does.
    """
    server = conn.execute(_SERVER, (schema,)).fetchone()
    assert server is not None
    _demand_server(server)
    _demand_schema(server, schema)
    if not first:
        return
    _demand_nowhere_else(conn, schema)
    there = conn.execute(
        "SELECT relname AS name FROM pg_class WHERE relnamespace = %s AND relname = ANY(%s)", (server["schema"], names_in(texts))
    )
    if names := sorted(row["name"] for row in there):
        raise _taken(schema, ", ".join(names))


def demand_our_ledger(columns: Collection[str], schema: str) -> None:
    """See that a ledger is ours: other programs give theirs the same name.

    Raises:
        DatabaseNotPrepared: It is another's.
    """
    if not set(columns) >= LEDGER_COLUMNS:
        raise _taken(schema, LEDGER)


def names_in(texts: Iterable[str]) -> list[str]:
    """Names of the tables, views and indexes that migrations make."""
    return [name for text in texts for name in _MADE.findall(text)]


def _demand_server(server: Row) -> None:
    if server["version"] < OLDEST:
        raise DatabaseNotPrepared(f"The server is PostgreSQL {server['version']}.", f"Use PostgreSQL {OLDEST} or newer.")
    if server["encoding"] != "UTF8":
        raise DatabaseNotPrepared(
            f"The database has the encoding {server['encoding']}, which cannot hold every text.",
            "Make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in REFRAMER_DATABASE_URL.",
        )
    if server["standby"]:
        raise DatabaseNotPrepared("The server is a standby, which takes no changes.", "Name the primary in REFRAMER_DATABASE_URL.")
    if server["read_only"]:
        raise DatabaseNotPrepared(
            "The database is set to read only.",
            "See why: hosted ones are when their space is used up. ALTER DATABASE … RESET default_transaction_read_only undoes it.",
        )


def _demand_schema(server: Row, schema: str) -> None:
    if server["schema"] is None:
        raise DatabaseNotPrepared(
            f"The database has no schema {schema}.", f"Make it with CREATE SCHEMA {schema}, or name another in REFRAMER_DATABASE_SCHEMA."
        )
    if not server["allowed"]:
        raise DatabaseNotPrepared(
            f"The user may make no tables in the schema {schema}.",
            f"Run GRANT USAGE, CREATE ON SCHEMA {schema} TO the URL's user as the database's owner, or make a schema with "
            "CREATE SCHEMA … AUTHORIZATION the URL's user, and name it in REFRAMER_DATABASE_SCHEMA.",
        )


def _demand_nowhere_else(conn: psycopg.Connection[Row], schema: str) -> None:
    """A second, empty set of tables would look as if all results were lost."""
    asked = conn.execute("SELECT current_setting('search_path') AS path").fetchone()
    assert asked is not None
    conn.execute("SET LOCAL search_path TO DEFAULT")  # what role, database and URL say
    there = conn.execute(_ELSEWHERE, (schema,)).fetchone()
    conn.execute("SELECT set_config('search_path', %s, true)", (asked["path"],))
    if there is not None:
        raise DatabaseNotPrepared(
            f"The pipeline's tables are in the schema {there['schema']}, and not in {schema}.",
            f"Set REFRAMER_DATABASE_SCHEMA={there['schema']}. For a second, empty set, take another database.",
        )


def _taken(schema: str, names: str) -> DatabaseNotPrepared:
    return DatabaseNotPrepared(
        f"The schema {schema} holds another program's tables under the same names: {names}.",
        "Make a schema of its own for the pipeline with CREATE SCHEMA, and name it in REFRAMER_DATABASE_SCHEMA.",
    )
