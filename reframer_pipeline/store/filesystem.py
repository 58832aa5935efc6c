"""File systems as fsspec opens them: found by a URL, walked whole or not at all, and what they say of times.

What belongs here: what the object store and the watched bucket have in common. What does not: what the files are. fsspec's own walk
leaves out whatever it cannot list, and its `exists` says no when nobody answers: both make a store that is down look like an empty one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from reframer_pipeline.failures import SettingsInvalid

# What file systems call the time of the last change: S3, Azure, local, Google, memory.
_TIMES: Final = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


class Place(NamedTuple):
    """A place on a file system.

    Attributes:
        fs: The fsspec file system.
        base: The path on it, without a slash at its end.
        root: The same as a local folder, or None if it is remote.
    """

    fs: Any
    base: str
    root: Path | None


def open_place(url: str, what: str, variable: str) -> Place:
    """The place that a URL names; nothing is read or written yet.

    Args:
        url: A folder, or any fsspec URL.
        what: It is, for messages.
        variable: The setting's, for messages.

    Raises:
        SettingsInvalid: There is no such kind of URL, or its package is not installed.
    """
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        fs, base = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SettingsInvalid(
            f"The {what}'s URL cannot be used: {type(error).__name__}.",
            f"Set {variable} to a folder, or to an fsspec URL whose package is installed (s3://…: install reframer_pipeline[s3]).",
        ) from error
    return Place(fs, base.rstrip("/"), Path(base) if isinstance(fs, LocalFileSystem) else None)


def find_all(fs: Any, path: str, beginning: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and `info` of every file below a path, folder by folder. A folder that vanishes meanwhile is left out.

    Args:
        fs: An fsspec file system.
        path: On it.
        beginning: Only names that begin so; for S3 alone, which looks for them itself.

    Raises:
        FileNotFoundError: The path itself does not exist. (Stores without folders find nothing there, unless the bucket is missing.)
        Exception: Whatever the file system raises when a part of it cannot be listed.
    """
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    fs.invalidate_cache()
    own, inherited = (
        (type(fs)._find, AsyncFileSystem._find) if isinstance(fs, AsyncFileSystem) else (type(fs).find, AbstractFileSystem.find)
    )
    if own is not inherited:  # lists all at once, as S3 does, and raises
        yield from fs.find(path, detail=True, **({"prefix": beginning} if beginning else {})).items()
        return
    folders = [path]
    while folders:
        folder = folders.pop()
        try:
            listing = fs.ls(folder, detail=True)
        except FileNotFoundError:
            if folder == path:
                raise
            continue
        for info in listing:
            if info["type"] != "directory":
                yield info["name"], info
            elif info["name"].rstrip("/") != folder.rstrip("/"):
                folders.append(info["name"])


def modified(info: Mapping[str, Any]) -> float | None:
    """When a file was last changed, in seconds since 1970; None if its `info` does not say. Times are numbers, datetimes or ISO text."""
    for value in (info.get(name) for name in _TIMES):
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None
