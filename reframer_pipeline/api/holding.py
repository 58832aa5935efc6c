"""What a key holds open: long polls, events, downloads and documents that are streamed, what is being drawn for it, and its uploads.

What belongs here: counting them in this process, from the first moment to the last byte, or until the client has gone away. What does not:
requests a minute (`rates`). A route whose answers last long has `Long` among its dependencies.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from fastapi import Depends

from reframer_pipeline.api.access import Anybody
from reframer_pipeline.api.services import Served
from reframer_pipeline.failures import TooManyOpen

RETRY_S: Final = 5.0


class Held:
    """Requests that are open now, by key. All is done by the event loop, so that nothing is counted twice.

    Args:
        most: How many a key may have.
        said: How a sentence about the limit ends.
    """

    def __init__(self, most: int, said: str = "long requests open") -> None:
        self._most, self._said = most, said
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, key_id: str) -> Iterator[None]:
        """One more, while the block lasts.

        Raises:
            TooManyOpen: It is one too many.
        """
        if self._open[key_id] >= self._most:
            raise TooManyOpen(f"The key has {self._most} {self._said}.").after(RETRY_S)
        self._open[key_id] += 1
        try:
            yield
        finally:
            self._open[key_id] -= 1
            self._open += Counter()  # forgets who has none


async def _long(served: Served, who: Anybody) -> AsyncIterator[None]:
    """Counts a request until its answer is out, or nobody takes it any more. Raises `TooManyOpen`."""
    with served.held.one(who.key_id):
        yield


Long: Final[Any] = Depends(_long)
