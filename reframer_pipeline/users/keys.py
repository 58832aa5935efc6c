"""Keys: what lets a program or a browser in.

What belongs here: making, checking, listing, ending and rotating them. What does not: HTTP headers and cookies (`api.access`), people
(`people`), limits (`quotas`).

A secret is `vr_` and 256 random bits. It is shown once and kept as SHA-256: a digest that is fast to compute is enough for what cannot be
guessed. It is found by its first characters and compared in constant time, and the same work is done where there is no such key.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, get_args

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import UnknownKey

if TYPE_CHECKING:
    import psycopg

Scope = Literal["read", "write", "admin"]
Kind = Literal["key", "session", "login", "ticket"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
MARK: Final = "vr_"
MOST: Final[dict[Kind, int]] = {"session": 20, "ticket": 100}  # that a key has begun; a new one ends the oldest
IDLE: Final = timedelta(days=14)  # after which a session that nobody used is over
_BYTES: Final = 32
_SHOWN: Final = len(MARK) + 8  # 48 bits: enough to find one, of no use to guess the rest
_LONGEST: Final = 128  # of what is looked at: nothing that long is a key
_NOBODY: Final = bytes(32)
_IS_GOOD: Final = f"""k.revoked_at IS NULL AND u.disabled_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
    AND (k.kind <> 'session' OR coalesce(k.last_used_at, k.created_at) > now() - interval '{IDLE.days} days')
    AND NOT EXISTS (SELECT 1 FROM api_keys p WHERE p.id = k.made_by AND (p.revoked_at IS NOT NULL OR p.expires_at <= now()))"""
_ALONE: Final = f"""NOT EXISTS (SELECT 1 FROM api_keys k JOIN users u ON u.id = k.user_id
    WHERE k.kind = 'key' AND k.user_id <> %s AND {_IS_GOOD}) AS alone"""
_LONG_UNUSED: Final = "k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute'"
_LISTED: Final = """k.id::text AS key_id, u.email, k.kind, k.name, k.scopes, k.prefix, k.created_at, k.expires_at, k.last_used_at,
    k.revoked_at"""


@dataclass(frozen=True)
class Holder:
    """Whom a key lets in, and to what.

    Attributes:
        user_id: The user's id.
        email: Their address.
        key_id: The key's id, or that of the key that began the session; quotas are counted by it.
        scopes: What it may be used for. None follows from another.
    """

    user_id: str
    email: str
    key_id: str
    scopes: frozenset[Scope]


def add(
    db: Database,
    user_id: str,
    name: str,
    scopes: Collection[Scope],
    lasts: timedelta | None = None,
    kind: Kind = "key",
    made_by: str | None = None,
) -> str:
    """Make a key and return its secret, which nobody can show again.

    Args:
        db: The database.
        user_id: Whose it is.
        name: What people call it.
        scopes: What it may be used for; at least one.
        lasts: How long; None: until it is revoked.
        kind: For the header X-API-Key, for a browser's cookie, for being exchanged for a cookie once, or for addresses of films.
        made_by: Id of the key that begins this session or ticket, and ends it. Of those that it began the newest stay: `MOST`.
    """
    secret = MARK + secrets.token_urlsafe(_BYTES)

    def act(conn: psycopg.Connection[Row]) -> str:
        _insert(conn, secret, user_id, name, scopes, lasts, kind, made_by)
        if kind in MOST:
            conn.execute(
                """DELETE FROM api_keys WHERE id IN
                   (SELECT id FROM api_keys WHERE made_by = %s AND kind = %s
                    ORDER BY revoked_at IS NOT NULL, created_at DESC, id OFFSET %s)""",
                (made_by, kind, MOST[kind]),
            )
        return secret

    return db.run(act)


def holder(db: Database, secret: str, kind: Kind) -> Holder | None:
    """Whom a secret lets in now; None for one that is unknown, expired or revoked, of another kind, or of a user who was removed.

    One indexed query; and at most once a minute, a note that it was used.
    """
    secret = secret[:_LONGEST]
    digest = _digest(secret)

    def act(conn: psycopg.Connection[Row]) -> Row | None:
        rows = conn.execute(
            f"""SELECT k.id, coalesce(k.made_by, k.id)::text AS key_id, k.user_id::text, u.email, k.scopes, k.hash,
                    {_LONG_UNUSED} AS long_unused
                FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.prefix = %s AND k.kind = %s AND {_IS_GOOD}""",
            (_prefix(secret), kind),
        ).fetchall()
        found = None
        for row in rows or [{"hash": _NOBODY}]:
            if hmac.compare_digest(row["hash"], digest):
                found = row
        if found is not None and found["long_unused"]:
            conn.execute(f"UPDATE api_keys k SET last_used_at = now() WHERE id = %s AND ({_LONG_UNUSED})", (found["id"],))
        return found

    row = db.run(act)
    return None if row is None else Holder(row["user_id"], row["email"], row["key_id"], frozenset(row["scopes"]))


def alone(db: Database, user_id: str) -> bool:
    """Whether nobody but this user has a key that is good now."""
    row = db.fetch_one(f"SELECT {_ALONE}", (user_id,))
    return row is not None and bool(row["alone"])


def exchange(db: Database, token: str, name: str, lasts: timedelta) -> str | None:
    """Make a session of a one-time token, which is good no more. Returns the session's secret.

    None if the token was no good, or somebody else has got a key since it was made.
    """
    secret = MARK + secrets.token_urlsafe(_BYTES)

    def act(conn: psycopg.Connection[Row]) -> str | None:
        if conn.execute("SELECT 1 FROM api_keys WHERE prefix = %s AND hash = %s", (_prefix(secret), _digest(secret))).fetchone():
            return secret  # done, and only the answer of its COMMIT was lost
        used = conn.execute(
            f"""DELETE FROM api_keys k USING users u WHERE u.id = k.user_id AND k.kind = 'login' AND k.prefix = %s AND k.hash = %s
                AND {_IS_GOOD} RETURNING k.user_id::text, k.scopes""",
            (_prefix(token), _digest(token)),
        ).fetchone()
        if used is None:
            return None
        now = conn.execute(f"SELECT {_ALONE}", (used["user_id"],)).fetchone()
        return _insert(conn, secret, used["user_id"], name, used["scopes"], lasts, "session") if now and now["alone"] else None

    return db.run(act)


def ticket(db: Database, who: Holder, lasts: timedelta) -> str:
    """A ticket for somebody: they may read with it. Their tickets that are good no more go."""
    db.execute("DELETE FROM api_keys WHERE user_id = %s AND kind = 'ticket' AND expires_at < now()", (who.user_id,))
    reading: tuple[Scope, ...] = ("read",)
    return add(db, who.user_id, "ticket", reading, lasts, "ticket", made_by=who.key_id)


def list_(db: Database, email: str | None = None, ended: bool = False) -> list[Row]:
    """Keys and sessions, the newest first.

    Args:
        db: The database.
        email: Those of one user.
        ended: Those that are good no more, too.

    Returns:
        Dicts with `key_id, email, kind, name, scopes, prefix, created_at, expires_at, last_used_at, revoked_at`.
    """
    return db.fetch(
        f"""SELECT {_LISTED} FROM api_keys k JOIN users u ON u.id = k.user_id
            WHERE k.kind NOT IN ('login', 'ticket') AND u.email = coalesce(%s, u.email) AND (%s OR {_IS_GOOD})
            ORDER BY k.created_at DESC, k.id""",
        (email, ended),
    )


def named(db: Database, beginning: str) -> Row:
    """The one key or session whose visible part or id begins like that, as in `list_`.

    Raises:
        UnknownKey: There is none, or more than one.
    """
    rows = db.fetch(
        f"""SELECT {_LISTED} FROM api_keys k JOIN users u ON u.id = k.user_id
            WHERE k.kind NOT IN ('login', 'ticket') AND (starts_with(k.prefix, %s) OR starts_with(k.id::text, %s)) LIMIT 2""",
        (_prefix(beginning), clean_text(beginning)),
    )
    if len(rows) != 1 or not beginning:
        raise UnknownKey(f"{'More than one' if rows else 'No'} key begins with {beginning[:_SHOWN]}.")
    return rows[0]


def revoke(db: Database, key_id: str) -> None:
    """From now on the key is good no more; what was revoked stays so."""
    db.execute("UPDATE api_keys SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL", (key_id,))


def end_session(db: Database, secret: str, unless: str | None = None) -> None:
    """The session with this secret is over, and the session that began it, but for the one with this id."""
    db.execute(
        """WITH its AS (SELECT id, made_by FROM api_keys WHERE prefix = %s AND hash = %s AND kind = 'session')
           UPDATE api_keys k SET revoked_at = now() FROM its WHERE k.id IN (its.id, its.made_by) AND k.kind = 'session'
           AND k.revoked_at IS NULL AND k.id IS DISTINCT FROM %s::uuid""",
        (_prefix(secret), _digest(secret), unless),
    )


def sweep(db: Database) -> int:
    """Delete sessions, tickets and one-time tokens that have been good no more for a day: their quotas are past, too. Returns how many."""
    return db.execute(
        """DELETE FROM api_keys k WHERE k.kind <> 'key'
           AND least(k.revoked_at, k.expires_at, (SELECT least(p.revoked_at, p.expires_at) FROM api_keys p WHERE p.id = k.made_by))
               < now() - interval '1 day'"""
    )


def rotate(db: Database, key_id: str, overlap: timedelta) -> str:
    """Make a key like this one, which itself is good for a while longer.

    Args:
        db: The database.
        key_id: Of the old key.
        overlap: How long the old one stays good, at most.

    Returns:
        The new secret. If the old key was made for a time, the new one is good for as long, from now.

    Raises:
        UnknownKey: The old one is good no more.
    """
    secret = MARK + secrets.token_urlsafe(_BYTES)

    def act(conn: psycopg.Connection[Row]) -> str:
        old = conn.execute(
            f"""SELECT k.user_id::text, k.name, k.scopes, k.expires_at - k.created_at AS lasts, now() AS now
                FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.id = %s AND k.kind = 'key' AND {_IS_GOOD} FOR UPDATE OF k""",
            (key_id,),
        ).fetchone()
        if old is None:
            raise UnknownKey("This key is good no more.", "Make a new one with `reframer keys add`.")
        end: datetime = old["now"] + overlap
        conn.execute("UPDATE api_keys SET expires_at = least(expires_at, %s) WHERE id = %s", (end, key_id))
        return _insert(conn, secret, old["user_id"], old["name"], old["scopes"], old["lasts"], "key")

    return db.run(act)


def _insert(
    conn: psycopg.Connection[Row],
    secret: str,
    user_id: str,
    name: str,
    scopes: Collection[str],
    lasts: timedelta | None,
    kind: Kind,
    made_by: str | None = None,
) -> str:
    """Once, though the answer of a COMMIT is lost and this is said again: the secret is drawn before."""
    digest = _digest(secret)
    conn.execute(
        """INSERT INTO api_keys (user_id, kind, name, scopes, prefix, hash, expires_at, made_by)
           SELECT %s, %s, %s, %s, %s, %s, now() + %s::interval, %s
           WHERE NOT EXISTS (SELECT 1 FROM api_keys WHERE prefix = %s AND hash = %s)""",
        (user_id, kind, clean_text(name), sorted(scopes), _prefix(secret), digest, lasts, made_by, _prefix(secret), digest),
    )
    return secret


def _prefix(secret: str) -> str:
    return clean_text(secret[:_SHOWN])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
