"""What the programs used that this process started, those included that a sandbox leaves to others to bury.

bubblewrap ends without waiting for the first process of its namespace. What that used is told to whoever buries it, which is the machine's
first process, unless one in between asks for it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def used() -> resource.struct_rusage:
    """Of all that has ended since this was first asked, and before that of what was waited for."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for pid in _children():
            if _is_first_of_its_own(pid):
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def _children() -> list[int]:
    """Without a look at all processes of the machine, which takes milliseconds that would count."""
    try:
        return [int(word) for file in Path("/proc/self/task").glob("*/children") for word in file.read_text().split()]
    except OSError:  # a thread has just ended, or this kernel does not tell
        return [child.pid for child in psutil.Process().children()]


def _is_first_of_its_own(pid: int) -> bool:
    """Whether it is the first process of a namespace (`NSpid`, proc_pid_status(5)), which its parent left."""
    with suppress(OSError), open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return line.split()[2:] == ["1"]
    return False
