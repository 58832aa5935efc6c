"""What tests of several areas share."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pytest

from reframer_pipeline.stages import BY_NAME

REPOSITORY = Path(__file__).resolve().parents[1]


def media_dir() -> Path:
    """The shared media files, or a skip where they are not, or not wanted."""
    folder = REPOSITORY.parent / "shared" / "media"
    if os.environ.get("REFRAMER_TEST_MEDIA") == "none" or not folder.is_dir():
        pytest.skip("the shared media files are not here")
    return folder


@dataclass(frozen=True)
class MemoryInput:
    """A committed result that lives in memory: a `handover.StageInput` without storage."""

    stage: str
    rows: list[dict[str, Any]]
    result_id: str = "00000000-0000-5000-8000-000000000000"
    batch_rows: int = 1000
    attachment: bytes = b""

    @property
    def row_count(self) -> int:
        return len(self.rows)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        table = pa.Table.from_pylist(self.rows, schema=BY_NAME[self.stage].schema)
        return iter((table.select(columns) if columns else table).to_batches(max_chunksize=self.batch_rows))

    def open_attachment(self) -> BinaryIO:
        return io.BytesIO(self.attachment)
