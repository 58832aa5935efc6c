"""Where writers of files and drawers of chunks meet.

What belongs here: a file that is written in memory and emptied on the way. What does not: what is written.
"""

from __future__ import annotations

import io


class Sink(io.RawIOBase):
    """A file to be written, whose bytes are taken out as they come.

    Attributes:
        held: Bytes that were not taken yet.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.held = 0

    def writable(self) -> bool:
        """It is there to be written."""
        return True

    def write(self, data: object) -> int:
        """Keep the bytes until they are taken."""
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        self.held += len(part)
        return len(part)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken, self._parts, self.held = b"".join(self._parts), [], 0
        return taken
