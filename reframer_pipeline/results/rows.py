"""Rows: the one place that writes a stage's rows to Postgres.

What belongs here: COPY, and how long a statement about many rows may take. What does not: which column becomes which (`stages`), reading
files, transactions.
Everything is done on whole columns: the text of each COPY field is built by Arrow, and a batch is one write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.stages import BY_NAME
from reframer_pipeline.stages.columns import text

if TYPE_CHECKING:
    import psycopg

    from reframer_pipeline.database.postgres import Row

STATEMENT_S = 1800.0  # deleting the rows of the longest video, in one cascade
COPY_BYTES = 500_000  # of columns, a write, which holds a few copies of their text: some 100 masks, or thousands of boxes


def copy_rows(
    conn: psycopg.Connection[Row],
    row: ManifestRow,
    batches: Callable[[], Iterator[pa.RecordBatch]],
    alive: Callable[[], None] = lambda: None,
) -> int:
    """COPY a result's rows within the caller's transaction.

    Args:
        conn: In a transaction.
        row: The result.
        batches: Draws its rows, as they lie in Parquet.
        alive: Called with each batch.

    Returns:
        Rows copied; 0 for stages whose rows live in Parquet alone (`frames`) or in `videos` (`metadata`).
    """
    from psycopg import sql

    kept, key = BY_NAME[row.stage].rows, row.key
    if kept is None:
        return 0
    count, copy = 0, None
    with ExitStack() as whole:
        for batch in (part for one in batches() for part in _pieces(one)):
            alive()
            columns = kept.columns(batch, key)
            if copy is None:
                names = sql.SQL(", ").join(map(sql.Identifier, ("video_id", "result_id", *columns)))
                statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(kept.table), names)
                copy = whole.enter_context(conn.cursor().copy(statement))
            copy.write(_copy_text([row.video_id, row.result_id, *columns.values()]))
            count += batch.num_rows
    return count


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = max(1, COPY_BYTES * batch.num_rows // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _copy_text(columns: list[pa.Array | str]) -> bytes:
    """Rows in COPY's text format: fields between tabs, with backslash, tab and line ends escaped, null as \\N."""
    fields = [column if isinstance(column, str) else _copy_field(column) for column in columns]
    rows = pc.binary_join_element_wise(*fields, "\t")
    return ("\n".join(rows.to_pylist()) + "\n").encode()


def _copy_field(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return pc.fill_null(text(column), "\\N")
    for char, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        column = pc.replace_substring(column, char, escape)
    return pc.fill_null(column, "\\N")
