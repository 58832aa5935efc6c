"""Stored results: committed ones, read again.

What belongs here: the value that later stages read. What does not: making results (`prepare`, `commit`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from reframer_pipeline.failures import FramesEvicted, ObjectMissing
from reframer_pipeline.results import parquet
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.stages import BY_NAME
from reframer_pipeline.store.objects import ObjectStore


@dataclass(frozen=True)
class StoredResult:
    """A committed result, as the next stages read it: a `handover.StageInput`."""

    manifest: ManifestRow
    store: ObjectStore

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return self.manifest.stage

    @property
    def result_id(self) -> str:
        """Its id."""
        return self.manifest.result_id

    @property
    def row_count(self) -> int:
        """Rows it has."""
        return self.manifest.row_count

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in written order, a row group at a time; without the two identity columns unless they are asked for."""
        file = self.store.open_object(self.manifest.object_key)
        return parquet.read_batches(file, columns or BY_NAME[self.stage].schema.names)

    def open_attachment(self) -> BinaryIO:
        """The attached file, seekable.

        Raises:
            FramesEvicted: It was deleted to save space.
            ObjectMissing: It has none.
        """
        if self.manifest.evicted_at is not None:
            raise FramesEvicted(f"The pictures of video {self.manifest.video_id} were evicted on {self.manifest.evicted_at:%Y-%m-%d}.")
        if self.manifest.attachment_key is None:
            raise ObjectMissing(f"The {self.stage} result {self.result_id} has no attached file.")
        return self.store.open_object(self.manifest.attachment_key)
