"""Superseded results: those whose place another has taken for so long that nobody will want them back.

What belongs here: which they are, and deleting them, rows first and objects then. What does not: objects that no result names (`orphans`).
A crash between rows and objects leaves orphans, never a result without its object. What is newer than what readers see waits for a later
stage, which may fail for long; if it was a setting that was tried and given up, nothing comes any more, so the waiting has an end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.results import rows
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.work import lease

if TYPE_CHECKING:
    import psycopg

WAITING_DAYS: LiteralString = "90"  # for what readers see next; to make it again costs no more than time
# Since when another one has its place; if it was made after that, since when it waits no more.
_MADE: LiteralString = "greatest(r.created_at, r.recomputed_at)"
_SINCE: LiteralString = f"CASE WHEN {_MADE} < p.published_at THEN p.published_at ELSE {_MADE} + {WAITING_DAYS} * interval '1 day' END"
_OLD: LiteralString = f"{_SINCE} < now() - %(days)s * interval '1 day'"
_OF_STAGE: LiteralString = "results r JOIN published p ON p.video_id = r.video_id AND p.stage = r.stage"


@dataclass(frozen=True)
class Candidate:
    """A result of a video of which a whole set is published.

    Attributes:
        result_id: Its id.
        inputs: Result ids that it was made from.
        published: Whether readers see it.
        since: When its place was taken; what is newer than what readers see waits that long for them.
        objects: Keys of its objects.
        bytes: Their size.
    """

    result_id: str
    inputs: tuple[str, ...]
    published: bool
    since: datetime
    objects: tuple[str, ...] = ()
    bytes: int = 0


def superseded(candidates: Iterable[Candidate], before: datetime) -> list[Candidate]:
    """Those that nobody sees, whose place was taken before, and that nothing was made from that stays.

    Args:
        candidates: All results of one video.
        before: Only what was superseded before may go.
    """
    known = {one.result_id: one for one in candidates}
    staying = [one for one in known.values() if one.published or one.since >= before]
    kept: set[str] = set()
    while staying:
        one = staying.pop()
        if one.result_id not in kept:
            kept.add(one.result_id)
            staying += [known[result_id] for result_id in one.inputs if result_id in known]
    return [one for one in known.values() if one.result_id not in kept]


def videos_with_superseded(db: Database, days: int) -> list[str]:
    """Videos that have such results, perhaps: of one that something newer was made from, nothing may go."""
    query: LiteralString = f"SELECT DISTINCT r.video_id::text FROM {_OF_STAGE} WHERE p.result_id <> r.result_id AND {_OLD} ORDER BY 1"
    return [row["video_id"] for row in db.fetch(query, {"days": days})]


def find(db: Database, video_id: str, days: int) -> list[Candidate]:
    """The superseded results of a video."""
    return db.run(lambda conn: _find(conn, video_id, days))


def delete(db: Database, store: ObjectStore, video_id: str, lease_token: str, days: int) -> list[Candidate]:
    """Delete the superseded results of a video: rows and manifest in one transaction, and then the objects.

    Raises:
        LeaseLost: A run took this video over; nothing was deleted.
    """

    def act(conn: psycopg.Connection[Row]) -> list[Candidate]:
        lease.demand(conn, video_id, lease_token)
        found = _find(conn, video_id, days)
        conn.execute("DELETE FROM results WHERE result_id = ANY(%s::uuid[])", ([one.result_id for one in found],))
        return found

    gone = db.run(act, timeout_s=rows.STATEMENT_S)
    for one in gone:
        for key in one.objects:
            store.delete(key)
    return gone


def _find(conn: psycopg.Connection[Row], video_id: str, days: int) -> list[Candidate]:
    query: LiteralString = f"""SELECT r.*, p.result_id = r.result_id AS published, {_SINCE} AS since,
            now() - %(days)s * interval '1 day' AS before FROM {_OF_STAGE} WHERE r.video_id = %(video)s"""
    found = conn.execute(query, {"video": video_id, "days": days}).fetchall()
    return superseded(map(_candidate, found), found[0]["before"]) if found else []


def _candidate(row: Row) -> Candidate:
    attachment = None if row["evicted_at"] else row["attachment_key"]
    return Candidate(
        str(row["result_id"]),
        tuple(str(one) for one in (*row["components"]["inputs"].values(), row["corrects"]) if one),
        row["published"],
        row["since"],
        tuple(key for key in (row["object_key"], attachment) if key),
        row["object_bytes"] + (row["attachment_bytes"] or 0 if attachment else 0),
    )
