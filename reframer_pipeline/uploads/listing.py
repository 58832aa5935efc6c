"""Listing the bucket: everything in it that can be read at all, or a failure.

What belongs here: walking a folder or asking a remote store, within a time. What does not: judging what is found (`watching`).
A listing that fails, or takes too long, must not look like a bucket from which files have vanished. What waiting cannot mend, a subfolder
that may not be listed or a path over the system's limit, is left out and named: it must not keep other people's files from being taken in.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reframer_pipeline.failures import BucketUnavailable, ReframerError
from reframer_pipeline.store.filesystem import find_all
from reframer_pipeline.uploads.bucket import Bucket, Entry, reading_bucket
from reframer_pipeline.uploads.watching import is_temporary

LEFT_OUT: Final = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
GOES_ON: Final = "The listing goes on, and serves the next look; if it never ends, check REFRAMER_UPLOADS_URL and the connection."
YOUNG_S: Final = 120.0  # an outcome that nobody asked for in this time is no longer news


class Listing(list[Entry]):
    """All files of the bucket.

    Attributes:
        began: When the look began, in seconds since 1970: a file may have changed since.
        unread: What was left out, and why, in words for people.
    """

    def __init__(self, entries: Iterable[Entry] = (), began: float = 0.0, unread: Sequence[str] = ()) -> None:
        super().__init__(entries)
        self.began = began
        self.unread = tuple(unread)


@dataclass
class _Walk:
    """One look at a bucket, in a thread that cannot be stopped."""

    bucket: Bucket
    began: float = field(default_factory=time.time)
    outcome: Listing | Exception = field(default_factory=lambda: BucketUnavailable("The listing of the bucket broke off."))
    ended: float = math.inf  # by the monotonic clock
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._go, name="list-bucket", daemon=True)
        self.thread.start()

    def _go(self) -> None:
        try:
            with reading_bucket():
                root = self.bucket.root
                found, unread = _local(self.bucket, root) if root is not None else (_remote(self.bucket), [])
                self.outcome = Listing(found, self.began, unread)
        except FileNotFoundError:
            self.outcome = BucketUnavailable("There is no such bucket or folder.")
        except ReframerError as failure:
            self.outcome = failure
        finally:
            self.ended = time.monotonic()


_walks: dict[str, _Walk] = {}  # at most one of a bucket: one that hangs is not joined by another each tick


def list_bucket(bucket: Bucket, timeout_s: float) -> Listing:
    """All files in the bucket. In a local bucket only regular files count: no link is followed, and hidden folders are left alone.

    A walk that takes longer than the time goes on by itself, and what it finds is given to the next call after its end: a bucket that is
    slow to list is read more rarely, but read.

    Args:
        bucket: The bucket.
        timeout_s: Longest wait. The walk itself cannot be stopped; while it goes on after that, further calls fail at once.

    Raises:
        BucketUnavailable: The bucket cannot be listed, or not yet.
    """
    walk = _walks.get(bucket.base)
    if walk is None or time.monotonic() - walk.ended > YOUNG_S:
        walk = _walks[bucket.base] = _Walk(bucket)
        walk.thread.join(timeout_s)
        if walk.thread.is_alive():
            raise BucketUnavailable(f"The bucket is not listed yet, after {timeout_s:g} seconds.", GOES_ON)
    elif walk.thread.is_alive():
        raise BucketUnavailable(f"The bucket is still being listed, for {time.time() - walk.began:.0f} seconds by now.", GOES_ON)
    _walks.pop(bucket.base, None)  # each look is told once: two that are alike are two looks
    if isinstance(walk.outcome, Exception):
        raise walk.outcome
    return walk.outcome


def _local(bucket: Bucket, root: Path) -> tuple[list[Entry], list[str]]:
    found, unread = list[Entry](), list[str]()
    with os.scandir(root):  # the folder itself must be there; one below may vanish meanwhile, as files may
        folders = [""]
    while folders:
        folder = folders.pop()
        with _leaving_out(folder, unread), os.scandir(root / folder) as entries:
            for one in entries:
                if one.is_dir(follow_symlinks=False) and not is_temporary(one.name):
                    folders.append(f"{folder}{one.name}/")
                elif one.is_file(follow_symlinks=False):
                    with _leaving_out(folder + one.name, unread):
                        stat = one.stat(follow_symlinks=False)
                        found.append(bucket.local_entry(folder + one.name, stat.st_size, stat.st_mtime_ns))
    return found, unread


@contextlib.contextmanager
def _leaving_out(key: str, unread: list[str]) -> Iterator[None]:
    """Go on without this file or folder, or raise: a disk or a share that fails may soon show it again, and so may the bucket itself."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and key:  # gone meanwhile
            return
        if error.errno not in LEFT_OUT or not key:
            raise
        unread.append(f"…{key[-60:]!r}: {error.strerror}")


def _remote(bucket: Bucket) -> list[Entry]:
    start = len(bucket.base) + 1 if bucket.base else 0
    found = find_all(bucket.fs, bucket.base)
    return [bucket.entry(name[start:], info) for name, info in found if info["type"] == "file" and name[start:]]
