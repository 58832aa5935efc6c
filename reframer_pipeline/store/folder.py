"""A store that is a folder: files that appear whole, and are on disk when it is said that they are.

What belongs here: putting one file. What does not: under which name (`objects`).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from reframer_pipeline import scratch

_BLOCK: Final = 8 * 2**20


def put(source: Path, target: Path, alive: Callable[[], None]) -> None:
    """Put a file under a name, as a hard link where that can be had; `alive` is called while it is copied. Raises `OSError`."""
    with beside(target) as part:
        try:
            os.link(source, part)
        except OSError:  # another file system, or one without links
            with open(source, "rb") as reader, open(part, "wb", opener=_as_open_as(source)) as writer:
                while chunk := reader.read(_BLOCK):
                    writer.write(chunk)
                    alive()


def _as_open_as(source: Path) -> Callable[[str, int], int]:
    """Makes a file that no others may read than the source."""
    return lambda path, flags: os.open(path, flags, stat.S_IMODE(source.stat().st_mode))


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A name beside the target to write to; then synced to disk and renamed, for the database will soon point at it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch.appearing(target) as part:
        yield part
        _sync(part)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
