"""An upload's bytes: the cheap refusals before anything is copied, and the copy that is then worked on.

What belongs here: how large an upload may be, looking at a local file's first bytes, copying it while hashing it. What does not: bytes that
are still arriving (`receiving`), demuxing (`media.probe`), rows and partitions (`uploads.ingest`), listing a bucket.
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
from reframer_pipeline.failures.typing import of_machine
from reframer_pipeline.media.containers import HEAD_BYTES, Container, recognise
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.beneath import folder_of

_BLOCK: Final = 4 << 20
_FICLONE: Final = 0x40049409  # linux/fs.h


def ingest_file_checks(path: Path, settings: Settings, *, beneath: Path | None = None) -> Container:
    """Refuses what cannot become a video, from its size and first bytes only.

    Args:
        path: A local file.
        settings: `max_upload_mb` is read.
        beneath: A folder above it that others write to: below that no symbolic link is followed, for it may lead to what they may not
            read. Without one the file may be a link.

    Returns:
        The container that its content shows, whatever its name.

    Raises:
        FileNotReadable: No such file, no regular file (a folder, a pipe, a device), or no right to read it.
        MachineTrouble: The disk or share does not answer, or there are too many open files.
        FileTooLarge: Over the limit.
        NotAVideo: Empty, or no accepted container.
    """
    fd = _open_regular(path, beneath)
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(fd).st_size
        demand_size(path.name, size, settings)
        if not size:
            raise NotAVideo(f"{path.name} is empty.")
        with _reading(path.name):
            head = file.read(HEAD_BYTES)
        return recognise(head, path.name)


def demand_size(name: str, size: int, settings: Settings) -> None:
    """Raises `FileTooLarge` if a file of so many bytes is over `max_upload_mb`."""
    if size > settings.max_upload_mb * 1_000_000:
        raise FileTooLarge(f"{name} has {size / 1e6:.1f} MB; {settings.max_upload_mb} MB are allowed.")


def sha256_copy(source: Path, target: Path, *, max_bytes: int | None = None, beneath: Path | None = None) -> tuple[str, int]:
    """Copies a file by content and returns the digest of what was copied.

    Where the file system can share blocks (reflink) they are shared and the copy is hashed; else each block is hashed as it
    is copied. Never a hard link: overwriting the upload in place would change the copy. The target appears whole or not.

    Args:
        source: A regular file.
        target: New file; its folder exists.
        max_bytes: Stop over this size.
        beneath: As for `ingest_file_checks`.

    Returns:
        SHA-256 as lower-case hex, and the size in bytes.

    Raises:
        FileNotReadable, MachineTrouble: As for `ingest_file_checks`.
        FileTooLarge: It has, or grew to, more than `max_bytes`.
        UploadChanged: It was written to meanwhile; the copy may mix two states and is dropped.
    """
    with os.fdopen(_open_regular(source, beneath), "rb") as reading, scratch.appearing(target) as part:
        before = os.fstat(reading.fileno())
        with open(part, "w+b") as writing:
            shared = _reflink(reading.fileno(), writing.fileno())
            digest, size = _drain(writing if shared else reading, None if shared else writing, max_bytes, source.name)
            writing.flush()
            os.fsync(writing.fileno())
        after = os.fstat(reading.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != before.st_size:
            raise UploadChanged(f"{source.name} was written to while it was read.")
    return digest, size


def sha256_of(path: Path) -> str:
    """The digest of a local file, by which a video is known, as `sha256_copy` returns it.

    Raises:
        FileNotReadable, MachineTrouble: As for `ingest_file_checks`.
    """
    with os.fdopen(_open_regular(path, None), "rb") as reading:
        return _drain(reading, None, None, path.name)[0]


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
    """A read that fails is named after the upload, not after the data folder."""
    try:
        yield
    except OSError as error:
        what = f"{name} cannot be read"
        raise of_machine(error, what) or FileNotReadable(f"{what}: {error.strerror or type(error).__name__}.") from error


def _open_regular(path: Path, beneath: Path | None) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # without the last, opening a named pipe would wait for a writer for ever
    try:
        with _reading(path.name):
            if beneath is None:
                fd = os.open(path, flags)
            else:
                with folder_of(beneath, path.relative_to(beneath)) as (folder, name):
                    fd = os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
    except ValueError as error:
        raise FileNotReadable(f"{path.name} cannot be read: no valid path.") from error
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
