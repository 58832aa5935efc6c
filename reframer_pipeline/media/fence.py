"""The fence around a media process: what it may use, and the words before its command that enforce it.

What belongs here: the limits and their values from the settings, finding the program, `prlimit` and `unshare`, and which fences stand.
What does not: what the process sees of the file system (`sandbox`), starting and reading the process, the clocks (`runner`).

The limits are set by `prlimit` (util-linux) before the program starts: `preexec_fn` is not safe beside threads, and
setting them from outside leaves a moment without. Where there is no `prlimit` (not Linux) only the clocks hold.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reframer_pipeline.failures import MediaToolMissing
from reframer_pipeline.media.sandbox import sandboxed
from reframer_pipeline.settings import Settings


@dataclass(frozen=True)
class Limits:
    """What one media process may use.

    Attributes:
        stall_s: Seconds without a byte on any output channel (messages on stderr do not count).
        wall_s: Seconds in all.
        cpu_s: CPU seconds of all its threads; also ends an orphan whose parent was killed.
        memory_bytes: Address space.
        file_bytes: Largest file it may write (it needs none: results leave through pipes).
        open_files: File descriptors.
        stderr_bytes: Of its messages, this much of the beginning and of the end is kept.
        backlog_bytes: Most bytes one output channel may run ahead of the one that is read.
    """

    stall_s: float
    wall_s: float
    cpu_s: int
    memory_bytes: int
    file_bytes: int = 1_000_000
    open_files: int = 64
    stderr_bytes: int = 16_384
    backlog_bytes: int = 512_000_000

    @classmethod
    def of(cls, settings: Settings, *, units: int = 0) -> Limits:
        """Limits from the settings.

        Args:
            settings: `stall_s` and `memory_mb` are read.
            units: Frames to decode; each adds a second to the wall clock and two of CPU.
        """
        wall_s = settings.stall_s + units
        return cls(stall_s=settings.stall_s, wall_s=wall_s, cpu_s=max(1, int(2 * wall_s)), memory_bytes=settings.memory_mb * 1_000_000)


@dataclass(frozen=True)
class Standing:
    """Which fences stand around a tool on this system.

    Attributes:
        limits: Memory, CPU, file size, open files.
        network: There is none.
        files: It sees the files that it is to read and write, and the system's programs.
    """

    limits: bool
    network: bool
    files: bool


def fenced(argv: Sequence[str], limits: Limits, *, folder: str = "/", reads: Sequence[Path] = (), writes: Sequence[Path] = ()) -> list[str]:
    """The command behind its fence: program found, limits set, network and other files away where the system allows that.

    Args:
        argv: The command.
        limits: What it may use.
        folder: Its working folder.
        reads: The files that it reads.
        writes: The files that it writes; they exist.

    Raises:
        MediaToolMissing: The program, or on Linux `prlimit`, is not installed.
    """
    tool, prlimit = _found(argv[0]), shutil.which("prlimit")
    if prlimit is None:
        if sys.platform == "linux":
            raise MediaToolMissing("prlimit is not installed, and media is not opened without limits.", "Install util-linux.")
        return [tool, *argv[1:]]
    caps = {"as": limits.memory_bytes, "cpu": limits.cpu_s, "fsize": limits.file_bytes, "nofile": limits.open_files, "core": 0}
    apart = sandboxed(prlimit, tool, folder, reads, writes) or without_network()
    return [*apart, prlimit, *(f"--{name}={cap}:{cap}" for name, cap in caps.items()), "--", tool, *argv[1:]]


def standing(tool: str) -> Standing:
    """Which fences stand around a tool. Raises MediaToolMissing."""
    path, prlimit = _found(tool), shutil.which("prlimit")
    files = prlimit is not None and bool(sandboxed(prlimit, path, "/tmp"))
    return Standing(limits=prlimit is not None, network=files or (prlimit is not None and bool(without_network())), files=files)


def _found(tool: str) -> str:
    """Absolute path of a tool, looked up in the caller's PATH."""
    path = shutil.which(tool)
    if path is None:
        raise MediaToolMissing(f"{os.path.basename(tool)} is not installed.")
    return os.path.abspath(path)  # not realpath: some installations choose the program by the link's name


@functools.cache
def without_network() -> tuple[str, ...]:
    """`unshare` with the options that work here, tried once; empty where the system allows none.

    Plain `--net` first: root keeps its right to read other users' files, which a user namespace would take away.
    """
    unshare, true = shutil.which("unshare"), shutil.which("true")
    for options in (("--net",), ("--map-root-user", "--net")):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if unshare and true:
                subprocess.run([unshare, *options, "--", true], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True)
                return (unshare, *options, "--")
    return ()
