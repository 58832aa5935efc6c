"""The scratch folder, and files on their way.

What belongs here: what becomes of leftovers, what a folder that cannot be written to is called, and files that appear when they are
whole. What does not: the files themselves, which each belong to the block that makes them (`prepare`, `uploads.ingest`).
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from reframer_pipeline.failures import HomeNotWritable
from reframer_pipeline.failures.typing import of_machine
from reframer_pipeline.settings import Settings

MAX_AGE_S = 24 * 3600.0
DRAWN = "drawn-"  # before the name of what was drawn of a video, which begins with the video's id


def sweep_scratch(settings: Settings, max_age_s: float = MAX_AGE_S) -> int:
    """Delete what killed runs left behind: entries that nothing was written to for a day. A folder is as young as its youngest file.

    Returns:
        Entries deleted. What cannot be deleted stays, without an error.
    """
    limit, swept = time.time() - max_age_s, 0
    for entry in _entries(settings.scratch_dir):
        with contextlib.suppress(OSError):  # another run may be sweeping too
            if max(path.lstat().st_mtime for path in (entry, *entry.rglob("*"))) >= limit:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
            swept += 1
    return swept


def drop_drawn(settings: Settings, video_id: str) -> None:
    """Delete what was drawn of a video. What cannot be deleted is left to the sweep."""
    for path in settings.scratch_dir.glob(f"{DRAWN}{video_id}*"):
        if path.suffix != ".part":
            with contextlib.suppress(OSError):
                path.unlink()


def make(folder: Path) -> None:
    """Make a folder of the data folder, and those above it that are not there: nobody else may enter them. Those that are there stay as
    they are. (For root, `database.embedded_cluster` lets the server's user, and so all, pass through the data folder itself.)
    """
    if not folder.is_dir():
        make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make the folder, for us alone, and give its system's errors within the block a name.

    Raises:
        DiskFull, MachineTrouble: As `of_machine` says.
        HomeNotWritable: Anything else that keeps files from being written.
    """
    try:
        make(folder)
        yield
    except OSError as error:
        what = f"A file cannot be written to {folder}"
        raise of_machine(error, what) or HomeNotWritable(f"{what}: {error.strerror or type(error).__name__}.") from error


def made(folder: Path) -> Path:
    """The folder, made if it is not there. Raises what `writing` does."""
    with writing(folder):
        return folder


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A name beside a file, to write to: it takes the file's name when the block has ended well, and is deleted when not."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def private(folder: Path) -> Iterator[Path]:
    """A new folder below this one, which goes with the block. Raises what `writing` does, before the block."""
    place = made(folder / f"private-{uuid.uuid4()}")
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
