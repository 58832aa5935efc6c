"""Parquet: the form of the files."""

from __future__ import annotations

import pyarrow as pa

from reframer_pipeline.results import parquet


def test_row_groups_are_bounded() -> None:
    wide = pa.record_batch({"text": ["x" * 1_000_000] * 40})
    narrow = [pa.record_batch({"text": ["x"] * 5000}) for _ in range(4)]
    groups = list(parquet.groups(iter([wide, *narrow])))
    assert sum(group.num_rows for group in groups) == 40 + 4 * 5000
    assert all(group.num_rows <= parquet.GROUP_ROWS and group.nbytes <= 1.1 * parquet.GROUP_BYTES for group in groups)
