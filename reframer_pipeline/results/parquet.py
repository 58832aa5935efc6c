"""Parquet: a stage's batches into one local file, and a stored file back into batches.

What belongs here: the file's form. What does not: where it is put (`objects`), whether it is right (`stages`), what its footer
says (`manifest`). Each file starts with `video_id` and `result_id`, so it explains itself without the database. Row groups
are bounded in rows and bytes, so that neither writer nor reader grows with the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from reframer_pipeline import schemas
from reframer_pipeline.database.text import clean_json_text
from reframer_pipeline.failures import InvalidResult, ObjectMissing
from reframer_pipeline.handover import StageOutput
from reframer_pipeline.results.digest import ContentDigest
from reframer_pipeline.stages import BY_NAME
from reframer_pipeline.stages.checks import CheckResult, Validator

FOOTER_KEY = b"reframer"
GROUP_ROWS = 8192
GROUP_BYTES = 16_000_000


@dataclass(frozen=True)
class Drained:
    """What is known once all batches were drawn.

    Attributes:
        row_count: Rows written.
        content_digest: Digest over the rows, see `digest`.
        checks: All checks, all passed.
        figures: Counts that came up on the way, for the manifest's `stats`.
    """

    row_count: int
    content_digest: str
    checks: list[CheckResult]
    figures: dict[str, int]


def drain(
    output: StageOutput, video_id: str, result_id: str, path: Path, validator: Validator, footer: Callable[[Drained], bytes]
) -> Drained:
    """Draw a stage's batches, which is when its work happens, check them and write them to `path`.

    Args:
        output: The stage's result.
        video_id: First column.
        result_id: Second column.
        path: Local file, replaced.
        validator: Sees each batch; its verdict comes at the end.
        footer: Makes the footer's entry once the counts are known.

    Raises:
        InvalidResult: A check failed; the file is not usable.
    """
    import pyarrow.parquet as pq

    digest = ContentDigest()
    schema = schemas.stored(BY_NAME[output.stage].schema)
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=True) as writer:
        for table in groups(_conforming(output)):
            for batch in table.to_batches():
                digest.update(batch)
                validator.feed(batch)
            identity = [pa.repeat(value, table.num_rows) for value in (video_id, result_id)]
            writer.write_table(pa.Table.from_arrays([*identity, *table.columns], schema=schema), row_group_size=table.num_rows)
            rows += table.num_rows
        drained = Drained(rows, digest.hexdigest(), validator.verdict(), validator.figures)
        writer.add_key_value_metadata({FOOTER_KEY: footer(drained)})
    return drained


def read_footer(file: BinaryIO) -> bytes | None:
    """The footer's entry, or None if the file is damaged or not one of ours."""
    import pyarrow.parquet as pq

    try:
        metadata = pq.ParquetFile(file).metadata.metadata or {}
    except pa.ArrowInvalid:
        return None
    except OSError as error:
        if error.errno is not None:
            raise
        return None
    return metadata.get(FOOTER_KEY)


def read_batches(file: BinaryIO | Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a file in written order, a row group at a time; an open file is closed at the end.

    Raises:
        ObjectMissing: The object is there, but is no Parquet file any more.
        OSError: A local file cannot be read. (An open one of the store raises its own failures.)
    """
    import pyarrow.parquet as pq

    with file.open("rb") if isinstance(file, Path) else file as source:
        try:
            parquet = pq.ParquetFile(source)
            for group in range(parquet.num_row_groups):
                yield from parquet.read_row_group(group, columns=columns, use_threads=False).combine_chunks().to_batches()
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ObjectMissing("A stored Parquet object is damaged.") from error  # Arrow's own OSErrors have no number


def _conforming(output: StageOutput) -> Iterator[pa.RecordBatch]:
    """The batches in exactly the stage's schema, texts cleaned; anything else is a defect of the stage."""
    stage = BY_NAME[output.stage]
    schema = stage.schema
    for batch in output.batches:
        if batch.schema.names != schema.names or batch.schema.types != schema.types:
            raise InvalidResult(f"The {output.stage} stage returned other columns than agreed: {batch.schema.names}.")
        for field, column in zip(schema, batch.columns, strict=True):
            if column.null_count and not field.nullable:
                raise InvalidResult(f"The {output.stage} stage returned nulls in {field.name}.")
        columns = dict(zip(schema.names, batch.columns, strict=True))
        for name in stage.json_columns:
            try:
                columns[name] = pa.array([clean_json_text(text) for text in columns[name].to_pylist()], pa.string())
            except ValueError as error:
                raise InvalidResult(f"The {output.stage} stage returned an {name} that is no JSON document.") from error
        yield pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)


def groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches gathered or cut to row groups of at most GROUP_ROWS rows, and of about GROUP_BYTES."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        # A batch may itself be too large: rows are cut by its mean size.
        step = max(1, min(GROUP_ROWS, GROUP_BYTES * batch.num_rows // max(batch.nbytes, 1)))
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            rows, size = sum(b.num_rows for b in held) + part.num_rows, sum(b.nbytes for b in held) + part.nbytes
            if held and (rows > GROUP_ROWS or size > GROUP_BYTES):
                yield pa.Table.from_batches(held).combine_chunks()
                held = []
            held.append(part)
    if held:
        yield pa.Table.from_batches(held).combine_chunks()
