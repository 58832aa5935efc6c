"""Everything below a path of a file system, or an error.

What belongs here: this one walk. What does not: what the files are. fsspec's own walk leaves out whatever it cannot list, and its
`exists` says no when nobody answers: both make a store that is down look like an empty one.
"""

from __future__ import annotations

from typing import Any


def find_all(fs: Any, path: str, beginning: str = "") -> dict[str, dict[str, Any]]:
    """Path to `info` of every file below a path. A folder that vanishes meanwhile is left out.

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
        return dict(fs.find(path, detail=True, **({"prefix": beginning} if beginning else {})))
    found: dict[str, dict[str, Any]] = {}
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
                found[info["name"]] = info
            elif info["name"].rstrip("/") != folder.rstrip("/"):
                folders.append(info["name"])
    return found
