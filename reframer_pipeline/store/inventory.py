"""Inventory: what really lies in the store, with its age, unfinished `.part` files included.

What belongs here: listing a local folder or any fsspec file system with times. What does not: what should be there (`orphans`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.store.walk import find_all

# What file systems call it: local, S3, Azure, Google, memory.
_TIMES: Final = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_BEGINNINGS: Final = "0123456789abcdef"  # of a video's id, or of a digest: all our objects lie below such a name


@dataclass(frozen=True)
class StoredObject:
    """An object or an unfinished part of one.

    Attributes:
        key: Relative to the store.
        bytes: Its size.
        modified: When it was written, with time zone; None if the store does not say.
    """

    key: str
    bytes: int
    modified: datetime | None


def inventory(store: ObjectStore, prefix: str) -> Iterator[StoredObject]:
    """Everything of ours below a folder. A local store is walked folder by folder, S3 listed in 16 parts; a listing holds 1 kB an object.

    Raises:
        StoreUnavailable: It cannot be listed.
    """
    folder = store.local_path(prefix)
    with store._mapped(prefix):
        yield from _remote(store, prefix) if folder is None else _local(folder, prefix)


def _local(folder: Path, prefix: str) -> Iterator[StoredObject]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                seen = path.lstat()
            except FileNotFoundError:  # a put renamed its part meanwhile
                continue
            key = str(PurePosixPath(prefix, path.relative_to(folder)))
            yield StoredObject(key, seen.st_size, datetime.fromtimestamp(seen.st_mtime, UTC))


def _remote(store: ObjectStore, prefix: str) -> Iterator[StoredObject]:
    base = store._base.rstrip("/")
    for beginning in _BEGINNINGS if "s3" in store._fs.protocol else ("",):
        try:
            found = find_all(store._fs, f"{base}/{prefix}", beginning)
        except FileNotFoundError:
            return
        for path, info in found.items():
            yield StoredObject(str(PurePosixPath(path).relative_to(base)), int(info.get("size") or 0), _modified(info))


def _modified(info: Mapping[str, Any]) -> datetime | None:
    for name in _TIMES:
        time = info.get(name)
        if isinstance(time, str):
            try:
                time = datetime.fromisoformat(time)
            except ValueError:
                continue
        if isinstance(time, int | float):
            return datetime.fromtimestamp(time, UTC)
        if isinstance(time, datetime):
            return time if time.tzinfo else time.replace(tzinfo=UTC)
    return None
