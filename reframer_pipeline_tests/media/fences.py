"""A system on which some of the fence's programs are not installed, for tests of what then stands."""

from __future__ import annotations

import shutil
from pathlib import Path

_NEEDED = ("bwrap", "prlimit", "unshare", "true", "printf", "dd", "cat", "sleep", "ffmpeg", "ffprobe")


def tools_without(folder: Path, *absent: str) -> Path:
    """Fills a folder, to be all of PATH, with links to programs, but for some."""
    for name in set(_NEEDED) - set(absent):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return folder
