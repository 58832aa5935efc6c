"""What a connection works with: the files, the script, the limits, and the record of what was asked.

What belongs here: the state that all connections share. What does not: HTTP (`handler`), the server's life (`server`).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from reframer_pipeline.fake_gemini.behaviours import Script
from reframer_pipeline.fake_gemini.files import FileStore
from reframer_pipeline.fake_gemini.record import Request


@dataclass
class Desk:
    """The stand-in's state. Limits and `log` are as for `FakeGemini`."""

    files: FileStore
    retired: tuple[str, ...]
    max_body_bytes: int
    silence_s: float
    log: Callable[[Request], None]
    pending: Script = field(default_factory=Script)
    stopping: threading.Event = field(default_factory=threading.Event)
    connections: set[socket.socket] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
