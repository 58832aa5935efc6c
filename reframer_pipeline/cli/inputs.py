"""What the paths of `reframer run` mean: files, folders, patterns.

What belongs here: finding the files. What does not: whether a file that was named can become a video (`uploads`).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from reframer_pipeline.cli.tables import aside
from reframer_pipeline.failures import FileNotReadable, NotAVideo, NoVideosThere, ReframerError

ENDINGS: Final = (".mp4", ".mov", ".avi")
_NAMED: Final = 3  # of the files that are left out


class Input(NamedTuple):
    """A file to compute; or, with `failure`, a path that leads to none.

    Attributes:
        name: What people see: the file's name, and the folders below the one that was given.
    """

    path: Path
    name: str
    failure: ReframerError | None = None


def find(given: tuple[Path, ...], home: Path) -> list[Input]:
    """The files that the paths stand for, in the order given; those of a folder by name. What is found twice is taken once.

    A file counts as it is, whatever it is. A folder stands for the videos in it and in the folders below: by their names, or else by
    their first bytes. Hidden files and folders are passed over, and so is the data folder. A pattern stands for what it matches, as if the
    shell had put it there. Says which files of a folder are left out.

    Args:
        given: The paths.
        home: The data folder, absolute.
    """
    found: dict[Path, Input] = {}
    for path in given:
        if os.path.isdir(path):  # not Path's, which raises where a folder above may not be entered
            found.update((one.path, one) for one in _in_folder(path, home) if one.path not in found)
        elif os.path.lexists(path) or not glob.has_magic(str(path)):
            found.setdefault(path, Input(path, path.name))
        elif matches := _matches(path):
            found.update((one.path, one) for one in find(matches, home) if one.path not in found)
        else:
            found[path] = Input(path, str(path), NoVideosThere(f"Nothing matches {path}."))
    return list(found.values())


def _matches(pattern: Path) -> tuple[Path, ...]:
    """Each file or folder once, by its shortest path. As in a shell, `**` follows no links, and a hidden name has to be asked for."""
    dotted = [part for part in pattern.parts if part.startswith(".")]

    def asked_for(match: Path) -> bool:
        return all(any(fnmatchcase(part, one) for one in dotted) for part in match.parts if part.startswith("."))

    found = filter(asked_for, Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
    shortest = {os.path.realpath(match): match for match in sorted(found, key=lambda match: len(str(match)), reverse=True)}
    return tuple(sorted(shortest.values()))


def _in_folder(folder: Path, home: Path) -> Iterator[Input]:
    videos: list[Path] = []
    left_out: list[str] = []
    for path, error in _walk(folder, home):
        if error is not None:
            yield Input(path, str(path), FileNotReadable(f"The folder {path} cannot be read: {error.strerror}."))
        elif path.suffix.lower() in ENDINGS or _looks_like_one(path):
            videos.append(path)
        else:
            left_out.append(str(path.relative_to(folder)))
    if left_out:
        names = ", ".join(left_out[:_NAMED]) + (", …" if len(left_out) > _NAMED else "")
        aside(f"{folder}: {len(left_out)} left out, no mp4, mov or avi: {names}")
    for path in videos:
        yield Input(path, str(path.relative_to(folder)))
    if not videos:
        yield Input(folder, str(folder), NoVideosThere(f"There is no mp4, mov or avi file in {folder}, nor in a folder below it."))


def _walk(folder: Path, home: Path) -> Iterator[tuple[Path, OSError | None]]:
    """What is to be looked at, sorted; and folders that cannot be read, with the reason. Links are followed, but to no place twice."""
    errors: list[OSError] = []
    been = {str(home), os.path.realpath(folder)}
    for root, folders, names in os.walk(folder, onerror=errors.append, followlinks=True):
        below = {os.path.realpath(Path(root, name)): name for name in sorted(folders, reverse=True) if not name.startswith(".")}
        folders[:] = sorted(name for place, name in below.items() if place not in been)
        been.update(below)
        yield from ((Path(root, name), None) for name in sorted(names) if not name.startswith("."))
    yield from ((Path(error.filename), error) for error in errors)


def _looks_like_one(path: Path) -> bool:
    """Whether its first bytes are an accepted container's. Only regular files are opened: a pipe would wait for its writer."""
    from reframer_pipeline.media.containers import HEAD_BYTES, recognise

    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            recognise(file.read(HEAD_BYTES))
    except (OSError, NotAVideo):
        return False
    return True
