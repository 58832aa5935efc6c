"""Deliverables: mattes and reframed videos that somebody asked for, a row that says how each stands, and an object in the store.

What belongs here: asking, who makes one, how far that is, and where it lies afterwards. What does not: the values and the table of
transitions (`deliverable`), what is wanted and making it (`editing.keeping`), when it goes (`retention.deliverables`), starting runs
(`orchestration`).

Who asks for the same finds the same row: its id follows from all that the file follows from. Whoever makes it says so in the row first and
gives signs of life, so it is made once; who gives none for `SILENT_S` has died, and the next one takes it up. The object is put before the
row names it: a crash in between leaves an orphan, never a row without its object.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.types.json import Jsonb

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import LeaseLost, ReframerError, ResultsGone, WeightsChanged
from reframer_pipeline.results.deliverable import Deliverable, Event, Kind, Wanted, moved
from reframer_pipeline.store.objects import ObjectStore, deliverable_key

if TYPE_CHECKING:
    import psycopg

SILENT_S: Final = 60.0
FIRST_PAUSE_S: Final = 30.0  # before another run is asked for; doubled with each further one
_USED_H: Final = 1  # that somebody took it is noted so often at most
_SILENT: Final[LiteralString] = f"status = 'making' AND alive_at < now() - {SILENT_S} * interval '1 second'"
_FINAL: Final = (WeightsChanged,)  # a video's next run does better; what was ordered is of these weights


@dataclass(frozen=True)
class Asker:
    """Who asks.

    Attributes:
        user_id: The person; None: somebody at Dagster's UI.
        api_key_id: Their key.
        demand: Called in the transaction if something is to be made: raises if they may not have it.
        patience_s: Seconds for which nobody but the asker asks for a run.
    """

    user_id: str | None = None
    api_key_id: str | None = None
    demand: Callable[[psycopg.Connection[Row]], object] = lambda conn: None
    patience_s: float = 0.0


def ask(db: Database, wanted: Wanted, by: Asker) -> Deliverable:
    """Ask for one: the row of all who want the same. One that failed or was evicted is wanted again.

    Raises:
        ResultsGone: The set is not there any more.
    """
    values: dict[str, Any] = {
        **{one.name: getattr(wanted, one.name) for one in fields(Wanted)}, "id": wanted.id, "wish": Jsonb(wanted.wish),
        "ordered": Jsonb(wanted.ordered), "by": by.user_id, "api_key": by.api_key_id, "wait": by.patience_s, **moved(Event.ASKED),
    }  # fmt: skip

    def act(conn: psycopg.Connection[Row]) -> Row | None:
        known = conn.execute("SELECT status FROM deliverables WHERE id = %(id)s FOR UPDATE", values).fetchone()
        if known is None or known["status"] in values["from"]:
            by.demand(conn)
        begun = conn.execute(
            """INSERT INTO deliverables AS d (id, video_id, result_id, kind, key, wish, ordered, filename, media_type, names_video,
                   asked_by, api_key_id, due_at)
               SELECT %(id)s, video_id, result_id, %(kind)s, %(key)s, %(wish)s, %(ordered)s, %(filename)s, %(media_type)s,
                   %(names_video)s, %(by)s, %(api_key)s, now() + %(wait)s * interval '1 second'
               FROM results WHERE video_id = %(video_id)s AND result_id = %(result_id)s FOR KEY SHARE
               ON CONFLICT (id) DO UPDATE SET status = %(to)s, asked_by = EXCLUDED.asked_by, api_key_id = EXCLUDED.api_key_id,
                   wanted_at = clock_timestamp(), due_at = EXCLUDED.due_at, attempts = 0, progress = 0, evicted_at = NULL,
                   failure_code = NULL, failure_message = NULL
               WHERE d.status = ANY(%(from)s)
               RETURNING d.*""",
            values,
        ).fetchone()
        return begun or conn.execute("SELECT * FROM deliverables WHERE id = %(id)s", values).fetchone()

    row = db.run(act)
    if row is None:
        raise ResultsGone("The results that it would be made of are kept no more.", "Ask again.")
    return Deliverable.of(row)


def find(db: Database, deliverable_id: str) -> Deliverable | None:
    """The one with this id."""
    row = db.fetch_one("SELECT * FROM deliverables WHERE id = %s", (deliverable_id,))
    return None if row is None else Deliverable.of(row)


def waiting(db: Database, video_id: str, kind: Kind, run_id: str) -> list[str]:
    """The ids of a video's deliverables that nobody makes, or a worker of this run that is gone; the oldest wish first."""
    query: LiteralString = f"""SELECT id::text AS id FROM deliverables
        WHERE video_id = %s AND kind = %s AND (status = 'wanted' OR {_SILENT} OR (status = 'making' AND run_id = %s))
        ORDER BY wanted_at, id"""
    return [row["id"] for row in db.fetch(query, (video_id, kind, run_id))]


def due(db: Database, limit: int) -> list[Deliverable]:
    """Those for which a run may have to be asked: nobody makes them, and their time has come."""
    query: LiteralString = f"""SELECT * FROM deliverables
        WHERE due_at <= now() AND (status = 'wanted' OR {_SILENT}) ORDER BY due_at, id LIMIT %s"""
    return [Deliverable.of(row) for row in db.fetch(query, (limit,))]


def hand_over(db: Database, deliverable_id: str) -> None:
    """Nothing came of the asker's asking for a run: now anybody may."""
    db.execute("UPDATE deliverables SET due_at = least(due_at, now()) WHERE id = %s", (deliverable_id,))


def claim(db: Database, deliverable_id: str, token: str, run_id: str | None = None) -> Deliverable | None:
    """Begin to make one, or go on; None if it is made, failed, gone, or being made by another one that lives.

    Args:
        db: The database.
        deliverable_id: The deliverable.
        token: By which the rest is said.
        run_id: Of the run, if Dagster runs it. What a worker of the same run was at is taken over.
    """
    row = db.fetch_one(
        f"""UPDATE deliverables SET status = %(to)s, token = %(token)s, run_id = %(run)s, progress = 0, alive_at = now(),
                attempts = attempts + (status = 'making' AND token <> %(token)s)::int
            WHERE id = %(id)s AND status = ANY(%(from)s) 
                AND (status = 'wanted' OR token = %(token)s OR run_id = %(run)s OR {_SILENT}) RETURNING *""",
        {"id": deliverable_id, "token": token, "run": run_id, **moved(Event.TAKEN)},
    )
    return None if row is None else Deliverable.of(row)


def alive(db: Database, deliverable_id: str, token: str, progress: float = 0.0) -> None:
    """It is still being made, and so far.

    Raises:
        LeaseLost: Nobody wants it any more, or another one makes it.
    """
    query = """UPDATE deliverables SET alive_at = now(), progress = greatest(progress, %s)
        WHERE id = %s AND token = %s AND status = 'making'"""
    if not db.execute(query, (progress, deliverable_id, token)):
        raise LeaseLost("It was deleted while it was made, or another run makes it.", "Nothing to do.")


def keep(
    db: Database, store: ObjectStore, one: Deliverable, token: str, made: Path, seconds: float, alive: Callable[[], None] = lambda: None
) -> Deliverable:
    """It is made: put it into the store, and say so.

    Args:
        db: The database.
        store: Where to.
        one: The deliverable.
        token: Of whoever makes it.
        made: The file.
        seconds: That making it took.
        alive: Called while the put gets on: a slow upload is no upload that stands still.

    Raises:
        LeaseLost: Nobody wants it any more, or another one makes it.
        StoreUnavailable, DiskFull: It cannot be kept.
    """
    key = deliverable_key(one.video_id, one.id, uuid.uuid4().hex, Path(one.filename).suffix)
    size = store.put(made, key, alive)
    row = db.fetch_one(
        """UPDATE deliverables SET status = %(to)s, progress = 1, object_key = %(key)s, object_bytes = %(bytes)s, seconds = %(seconds)s,
               made_at = now(), alive_at = now()
           WHERE id = %(id)s AND (token = %(token)s AND status = ANY(%(from)s) OR object_key = %(key)s) RETURNING *""",
        {"id": one.id, "token": token, "key": key, "bytes": size, "seconds": seconds, **moved(Event.MADE)},
    )  # the last condition is for a retry after a COMMIT whose answer was lost
    if row is None:
        store.delete(key)
        raise LeaseLost("It was deleted while it was made, or another run makes it.", "Nothing to do.")
    return Deliverable.of(row)


def end(db: Database, deliverable_id: str, failure: ReframerError, tries: int, token: str | None = None) -> None:
    """Its run has ended without it. Another one is due after a pause, if that may help, until so many were tried.

    Args:
        db: The database.
        deliverable_id: The deliverable.
        failure: Why.
        tries: Runs after which it is left alone.
        token: Of whoever makes it; if another one does, or nobody, nothing happens. None: nobody has begun; if one has, nothing happens.
    """

    def act(conn: psycopg.Connection[Row]) -> None:
        row = conn.execute(
            """SELECT attempts FROM deliverables WHERE id = %(id)s AND (status = 'wanted' AND %(token)s::uuid IS NULL
                   OR status = 'making' AND token = %(token)s::uuid) FOR NO KEY UPDATE""",
            {"id": deliverable_id, "token": token},
        ).fetchone()
        if row is None:
            return
        attempts = row["attempts"] + 1
        passes = failure.retryable and not isinstance(failure, _FINAL) and attempts < tries
        move = moved(Event.AGAIN if passes else Event.FAILED)
        why = (None, None) if passes else (failure.code, clean_text(str(failure)))
        conn.execute(
            """UPDATE deliverables SET status = %s, attempts = %s, wanted_at = clock_timestamp(),
                   due_at = now() + %s * interval '1 second', failure_code = %s, failure_message = %s
               WHERE id = %s AND status = ANY(%s)""",
            (move["to"], attempts, FIRST_PAUSE_S * 2 ** min(attempts - 1, 10), *why, deliverable_id, move["from"]),
        )

    db.run(act)


def used(db: Database, deliverable_id: str) -> None:
    """Somebody takes it."""
    query: LiteralString = f"""UPDATE deliverables SET alive_at = now()
        WHERE id = %s AND status = 'made' AND alive_at < now() - {_USED_H} * interval '1 hour'"""
    db.execute(query, (deliverable_id,))


def lost(db: Database, deliverable_id: str, key: str) -> None:
    """Its object is gone: it counts as evicted."""
    query = """UPDATE deliverables SET status = %(to)s, object_key = NULL, object_bytes = NULL, evicted_at = now()
        WHERE id = %(id)s AND object_key = %(key)s AND status = ANY(%(from)s)"""
    db.execute(query, {"id": deliverable_id, "key": key, **moved(Event.LOST)})


def delete(db: Database, store: ObjectStore, deliverable_id: str) -> bool:
    """Delete one, row first. Who makes it ends with the next sign of life. Returns whether there was one."""
    row = db.fetch_one("DELETE FROM deliverables WHERE id = %s RETURNING object_key", (deliverable_id,))
    if row is not None and row["object_key"]:
        store.delete(row["object_key"])
    return row is not None
