"""Batches that shrink when memory runs out, and rows that gather into record batches.

What belongs here: the two loops that detector, segmenter and tracker share. What does not: models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa

from reframer_pipeline.failures import OutOfMemory
from reframer_pipeline.vision.device import is_out_of_memory, release_memory

Item = TypeVar("Item")
Result = TypeVar("Result")

ROWS_A_BATCH = 1024  # a mask row is about 3 kB: some MB a batch, and row groups worth having


class ShrinkingBatch:
    """Works through items a batch at a time; halves the batch each time memory runs out, and remembers it."""

    def __init__(self, size: int, what: str) -> None:
        """Start with batches of `size`; `what` names the items in the failure's message, such as `frames`."""
        self.size = size
        self.what = what

    def run(self, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
        """Apply `work` to all items.

        Args:
            items: Anything that can be sliced.
            work: Takes a slice and returns one result per item.

        Returns:
            One result per item, in order.

        Raises:
            OutOfMemory: One item alone does not fit.
        """
        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.size]
            try:
                results.extend(work(batch))
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                failed = len(batch)
            # outside the handler: there the traceback still holds the tensors that have to go
            release_memory()
            if failed == 1:
                raise OutOfMemory(f"The device has too little memory even for a batch of one ({self.what}).")
            self.size = failed // 2
        return results


def record_batches(rows: Iterable[dict[str, Any]], schema: pa.Schema, size: int = ROWS_A_BATCH) -> Iterator[pa.RecordBatch]:
    """Gather rows into record batches of at most `size` rows; none if there are no rows."""
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield pa.RecordBatch.from_pylist(chunk, schema=schema)
