"""What a stage returns and what it is given: streams of Arrow batches, and at most one file beside them.

What belongs here: the value types between core and storage, and gathering rows. What does not: where they are kept (`results`),
who runs the stage (the shell). A stage never holds its whole result: it yields batches, and storage drains them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa

# Called by a stage as it goes: (done, total) in the stage's own unit; total 0 means unknown.
Progress = Callable[[int, int], None]
ROWS_A_BATCH: Final = 1024  # a mask row is about 3 kB: some MB a batch, and row groups worth having


def no_progress(done: int, total: int) -> None:
    """The progress sink of those who do not care."""


def record_batches(rows: Iterable[dict[str, Any]], schema: pa.Schema, size: int = ROWS_A_BATCH) -> Iterator[pa.RecordBatch]:
    """Gather rows into record batches of at most `size` rows; none if there are no rows."""
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield pa.RecordBatch.from_pylist(chunk, schema=schema)


@dataclass(frozen=True)
class StageOutput:
    """A stage's result on its way to storage.

    Attributes:
        stage: Name of the stage.
        batches: Record batches of the stage's schema; consumed once. Work happens while they are drawn.
        attachment: Local file that belongs to the result (the frame store); complete when `batches` is exhausted.
    """

    stage: str
    batches: Iterator[pa.RecordBatch]
    attachment: Path | None = None


class StageInput(Protocol):
    """A committed result, as the next stages read it."""

    @property
    def stage(self) -> str: ...
    @property
    def result_id(self) -> str: ...
    @property
    def row_count(self) -> int: ...

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in written order, a row group at a time."""

    def open_attachment(self) -> BinaryIO:
        """The attached file, seekable."""


@dataclass(frozen=True)
class Redrawn:
    """A result whose rows are drawn through a function: some left out, or with other values.

    Attributes:
        whole: The result; ids and the number of rows are still its own.
        column: One that the function reads, whatever else is asked for.
        change: Makes of a batch of it what is read instead, with the same columns.
    """

    whole: StageInput
    column: str
    change: Callable[[pa.RecordBatch], pa.RecordBatch]

    @property
    def stage(self) -> str:
        return self.whole.stage

    @property
    def result_id(self) -> str:
        return self.whole.result_id

    @property
    def row_count(self) -> int:
        return self.whole.row_count

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        wanted = columns if columns is None or self.column in columns else [*columns, self.column]
        for batch in self.whole.batches(wanted):
            changed = self.change(batch)
            yield changed if columns is None else changed.select(columns)

    def open_attachment(self) -> BinaryIO:
        return self.whole.open_attachment()
