"""A person's deliverables: the mattes and reframed videos of the videos that they see.

What belongs here: who sees which, and whether anybody makes them. What does not: asking for one (`editing.keeping`). One is a video's,
whoever asked for it. But a file that has the video's name in it is seen by those alone who call the video so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final, LiteralString

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import NothingThere
from reframer_pipeline.reading import library
from reframer_pipeline.reading.library import Seen
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline.work.signs import COMPUTING, QUIET_S
from reframer_pipeline.work.videos import is_video_id

_NONE: Final = "There is no such deliverable: it was deleted, or newer results took the place of those that it was made of."


def page(db: Database, seen: Seen, limit: int, after: Sequence[Any] = ()) -> tuple[list[Deliverable], bool]:
    """Those of a video, the oldest first, and whether there are more.

    Args:
        db: The database.
        seen: The video, as who asks sees it.
        limit: Length of the page.
        after: `created_at` and id of the last one on the page before.
    """
    at, last = after or ("-infinity", "00000000-0000-0000-0000-000000000000")
    rows = db.fetch(
        """SELECT * FROM deliverables WHERE video_id = %s AND (names_video IS NULL OR names_video = %s)
               AND (created_at, id) > (%s::timestamptz, %s::uuid) ORDER BY created_at, id LIMIT %s""",
        (seen.video_id, seen.filename, at, last, limit + 1),
    )
    return [Deliverable.of(row) for row in rows[:limit]], len(rows) > limit


def one(db: Database, user_id: str, deliverable_id: str) -> tuple[Deliverable, Seen]:
    """One of them, and its video.

    Raises:
        NothingThere: They see none with this id.
    """
    query = "SELECT * FROM deliverables WHERE id = %s"
    row = db.fetch_one(query, (deliverable_id,)) if is_video_id(deliverable_id) else None
    if row is None:
        raise NothingThere(_NONE)
    found = Deliverable.of(row)
    try:
        seen = library.see(db, user_id, found.video_id)
    except NothingThere:
        raise NothingThere(_NONE) from None
    if found.names_video not in (None, seen.filename):
        raise NothingThere(_NONE)
    return found, seen


def made_of(db: Database, sets: Sequence[tuple[str, str]]) -> list[Deliverable]:
    """Those that are kept of sets of results, the oldest first.

    Args:
        db: The database.
        sets: Ids of the sets, each with what the video is called by who asks.
    """
    rows = db.fetch(
        """SELECT d.* FROM deliverables d JOIN unnest(%s::uuid[], %s::text[]) AS seen (result_id, filename) ON seen.result_id = d.result_id
           WHERE d.status = 'made' AND (d.names_video IS NULL OR d.names_video = seen.filename) ORDER BY d.created_at, d.id""",
        ([result_id for result_id, _ in sets], [filename for _, filename in sets]),
    )
    return [Deliverable.of(row) for row in rows]


def held_up(db: Database, found: Sequence[Deliverable]) -> set[str]:
    """The ids of those of which nothing becomes: for `signs.QUIET_S` a run was due or silent, and nobody has computed anything."""
    waiting = [one.id for one in found if one.status in ("wanted", "making")]
    query: LiteralString = f"""SELECT id::text AS id FROM deliverables
        WHERE id = ANY(%s::uuid[]) AND CASE status WHEN 'wanted' THEN due_at WHEN 'making' THEN alive_at END
            < now() - interval '{QUIET_S} seconds' AND NOT {COMPUTING}"""
    return {row["id"] for row in db.fetch(query, (waiting,))} if waiting else set()


def download_name(one: Deliverable, filename: str) -> str:
    """What its file is called when somebody takes it who calls the video so."""
    return f"{PurePosixPath(filename).stem}-{one.filename}"
