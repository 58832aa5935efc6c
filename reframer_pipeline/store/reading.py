"""An open object whose reads fail as typed failures: a store may go away between opening and reading, and in the middle of a file.

What belongs here: reading, seeking, closing. What does not: what the errors are called (`objects`), what is in the file.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import BinaryIO


class Reading(io.BufferedIOBase):
    """A file like the one it is given, which it closes with itself; each access happens within `mapped()`.

    Args:
        file: Open for reading, seekable.
        mapped: Gives the errors of the block that it stands around their names.
    """

    def __init__(self, file: BinaryIO, mapped: Callable[[], AbstractContextManager[None]]) -> None:
        self._file = file
        self._mapped = mapped

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        self._demand_open()
        with self._mapped():
            return self._file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._demand_open()
        with self._mapped():
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        self._demand_open()
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            super().close()
            with suppress(Exception):  # nothing was written: there is nothing to lose
                self._file.close()

    def _demand_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
