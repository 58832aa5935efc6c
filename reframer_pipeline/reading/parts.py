"""A part of a list: rows in their order, until there are enough of them, or they are too large together.

What belongs here: reading no more than that. What does not: which rows (the modules with the queries), cursors of clients (`api.paging`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.database.postgres import Row

if TYPE_CHECKING:
    import psycopg

_AT_ONCE: Final = 200  # rows that the database sends at once


def read_part(conn: psycopg.Connection[Row], query: Any, values: Any, limit: int, characters: float) -> tuple[list[Row], bool]:
    """The first rows of a query, and whether there are more.

    Args:
        conn: In a transaction.
        query: It must give one row more than `limit`, if there is one.
        values: Its parameters.
        limit: Rows at most.
        characters: Of the rows' values at most; a row that has more comes alone. Hardly more is read.
    """
    found, size = list[Row](), 0
    conn.execute("SET LOCAL cursor_tuple_fraction = 1")  # the query has its limit: all of it is read, not the tenth that Postgres expects
    with conn.cursor("part") as cursor:
        cursor.itersize = _AT_ONCE
        for row in cursor.execute(query, values):
            size += sum(len(str(value)) for value in row.values())
            if found and (len(found) == limit or size > characters):
                return found, True
            found.append(row)
    return found, False
