"""The five tables of results as CSV and as Parquet, a folder for each video.

What belongs here: the two forms. What does not: columns and rows (`reading.tables`), where both forms take them from, as they are.

Some texts in a CSV are not quite as they were: a spreadsheet runs a cell that begins like a formula, and labels, descriptions and reasons
come from models and from what is written in pictures. Such a text gets an apostrophe before it
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from reframer_pipeline.exports import File
from reframer_pipeline.exports.sink import Sink
from reframer_pipeline.exports.videos import Video
from reframer_pipeline.reading.tables import TABLES, Table
from reframer_pipeline.results.parquet import groups

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
BETWEEN: Final = "; "  # the values of a list in one cell


def csv_files(videos: Sequence[Video]) -> Iterator[File]:
    """Five files a video."""
    return ((f"{video.name}/{name}.csv", _csv(video, table)) for video in videos for name, table in TABLES.items())


def parquet_files(videos: Sequence[Video]) -> Iterator[File]:
    """Five files a video."""
    return ((f"{video.name}/{name}.parquet", _parquet(video, table)) for video in videos for name, table in TABLES.items())


def _csv(video: Video, table: Table) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.schema.names)
    for batch in video.rows(table):
        writer.writerows(map(_cell, row.values()) for row in batch.to_pylist())
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = BETWEEN.join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _parquet(video: Video, table: Table) -> Iterator[bytes]:
    import pyarrow.parquet as pq

    sink = Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, "w"), table.schema, compression="zstd") as writer:
        for group in groups(video.rows(table)):
            writer.write_table(group, row_group_size=group.num_rows)
            yield sink.take()
    yield sink.take()
