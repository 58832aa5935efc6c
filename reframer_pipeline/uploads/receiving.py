"""An upload that arrives in pieces: judged while it comes, hashed while it is written.

What belongs here: the file it becomes in the scratch folder, and what is left of one whose process died. What does not: what is refused
(`content`, `media.containers`), where the pieces come from (`api`), what becomes of the file (`ingest`). A piece is in memory only while it
is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from reframer_pipeline import scratch
from reframer_pipeline.failures import NotAVideo
from reframer_pipeline.media.containers import DECIDING_BYTES, HEAD_BYTES, recognise
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.content import demand_size

_PREFIX: Final = "received-"


@dataclass(frozen=True)
class Received:
    """A whole file of ours.

    Attributes:
        path: In the scratch folder; nobody else writes to it.
        filename: As the sender calls it.
        sha256: Of its content.
        size: Bytes.
    """

    path: Path
    filename: str
    sha256: str
    size: int


class Judge:
    """Says of an upload what its first bytes and its size so far decide.

    Args:
        filename: What messages call it.
        settings: `max_upload_mb` is read.
    """

    def __init__(self, filename: str, settings: Settings) -> None:
        self._filename, self._settings = filename, settings
        self._head, self._known = b"", False
        self.size = 0

    def look(self, piece: bytes) -> None:
        """The next bytes.

        Raises:
            FileTooLarge: With them it has more than are allowed.
            NotAVideo: It is no accepted container.
        """
        self.size += len(piece)
        demand_size(self._filename, self.size, self._settings)
        if not self._known:
            self._head += piece[: HEAD_BYTES - len(self._head)]
            if len(self._head) >= DECIDING_BYTES:
                self.end()

    def resume(self, head: bytes, size: int) -> None:
        """Go on with an upload of which so many bytes have come, and were judged; `head` is how they begin."""
        self._head, self.size = head[:HEAD_BYTES], size
        self._known = len(self._head) >= DECIDING_BYTES

    def end(self) -> None:
        """There are no more. Raises `NotAVideo` if they were too few to be one."""
        if not self.size:
            raise NotAVideo(f"{self._filename} is empty.")
        if not self._known:
            recognise(self._head, self._filename)
            self._head, self._known = b"", True


class Receiver:
    """Takes the pieces of one upload, in order."""

    def __init__(self, file: BinaryIO, path: Path, filename: str, settings: Settings) -> None:
        self._file, self._path, self._filename = file, path, filename
        self._folder = settings.scratch_dir
        self._judge, self._digest = Judge(filename, settings), hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Judge a piece and keep it.

        Raises:
            FileTooLarge, NotAVideo: As soon as the bytes so far decide it.
            DiskFull, MachineTrouble, HomeNotWritable: It cannot be kept.
        """
        self._judge.look(piece)
        self._digest.update(piece)
        with scratch.writing(self._folder):
            self._file.write(piece)

    def finish(self) -> Received:
        """The file, now that all of it is there. Raises what `write` raises."""
        self._judge.end()
        with scratch.writing(self._folder):
            self._file.flush()
        return Received(self._path, self._filename, self._digest.hexdigest(), self._judge.size)


@contextlib.contextmanager
def receiving(filename: str, settings: Settings) -> Iterator[Receiver]:
    """A place for an upload. Its file goes with the block, however that ends; what is to stay must be stored before.

    Raises:
        DiskFull, MachineTrouble, HomeNotWritable: There is no such place.
    """
    path = settings.scratch_dir / f"{_PREFIX}{uuid.uuid4()}.part"
    with scratch.writing(settings.scratch_dir):
        file = open_ours(path)
    try:
        yield Receiver(file, path, filename, settings)
    finally:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a full disk may say so once more
            file.close()


def open_ours(path: Path) -> BinaryIO:
    """Open a file to write on at its end: it is made if need be, nobody else may read it, and this process alone has it. The lock goes with
    the process, so a file that can be locked is nobody's.

    Raises:
        BlockingIOError: Another one has it.
        OSError: It cannot be opened.
    """
    file = open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        file.close()
        raise
    return file


def digest(path: Path) -> str:
    """SHA-256 of a file that has come in several connections. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep_received(settings: Settings) -> int:
    """Delete what processes left that were killed while they received. Returns how many files."""
    swept = 0
    for path in settings.scratch_dir.glob(f"{_PREFIX}*.part"):
        with contextlib.suppress(OSError):  # somebody is receiving it, or it is just going
            with open_ours(path):
                path.unlink()
            swept += 1
    return swept
