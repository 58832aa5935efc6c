"""The sandbox of a media process: what it sees of this machine, by bubblewrap (`bwrap`).

What belongs here: what is seen, the words before a command that make it so, and whether that works here. What does not: limits, and the
network where there is no bubblewrap (`fence`); which files a command reads and writes (who composes it says so).

A media process sees the system's programs and libraries, its own program, the files that it is to read, read-only, and those that it is to
write. Its working folder and /tmp are its own, small, and in memory. There is no network, no other process, and no right that only root has
but that of reading other users' files.

bubblewrap ends with 128 + N where its program was ended by signal N, as a shell does. The group's leader is bubblewrap.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MESSAGE: Final = "bwrap: "  # how its own messages begin
ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_LOOKED_UP: Final = ("/etc/ld.so.cache", "/etc/alternatives")  # where libraries are, and which of several
_ROOM_BYTES: Final = 1_000_000  # of each folder in memory
_PATIENCE_S: Final = 60
_APART: Final = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
# Root needs no user namespace, which would take away its right to read other users' files. CAP_DAC_READ_SEARCH is that right, too, and
# with it a process opens files by number that it cannot see.
_AS_ROOT: Final = ("--cap-drop", "ALL", "--cap-add", "CAP_DAC_OVERRIDE")
_AS_USER: Final = ("--unshare-user",)
# Relocatable programs find their libraries by it; many containers forbid mounting it. bubblewrap 0.8 leaves the kernel's settings in it
# (/proc/sys) writable for root, also where it has no rights left.
_PROC: Final = ("--proc", "/proc", "--remount-ro", "/proc")


def sandboxed(prlimit: str, tool: str, folder: str, reads: Sequence[Path] = (), writes: Sequence[Path] = ()) -> list[str]:
    """The words before a command that put it into a sandbox; none where there is no bubblewrap, or it does not work.

    Args:
        prlimit: Absolute path of what starts the tool.
        tool: Absolute path of the tool.
        folder: Its working folder. It sees an empty one instead, in memory.
        reads: Files that it may read.
        writes: Files that it may write; they exist.
    """
    way = _way(prlimit, tool)
    if not way:
        return []
    # The kernel takes the end of the thread that started it for its parent's. The main thread ends with the process, others earlier.
    orphaned = ["--die-with-parent"] if threading.current_thread() is threading.main_thread() else []
    own = ["--size", str(_ROOM_BYTES), "--tmpfs", folder, "--chdir", folder]
    files = [word for path in reads for word in ("--ro-bind", str(path.absolute()), str(path.absolute()))]
    files += [word for path in writes for word in ("--bind", str(path.absolute()), str(path.absolute()))]
    return [*way, *orphaned, *_seen(prlimit, tool), *own, *files, "--remount-ro", "/", "--"]


def _way(prlimit: str, tool: str) -> tuple[str, ...]:
    """`bwrap` with the options that work here for this tool, tried once; empty if none do."""
    bwrap = shutil.which("bwrap")
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # that is no answer, so it is asked again
        return _tried(bwrap, prlimit, tool) if bwrap else ()
    return ()


@functools.cache
def _tried(bwrap: str, prlimit: str, tool: str) -> tuple[str, ...]:
    """Starts the tool in the sandbox. It may say that it does not know the option, if it says so outside, too."""
    command = [prlimit, "--core=0", "--", tool, "-version"]
    for who in (_AS_ROOT, _AS_USER) if os.geteuid() == 0 else (_AS_USER,):
        for proc in (_PROC, ()):
            way = (bwrap, *who, *_APART, *proc)
            inside = _answer([*way, *_seen(prlimit, tool), "--remount-ro", "/", "--", *command])
            if inside[0] == 0 or (MESSAGE.encode() not in inside[1] and inside == _answer(command)):
                return way
    return ()


def _answer(command: list[str]) -> tuple[int, bytes, bytes]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, env=ENVIRONMENT, check=False)
    return done.returncode, done.stderr, done.stdout


def _seen(*programs: str) -> list[str]:
    """The options for what every process sees."""
    words = []
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for name in _LOOKED_UP:
        words += ["--ro-bind-try", name, name]
    words += ["--dev", "/dev", "--remount-ro", "/dev", "--size", str(_ROOM_BYTES), "--tmpfs", "/tmp"]
    for folder in _homes(programs):
        words += ["--ro-bind", folder, folder]
    return words


def _homes(programs: Sequence[str]) -> list[str]:
    """Folders of programs, and of their libraries beside them, that are not among the system's."""
    homes: dict[str, None] = {}
    for path in (Path(each) for program in programs for each in (program, os.path.realpath(program))):
        if not any(path.is_relative_to(system) for system in _SYSTEM):
            homes |= {str(home): None for home in (path.parent, path.parent.parent / "lib") if home.is_dir()}
    return list(homes)
