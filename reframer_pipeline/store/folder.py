"""A store that is a folder: files that appear whole, and are on disk when it is said that they are.

What belongs here: putting one file, and the folders that files need. What does not: under which name (`objects`).
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from reframer_pipeline import scratch

_BLOCK: Final = 8 * 2**20
_TRIES: Final = 100  # for a folder to stay until a file is in it


def put(source: Path, target: Path, alive: Callable[[], None], private: bool) -> None:
    """Put a file under a name.

    Args:
        source: The file.
        target: Its name. Folders are made.
        alive: Called while it is copied.
        private: Nobody else may read it, and it may be a hard link. Else umask and folder say whose it is, as of a new file.

    Raises:
        OSError: It cannot be put.
    """
    with beside(target) as part:
        if private and _linked(source, part):
            return
        with open(source, "rb") as reader, open(part, "wb", opener=_for_us if private else None) as writer:
            while chunk := reader.read(_BLOCK):
                writer.write(chunk)
                alive()


def _linked(source: Path, part: Path) -> bool:
    try:
        os.link(source, part)
    except OSError:  # another file system, or one without links
        return False
    part.chmod(0o600)
    return True


def _for_us(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A name beside the target to write to; then synced to disk and renamed, for the database will soon point at it."""
    with _folder_kept(target), scratch.appearing(target) as part:
        yield part
        _sync(part)
    _sync(target.parent)


def prune(folder: Path, root: Path) -> None:
    """Remove a folder if it is empty, and those above it that are then, up to those that lie in the root itself. Whoever is just putting a
    file there loses nothing.
    """
    parts = folder.relative_to(root).parts
    with contextlib.suppress(OSError):  # not empty, or gone
        for depth in range(len(parts), 1, -1):
            root.joinpath(*parts[:depth]).rmdir()


@contextlib.contextmanager
def _folder_kept(target: Path) -> Iterator[None]:
    """The target's folder, which is made, and not empty within the block: nobody prunes it. What a crash leaves is an unfinished part."""
    keeper = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    for left in reversed(range(_TRIES)):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            keeper.touch(0o600, exist_ok=False)
            break
        except FileNotFoundError:  # pruned between the two
            if not left:
                raise
    try:
        yield
    finally:
        keeper.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
