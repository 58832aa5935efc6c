"""Batches that shrink when memory runs out.

What belongs here: the loop that detector and segmenter share. What does not: models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reframer_pipeline.failures import OutOfMemory
from reframer_pipeline.vision.device import is_out_of_memory, release_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


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
