"""Answers that are made while they are sent.

What belongs here: beginning one, and closing what it is made from, however it ends. What does not: what is in it. A client may go before
the first byte: a generator that was never begun would leave its files open until Python collects it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from itertools import chain

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Streamed(StreamingResponse):
    """The answer of these pieces. The first is drawn at once: what is wrong at the beginning is still told as a problem, and from then on
    closing the generator closes what it holds. That happens when the answer has ended, whole or not.
    """

    def __init__(self, pieces: Generator[bytes], headers: Mapping[str, str], media_type: str, status_code: int = 200) -> None:
        self._pieces = pieces
        super().__init__(chain([next(pieces, b"")], pieces), status_code, headers, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pieces.close()  # not in a thread: a server that ends would not wait for it
