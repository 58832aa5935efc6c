"""Searching over all of a person's videos: tracks, scenes and elements, with the times to jump to.

What belongs here: what each of them can be searched by, in which order hits come, and the queries for hits and for their videos. What
does not: rows of one video (`tables`), how it is asked over HTTP (`api`). Only published rows are found. Pages go on where the one before
ended, so what is computed anew meanwhile may be found twice or not at all, and everything else is found once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.reading.labels import spellings
from reframer_pipeline.reading.parts import read_part
from reframer_pipeline.reading.tables import ELEMENTS, SCENES, TRACKS, Table
from reframer_pipeline.work.videos import plain

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Order:
    """An order of hits.

    Attributes:
        by: Expressions over the columns of the table, never null. An index has them, and few rows are alike in all of them.
        descending: The largest first; what tells rows apart follows in the same direction, so that the index can be read on from any row.
    """

    by: tuple[LiteralString, ...]
    descending: bool = True


@dataclass(frozen=True)
class Searched:
    """A table that can be searched.

    Attributes:
        table: Of the vocabulary.
        asked: What it can be searched by: conditions by name.
        orders: By name, the default first.
    """

    table: Table
    asked: dict[str, LiteralString]
    orders: dict[str, Order]


_WORDS: Final[LiteralString] = "to_tsvector('english', {}) @@ websearch_to_tsquery('english', %(words)s)"
_THING: Final[dict[str, LiteralString]] = {
    "object_class": "one.class = %(object_class)s",
    "label": "one.label = %(label)s",  # in whatever case: see `_asked`
    "min_seconds": "one.seconds >= %(min_seconds)s",
    "min_share": "one.area_share >= %(min_share)s",
}
SEARCHED: Final = {
    "tracks": Searched(TRACKS, _THING, {"seconds": Order(("one.seconds", "one.confidence"))}),
    "scenes": Searched(
        SCENES,
        {
            "min_seconds": "one.seconds >= %(min_seconds)s",
            "min_importance": "one.importance >= %(min_importance)s",
            "words": _WORDS.replace("{}", "coalesce(one.description, '')"),
        },
        {"importance": Order(("one.importance",)), "seconds": Order(("one.seconds",))},
    ),
    "elements": Searched(
        ELEMENTS,
        {**_THING, "difficulty": "one.difficulty = %(difficulty)s", "words": _WORDS.replace("{}", "one.description")},
        {"difficulty": Order(("coalesce(one.difficulty_score, 101)",), descending=False), "seconds": Order(("coalesce(one.seconds, 0)",))},
    ),
}


def search(
    db: Database,
    user_id: str,
    kind: str,
    wanted: dict[str, Any],
    order: str,
    limit: int,
    after: Sequence[Any] = (),
    characters: float = math.inf,
) -> tuple[list[Row], bool]:
    """What a person's videos hold, one page, and whether there is more.

    Args:
        db: The database.
        user_id: Whose videos.
        kind: Of `SEARCHED`.
        wanted: Names of its `asked` to values.
        order: Of its `orders`.
        limit: Length of the page.
        after: `place` of the last hit on the page before.
        characters: Of the hits' values at most, as for `parts.read_part`.

    Returns:
        Dicts with the columns of the table, `filename`, as this person calls the video, and `place`, from where a search can go on.
    """
    searched = SEARCHED[kind]
    direction = "DESC" if searched.orders[order].descending else "ASC"
    keys = [*searched.orders[order].by, "one.result_id", *(f"one.{name}" for name in searched.table.key)]
    published, values = _asked(db, kind, wanted, user_id)
    going_on = ""
    if after:
        there = (f"%(after{number})s{'::uuid' if key == 'one.result_id' else ''}" for number, key in enumerate(keys))
        going_on = f"AND ({', '.join(keys)}) {'<' if direction == 'DESC' else '>'} ({', '.join(there)})"
        values |= {f"after{number}": value for number, value in enumerate(after)}
    columns = ", ".join(f'one."{column.name}"' for column in searched.table.columns)
    query: Any = f"""SELECT {columns}, l.filename, jsonb_build_array({", ".join(keys)}) AS place {published} {going_on}
        ORDER BY {", ".join(f"{key} {direction}" for key in keys)} LIMIT %(limit)s"""

    def act(conn: psycopg.Connection[Row]) -> tuple[list[Row], bool]:
        conn.execute("SET LOCAL max_parallel_workers_per_gather = 0")  # few rows are read: workers take longer to start than that
        found, more = read_part(conn, query, {**values, "limit": limit + 1}, limit, characters)
        return list(map(plain, found)), more

    return db.run(act)


def videos_with(db: Database, kind: str, wanted: dict[str, Any], user_id: str | None = None, limit: int | None = None) -> list[str]:
    """The ids of the videos that a search has hits in, each once, the oldest first.

    Args:
        db: The database.
        kind: Of `SEARCHED`.
        wanted: Names of its `asked` to values.
        user_id: Whose videos; None: everybody's.
        limit: How many at most; None: all.
    """
    published, values = _asked(db, kind, wanted, user_id)
    query: Any = f"""SELECT v.id::text AS id FROM videos v WHERE v.id IN (SELECT p.video_id {published})
        ORDER BY v.created_at, v.id LIMIT %(limit)s"""
    return [row["id"] for row in db.fetch(query, {**values, "limit": limit})]


def _asked(db: Database, kind: str, wanted: dict[str, Any], user_id: str | None) -> tuple[LiteralString, dict[str, Any]]:
    """The published rows `one` that are asked for, as the end of a query, and its values; of a user's, `l` is the video in the library."""
    searched = SEARCHED[kind]
    asked = {name: searched.asked[name] for name in wanted}
    if "label" in wanted and (spelt := spellings(db, kind, wanted["label"])):
        wanted = {**wanted, "label": spelt[0] if len(spelt) == 1 else spelt}
        if len(spelt) > 1:
            asked["label"] = "one.label = ANY(%(label)s)"  # cannot be read in order along the index
    library: LiteralString = "" if user_id is None else "JOIN library l ON l.video_id = p.video_id AND l.user_id = %(user)s"
    query: LiteralString = f"""FROM result_{searched.table.name} one
        JOIN published p ON p.result_id = one.result_id AND p.stage = 'scenes' {library}
        WHERE {" AND ".join(["true", *asked.values()])}"""
    values = {name: clean_text(value) if isinstance(value, str) else value for name, value in wanted.items()}
    return query, {**values, "user": user_id}
