"""Listing the bucket: everything in it, or a failure; never a part of it.

What belongs here: walking a folder or asking a remote store, within a time. What does not: judging what is found (`watching`).
A listing that fails, or takes too long, must not look like a bucket from which files have vanished.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from reframer_pipeline.failures import BucketUnavailable, ReframerError
from reframer_pipeline.storage.walk import find_all
from reframer_pipeline.uploads.bucket import Bucket, Entry, reading_bucket
from reframer_pipeline.uploads.watching import is_temporary

_going_on: dict[str, threading.Thread] = {}  # at most one walk of a bucket: one that hangs is not joined by another each tick


def list_bucket(bucket: Bucket, timeout_s: float) -> list[Entry]:
    """All files in the bucket. In a local bucket only regular files count: no link is followed, and hidden folders are left alone.

    Args:
        bucket: The bucket.
        timeout_s: Longest wait. The walk itself cannot be stopped; while it goes on, further calls fail at once.

    Raises:
        BucketUnavailable: The bucket, or any part of it, cannot be listed, or not in this time.
    """
    before = _going_on.get(bucket.base)
    if before is not None and before.is_alive():
        raise BucketUnavailable("The bucket cannot be listed: an earlier listing still waits for its answer.")
    outcome: list[list[Entry] | Exception] = []

    def walk() -> None:
        try:
            with reading_bucket():
                outcome.append(_local(bucket, bucket.root) if bucket.root is not None else _remote(bucket))
        except FileNotFoundError:
            outcome.append(BucketUnavailable("There is no such bucket or folder."))
        except ReframerError as failure:
            outcome.append(failure)

    thread = _going_on[bucket.base] = threading.Thread(target=walk, name="list-bucket", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        raise BucketUnavailable(f"The bucket could not be listed within {timeout_s:g} seconds.")
    (found,) = outcome
    if isinstance(found, Exception):
        raise found
    return found


def _local(bucket: Bucket, root: Path) -> list[Entry]:
    found: list[Entry] = []
    with os.scandir(root):  # the folder itself must be there; one below may vanish meanwhile, as files may
        folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for one in entries:
                    if one.is_dir(follow_symlinks=False) and not is_temporary(one.name):
                        folders.append(f"{folder}{one.name}/")
                    elif one.is_file(follow_symlinks=False):
                        try:
                            stat = one.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue
                        found.append(bucket.local_entry(folder + one.name, stat.st_size, stat.st_mtime_ns))
        except FileNotFoundError:
            if not folder:
                raise
        except PermissionError as error:
            raise BucketUnavailable(f"The folder {folder or '.'} of the bucket may not be listed.") from error
    return found


def _remote(bucket: Bucket) -> list[Entry]:
    found = find_all(bucket.fs, bucket.base)
    start = len(bucket.base) + 1 if bucket.base else 0
    return [bucket.entry(name[start:], info) for name, info in found.items() if info["type"] == "file" and name[start:]]
