"""Rows on their way to storage."""

from __future__ import annotations

import pyarrow as pa

from reframer_pipeline.handover import record_batches


def test_rows_are_gathered_and_no_rows_make_no_batch() -> None:
    schema = pa.schema([("n", pa.int32())])
    assert [batch.num_rows for batch in record_batches(({"n": n} for n in range(5)), schema, 2)] == [2, 2, 1]
    assert list(record_batches([], schema)) == []
