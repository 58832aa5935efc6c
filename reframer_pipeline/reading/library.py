"""A person's library: the videos that they see, each under the name that they gave it.

What belongs here: who sees which video, and how it stands. What does not: everybody's videos (`videos`), rows of results (`tables`).
What is another's looks exactly like what is not there. Names and sentences here are this person's own: somebody else may have brought the
same bytes under another name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import NothingThere, NotPublished, ResultsGone, RowsArchived
from reframer_pipeline.reading.parts import read_part
from reframer_pipeline.reading.tables import GONE
from reframer_pipeline.reading.videos import SUMMARY
from reframer_pipeline.work.status import STANDING
from reframer_pipeline.work.videos import is_video_id


@dataclass(frozen=True)
class Seen:
    """A video that a person sees.

    Attributes:
        video_id: Its id.
        filename: As this person calls it.
        result_id: The set that was asked for, or that readers are to see: the id of its scenes result; None before there is one.
        archived_at: Since when the rows of that set are away, if they are.
    """

    video_id: str
    filename: str
    result_id: str | None
    archived_at: datetime | None

    @property
    def words(self) -> str:
        """For people: its name beside the id."""
        return f"{self.filename} (video {self.video_id})"

    def published(self, rows: bool = True) -> str:
        """The set, which must be there.

        Args:
            rows: Whether its rows must be in Postgres.

        Raises:
            NotPublished: There is none yet.
            RowsArchived: Its rows are away.
        """
        if self.result_id is None:
            raise NotPublished(f"{self.words} has no results yet.", _WAIT)
        if rows and self.archived_at is not None:
            raise RowsArchived(f"{self.words} was archived on {self.archived_at:%Y-%m-%d}.")
        return self.result_id


_WAIT: Final = "Wait until it is computed; `status` and the job say how far it is."
# A page first, what there is to say of each video then: otherwise it would be gathered for the whole library.
_PAGE: Final[LiteralString] = """
    WITH page AS MATERIALIZED (
        SELECT l.*, {key} AS sort_key, stands.*
        FROM library l JOIN videos v ON v.id = l.video_id CROSS JOIN LATERAL ({standing}) stands WHERE l.user_id = %(user)s {where}
        ORDER BY {key} {way}, l.upload_id {way} LIMIT %(limit)s)
    SELECT v.id::text AS video_id, page.filename, page.uploaded_at, page.upload_id::text, page.sort_key, page.status,
        page.failure_code, page.failure_message, v.duration, v.width, v.height, v.fps, v.frame_count, v.codec, v.size_bytes, v.updated_at,
        about.*
    FROM page JOIN videos v ON v.id = page.video_id CROSS JOIN LATERAL ({summary}) about
    ORDER BY page.sort_key {way}, page.upload_id {way}"""
# What a library can be sorted by: its expression, which an index has, and its type. A video whose length is not known yet counts as the
# shortest.
_KEYS: Final[dict[str, tuple[LiteralString, LiteralString]]] = {
    "uploaded": ("l.uploaded_at", "timestamptz"),
    "name": ("left(lower(l.filename), 100)", "text"),
    "duration": ("coalesce(v.duration, -1)", "float8"),
}
Sort = Literal["uploaded", "-uploaded", "name", "-name", "duration", "-duration"]
NEWEST_FIRST: Final[Sort] = "-uploaded"


def page(
    db: Database,
    user_id: str,
    limit: int,
    after: Sequence[Any] = (),
    status: str | None = None,
    name: str | None = None,
    sort: Sort = NEWEST_FIRST,
    characters: float = math.inf,
) -> tuple[list[Row], bool]:
    """A person's videos, one page, and whether there are more.

    Args:
        db: The database.
        user_id: Whose.
        limit: Length of the page.
        after: `sort_key` and `upload_id` of the last one on the page before.
        status: Only those that stand like this.
        name: Only those whose name has this in it, in whatever case.
        sort: By what; with `-` before it the last comes first.
        characters: Of the rows' values at most, as for `parts.read_part`.

    Returns:
        Dicts with `video_id, filename, uploaded_at, upload_id, sort_key, status, failure_code, failure_message, duration, width, height,
        fps, frame_count, codec, size_bytes, updated_at`, and what `reading.videos.SUMMARY` says.
    """
    query, values = asked(user_id, limit, after, status, name, sort)
    return db.run(lambda conn: read_part(conn, query, values, limit, characters))


def asked(
    user_id: str, limit: int, after: Sequence[Any] = (), status: str | None = None, name: str | None = None, sort: Sort = NEWEST_FIRST
) -> tuple[LiteralString, dict[str, Any]]:
    """The query of such a page, and its values."""
    where: LiteralString = ""
    values: dict[str, Any] = {"user": user_id, "limit": limit + 1}
    if after:
        key, kind = _KEYS[sort.removeprefix("-")]
        beyond: LiteralString = "<" if sort.startswith("-") else ">"
        where += f" AND ({key}, l.upload_id) {beyond} (%(at)s::{kind}, %(upload)s::uuid)"
        where += f" AND {key} {beyond}= %(at)s::{kind}"  # follows from it; but of two tables' columns only this goes along an index
        values |= {"at": clean_text(after[0]) if isinstance(after[0], str) else after[0], "upload": after[1]}
    if status is not None:
        where += " AND v.status IN (%(status)s, 'failed') AND stands.status = %(status)s"  # the first goes along an index
        values["status"] = status
    if name is not None:
        where += " AND strpos(lower(l.filename), lower(%(name)s)) > 0"
        values["name"] = clean_text(name)
    return _page(where, sort), values


def _page(where: LiteralString, sort: Sort = NEWEST_FIRST) -> LiteralString:
    key, way = _KEYS[sort.removeprefix("-")][0], "DESC" if sort.startswith("-") else "ASC"
    filled = _PAGE.replace("{where}", where).replace("{key}", key).replace("{way}", way)
    return filled.replace("{standing}", STANDING).replace("{summary}", SUMMARY)


def one(db: Database, user_id: str, video_id: str) -> Row:
    """One of a person's videos, as in `page`.

    Raises:
        NothingThere: They have none with this id.
    """
    rows = []
    if is_video_id(video_id):
        query = _page("AND l.video_id = %(video)s")
        rows = db.fetch(query, {"user": user_id, "video": video_id, "limit": 1})
    if not rows:
        raise NothingThere(_NO_VIDEO)
    return rows[0]


def see(db: Database, user_id: str, video_id: str, result_id: str | None = None) -> Seen:
    """One of a person's videos, as far as reading its results needs it.

    Args:
        db: The database.
        user_id: Whose.
        video_id: Which.
        result_id: The set to read; None: the one that is published.

    Raises:
        NothingThere: They have none with this id.
        ResultsGone: It has no such set, or no longer.
    """
    row = db.fetch_one(f"{_SEEN} AND l.video_id = %s", (user_id, video_id)) if is_video_id(video_id) else None
    if row is None:
        raise NothingThere(_NO_VIDEO)
    seen = Seen(**row)
    if result_id in (None, seen.result_id):
        return seen
    return replace(seen, result_id=result_id, archived_at=demand_set(db, video_id, result_id))


def of_job(db: Database, user_id: str, job_id: str, result_id: str | None = None) -> Seen:
    """The video of one of a person's jobs, under the name that the job gave it; `result_id` as for `see`.

    Raises:
        NothingThere: They have no such job.
        NotPublished: It was refused, or is being received.
        ResultsGone: As for `see`.
    """
    row = None
    if is_video_id(job_id):
        row = db.fetch_one(_OF_JOB, (job_id, user_id))
    if row is None:
        raise NothingThere("There is no such job.")
    if row["video_id"] is None:
        raise NotPublished(f"{row['filename']} has no results: {row['failure_code'] or 'it is being received'}.", "Look at the job.")
    return replace(see(db, user_id, row["video_id"], result_id), filename=row["filename"])


def job_of(db: Database, user_id: str, video_id: str) -> str:
    """The job of one of a person's videos: their latest upload of it, which becomes a job by this if nobody asked for its computing.

    Raises:
        NothingThere: They have none with this id.
    """
    see(db, user_id, video_id)
    row = db.fetch_one(
        """UPDATE uploads SET requested = true WHERE id = (SELECT upload_id FROM library WHERE user_id = %s AND video_id = %s)
           RETURNING id::text AS id""",
        (user_id, video_id),
    )
    if row is None:  # deleted meanwhile
        raise NothingThere(_NO_VIDEO)
    return str(row["id"])


def demand_set(db: Database, video_id: str, result_id: str) -> datetime | None:
    """Go on only if this is a set of results of this video that is still kept. Returns since when its rows are away, if they are.

    Raises:
        ResultsGone: It is not.
    """
    row = db.fetch_one("SELECT archived_at FROM result_sets WHERE result_id = %s AND video_id = %s", (result_id, video_id))
    if row is None:
        raise ResultsGone(GONE)
    away: datetime | None = row["archived_at"]
    return away


_OF_JOB: Final[LiteralString] = """
    SELECT video_id::text, filename, failure_code FROM uploads WHERE id = %s AND user_id = %s AND requested AND status <> 'deleted'"""
_NO_VIDEO: Final = "There is no such video."
_SEEN: Final[LiteralString] = """
    SELECT l.video_id::text, l.filename, r.result_id::text, r.archived_at
    FROM library l LEFT JOIN current_results r ON r.video_id = l.video_id AND r.stage = 'scenes' WHERE l.user_id = %s"""
