"""What a connection works with: the files, the script, the limits, and the record of what was asked.

What belongs here: the state that all connections share. What does not: HTTP (`handler`), the server's life (`server`).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from reframer_pipeline.fake_gemini.behaviours import Script
from reframer_pipeline.fake_gemini.files import FileStore
from reframer_pipeline.fake_gemini.record import Request


class Desk:
    """The stand-in's state. Arguments as for `FakeGemini`; `url` is its own."""

    def __init__(
        self,
        url: str,
        polls_until_active: int,
        retired: tuple[str, ...],
        max_body_bytes: int,
        silence_s: float,
        log: Callable[[Request], None] | None,
    ) -> None:
        self.url = url
        self.files = FileStore(url, polls_until_active)
        self.pending = Script()
        self.retired = retired
        self.max_body_bytes = max_body_bytes
        self.silence_s = silence_s
        self.stopping = threading.Event()
        self.connections: set[socket.socket] = set()
        self.requests: list[Request] = []
        self._log = log

    def note(self, request: Request) -> None:
        """Add to the record."""
        self.requests.append(request)
        if self._log:
            self._log(request)
