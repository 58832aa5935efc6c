"""People: who may have keys.

What belongs here: adding, finding, listing and removing users. What does not: their keys (`keys`), their uploads (`uploads`).
Removing a user ends their keys and keeps the row: uploads and videos name who brought them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import UnknownUser

if TYPE_CHECKING:
    import psycopg

LOCAL_USER: Final = "local@localhost"  # whoever sits at this machine: what the command line uploads is theirs


def add(db: Database, email: str) -> str:
    """Make a user, or take one back who was removed, and return the id. Who is there stays as they are."""

    def act(conn: psycopg.Connection[Row]) -> str:
        row = conn.execute(
            """INSERT INTO users AS u (email) VALUES (%s) ON CONFLICT (email) DO UPDATE SET disabled_at = NULL RETURNING u.id::text""",
            (clean_text(email),),
        ).fetchone()
        assert row is not None
        return str(row["id"])

    return db.run(act)


def named(db: Database, email: str) -> str:
    """The id of a user.

    Raises:
        UnknownUser: There is none, or no longer.
    """
    row = db.fetch_one("SELECT id::text FROM users WHERE email = %s AND disabled_at IS NULL", (clean_text(email),))
    if row is None:
        raise UnknownUser(f"There is no user {email}.")
    return str(row["id"])


def list_(db: Database) -> list[Row]:
    """All users, in the order of their addresses: dicts with `user_id, email, created_at, disabled_at, keys, last_used_at`.

    `keys` counts those that are good now; sessions of browsers are no keys.
    """
    return db.fetch(
        """SELECT u.id::text AS user_id, u.email, u.created_at, u.disabled_at, max(k.last_used_at) AS last_used_at,
               count(*) FILTER (WHERE k.kind = 'key' AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())) AS keys
           FROM users u LEFT JOIN api_keys k ON k.user_id = u.id GROUP BY u.id ORDER BY u.email"""
    )


def remove(db: Database, email: str) -> None:
    """End a user's keys and sessions. What they uploaded stays.

    Raises:
        UnknownUser: There is none, or no longer.
    """
    user_id = named(db, email)

    def act(conn: psycopg.Connection[Row]) -> None:
        conn.execute("UPDATE users SET disabled_at = now() WHERE id = %s", (user_id,))
        conn.execute("UPDATE api_keys SET revoked_at = now() WHERE user_id = %s AND revoked_at IS NULL", (user_id,))

    db.run(act)


def with_keys(db: Database) -> list[str]:
    """Addresses of the users who have a key that is good now."""
    return [row["email"] for row in list_(db) if row["keys"] and row["disabled_at"] is None]
