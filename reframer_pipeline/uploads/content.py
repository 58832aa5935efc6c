"""An upload's bytes: the cheap refusals before anything is copied, and the copy that is then worked on.

What belongs here: looking at a local file's size and first bytes, copying it while hashing it. What does not: demuxing
(`media.probe`), rows and partitions (`uploads.ingest`), listing a bucket.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from reframer_pipeline import scratch
from reframer_pipeline.failures import FileNotReadable, FileTooLarge, NotAVideo, UploadChanged
from reframer_pipeline.media.containers import HEAD_BYTES, Container, recognise
from reframer_pipeline.settings import Settings

_BLOCK: Final = 4 << 20
_FICLONE: Final = 0x40049409  # linux/fs.h


def ingest_file_checks(path: Path, settings: Settings, *, follow: bool = True) -> Container:
    """Refuses what cannot become a video, from its size and first bytes only.

    Args:
        path: A local file.
        settings: `max_upload_mb` is read.
        follow: Whether it may be a symbolic link to a regular file. Not in a folder that others write to: it may lead to what they may
            not read.

    Returns:
        The container that its content shows, whatever its name.

    Raises:
        FileNotReadable: No such file, no regular file (a folder, a pipe, a device), or no right to read it.
        FileTooLarge: Over the limit.
        NotAVideo: Empty, or no accepted container.
    """
    fd = _open_regular(path, follow)
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(fd).st_size
        if size > settings.max_upload_mb * 1_000_000:
            raise FileTooLarge(f"{path.name} has {size / 1e6:.1f} MB; {settings.max_upload_mb} MB are allowed.")
        if not size:
            raise NotAVideo(f"{path.name} is empty.")
        with _reading(path.name):
            head = file.read(HEAD_BYTES)
        return recognise(head, path.name)


def sha256_copy(source: Path, target: Path, *, max_bytes: int | None = None, follow: bool = True) -> tuple[str, int]:
    """Copies a file by content and returns the digest of what was copied.

    Where the file system can share blocks (reflink) they are shared and the copy is hashed; else each block is hashed as it
    is copied. Never a hard link: overwriting the upload in place would change the copy. The target appears whole or not.

    Args:
        source: A regular file.
        target: New file; its folder exists.
        max_bytes: Stop over this size.
        follow: As for `ingest_file_checks`.

    Returns:
        SHA-256 as lower-case hex, and the size in bytes.

    Raises:
        FileNotReadable: As for `ingest_file_checks`.
        FileTooLarge: It has, or grew to, more than `max_bytes`.
        UploadChanged: It was written to meanwhile; the copy may mix two states and is dropped.
    """
    with os.fdopen(_open_regular(source, follow), "rb") as reading, scratch.appearing(target) as part:
        before = os.fstat(reading.fileno())
        with part.open("w+b") as writing:
            shared = _reflink(reading.fileno(), writing.fileno())
            digest, size = _drain(writing if shared else reading, None if shared else writing, max_bytes, source.name)
            writing.flush()
            os.fsync(writing.fileno())
        after = os.fstat(reading.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != before.st_size:
            raise UploadChanged(f"{source.name} was written to while it was read.")
    return digest, size


def _drain(reading: BinaryIO, writing: BinaryIO | None, max_bytes: int | None, name: str) -> tuple[str, int]:
    """Hashes a file to its end, in blocks, copying each one where there is somewhere to."""
    digest, size = hashlib.sha256(), 0
    while block := _block(reading, name):
        size += len(block)
        if max_bytes is not None and size > max_bytes:
            raise FileTooLarge(f"{name} has more than {max_bytes / 1e6:.0f} MB.")
        digest.update(block)
        if writing is not None:
            writing.write(block)
    return digest.hexdigest(), size


def _block(reading: BinaryIO, name: str) -> bytes:
    with _reading(name):
        return reading.read(_BLOCK)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """A read that fails, as on a bad disk or a broken network share, is the upload's trouble and not the data folder's."""
    try:
        yield
    except OSError as error:
        raise FileNotReadable(f"{name} cannot be read: {error.strerror or type(error).__name__}.") from error


def _open_regular(path: Path, follow: bool) -> int:
    try:
        # without O_NONBLOCK, opening a named pipe would wait for a writer for ever
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no valid path"
        raise FileNotReadable(f"{path.name} cannot be read: {reason}.") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotReadable(f"{path.name} is not a regular file.")
    return fd


def _reflink(source: int, target: int) -> bool:
    """Shares the source's blocks with the empty target, copy on write; False where that is not to be had."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True
