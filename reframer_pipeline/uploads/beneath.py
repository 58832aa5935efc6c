"""Files below a folder that other people write to, reached without following a link.

What belongs here: going there by descriptors, folder by folder. What does not: which files (`bucket`), what is read of them (`content`).
A path is looked up anew with each call: a folder in it may have been swapped for a link since, which leads to what its owner may not read.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_IS_LINK: Final = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)  # what O_NOFOLLOW and O_DIRECTORY say of one; EMLINK on BSD


@contextmanager
def folder_of(root: Path, key: PurePath | str) -> Iterator[tuple[int, str]]:
    """The open folder that a file is in, and the file's name there, for calls with `dir_fd`; those must not follow a link themselves.

    Args:
        root: The topmost folder; this one may be a link.
        key: Path of the file below it.

    Raises:
        FileNotFoundError: There is no such folder, or a link in its place, or the key leads out of the root.
        OSError: A folder cannot be opened.
    """
    *folders, name = PurePath(key).parts
    if PurePath(key).is_absolute() or ".." in (*folders, name):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(key))
    at = os.open(root, _FOLDER)
    try:
        for folder in folders:
            try:
                below = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
            except OSError as error:
                if error.errno in _IS_LINK:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(key)) from error
                raise
            os.close(at)
            at = below
        yield at, name
    finally:
        os.close(at)
