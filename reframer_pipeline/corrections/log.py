"""The log of corrections: the table `corrections`.

What belongs here: writing an event down, marking it as undone, and reading the log. What does not: what an event means (`events`), what
follows from it for readers, which its transaction does as well (`results.correcting`). An event is never changed: undoing is a mark on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, LiteralString

from reframer_pipeline.corrections.applying import Standing
from reframer_pipeline.corrections.events import Event, body, change_of, in_words
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import IdempotencyKeyReused, UnknownCorrection
from reframer_pipeline.work.videos import plain

if TYPE_CHECKING:
    import psycopg

Source = Literal["hand", "cvat"]


@dataclass(frozen=True)
class Author:
    """Who corrects.

    Attributes:
        user_id: The user.
        source: How it comes: said directly, or by a corrected CVAT file.
        idempotency_key: The same for a request that is repeated, or None.
    """

    user_id: str
    source: Source = "hand"
    idempotency_key: str | None = None


_STANDING: Final[LiteralString] = """
    SELECT id::text, kind, body, evidence FROM corrections WHERE video_id = %s AND undone_at IS NULL ORDER BY number"""


def standing(conn: psycopg.Connection[Row], video_id: str) -> list[Event]:
    """The events that count, in their order."""
    return [Event(row["id"], change_of(row["body"]), row["evidence"]) for row in conn.execute(_STANDING, (video_id,))]


def corrected(conn: psycopg.Connection[Row], video_id: str) -> bool:
    """Whether any event counts."""
    query = "SELECT 1 FROM corrections WHERE video_id = %s AND undone_at IS NULL LIMIT 1"
    return conn.execute(query, (video_id,)).fetchone() is not None


def add(conn: psycopg.Connection[Row], video_id: str, events: Sequence[Event], by: Author) -> None:
    """Write events down, in their order; those that are there already stay as they are."""
    from psycopg.types.json import Jsonb

    for place, event in enumerate(events):
        conn.execute(
            """INSERT INTO corrections (id, video_id, number, user_id, kind, body, evidence, source, idempotency_key)
               SELECT %s, %s, coalesce(max(number), 0) + 1, %s, %s, %s, %s, %s, %s FROM corrections WHERE video_id = %s
               ON CONFLICT (id) DO NOTHING""",
            (
                event.id, video_id, by.user_id, event.change.kind, Jsonb(body(event.change)), Jsonb(dict(event.evidence)), by.source,
                by.idempotency_key if place == 0 else None, video_id,
            ),
        )  # fmt: skip


def standing_id(db: Database, video_id: str, number: int) -> str:
    """The id of an event that counts. Raises `UnknownCorrection`."""
    row = db.fetch_one("SELECT id::text FROM corrections WHERE video_id = %s AND number = %s AND undone_at IS NULL", (video_id, number))
    if row is None:
        raise UnknownCorrection(f"There is no correction {number} of this video that could be undone.")
    return str(row["id"])


def undo(conn: psycopg.Connection[Row], video_id: str, number: int, user_id: str) -> None:
    """Mark an event as undone; nothing happens if it is already."""
    conn.execute(
        "UPDATE corrections SET undone_at = now(), undone_by = %s WHERE video_id = %s AND number = %s AND undone_at IS NULL",
        (user_id, video_id, number),
    )


def note(conn: psycopg.Connection[Row], standing: Standing) -> list[int]:
    """Write down how events stand to what is published from now on.

    Returns:
        The numbers of those that were applied until now, and are no more.
    """
    query = "SELECT id::text, number FROM corrections WHERE id = ANY(%s::uuid[]) AND trouble IS NULL ORDER BY number"
    lost = [row["number"] for row in conn.execute(query, (list(standing),)) if standing[row["id"]] is not None]
    for event_id, trouble in standing.items():
        conn.execute("UPDATE corrections SET trouble = %s WHERE id = %s AND trouble IS DISTINCT FROM %s", (trouble, event_id, trouble))
    return lost


_LISTED: Final[LiteralString] = """
    SELECT c.id, c.number, c.kind, c.body AS change, c.source, c.created_at, c.undone_at, c.user_id, u.email,
        CASE WHEN c.undone_at IS NULL THEN c.trouble IS NULL END AS applied, CASE WHEN c.undone_at IS NULL THEN c.trouble END AS trouble
    FROM corrections c JOIN users u ON u.id = c.user_id WHERE c.video_id = %s"""


def list_(db: Database, video_id: str) -> list[Row]:
    """The log of a video, the oldest first.

    Returns:
        Dicts with `id`, `number`, `kind`, `change`, `says` (the change in words), `source`, `created_at`, `undone_at`, `user_id`, `email`,
        `applied` (whether readers see it; None if it was undone) and `trouble` (why they do not).
    """
    return [_listed(row) for row in db.fetch(f"{_LISTED} ORDER BY c.number", (video_id,))]


def page(db: Database, video_id: str, after: int, limit: int) -> tuple[list[Row], bool]:
    """The same, one page of those with a higher number, and whether there are more."""
    query = f"{_LISTED} AND c.number > %s ORDER BY c.number LIMIT %s"
    found = db.fetch(query, (video_id, after, limit + 1))
    return [_listed(row) for row in found[:limit]], len(found) > limit


def made(db: Database, ids: Sequence[str]) -> list[Row]:
    """These events as in `list_`."""
    query = _LISTED.replace("c.video_id = %s", "c.id = ANY(%s::uuid[])")
    return [_listed(row) for row in db.fetch(f"{query} ORDER BY c.number", (list(ids),))]


def repeated(conn: psycopg.Connection[Row], video_id: str, by: Author, event: dict[str, object]) -> str | None:
    """The id of the event that was made under this key before, if one was.

    Raises:
        IdempotencyKeyReused: Something else was.
    """
    if by.idempotency_key is None:
        return None
    query = "SELECT id::text, video_id::text, body FROM corrections WHERE user_id = %s AND idempotency_key = %s"
    row = conn.execute(query, (by.user_id, by.idempotency_key)).fetchone()
    if row is not None and (row["video_id"], row["body"]) != (video_id, event):
        raise IdempotencyKeyReused(f"Something else was asked with the Idempotency-Key {by.idempotency_key} before.")
    return None if row is None else str(row["id"])


def _listed(row: Row) -> Row:
    return {**plain(row), "says": in_words(change_of(row["change"]))}
