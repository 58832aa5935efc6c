"""The parts of `dagster dev`. If one of them is gone, the rest is ended, so that whoever keeps `dagster dev` starts all of them again.

What belongs here: which parts there are, and seeing that one is gone. What does not: starting again (`beside`), the end of all (`ending`).
By itself `dagster dev` ends some time after its daemon or its web server. The end of its code server it never sees, and nothing is
launched any more.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from reframer_pipeline.cli.tables import aside

LOOK_S: Final = 5.0
NAMES: Final = {"dagster._daemon": "daemon", "dagster_webserver": "web server", "grpc": "code server"}  # by a word of the command line


def keep_whole(dagster: Callable[[], subprocess.Popen[bytes]], over: threading.Event) -> None:
    """Look at the parts every few seconds, in a thread of its own, until it is over.

    Args:
        dagster: The `dagster dev` of now.
        over: Is set before the parts are ended.
    """
    threading.Thread(target=_look, args=(dagster, over), name="parts", daemon=True).start()


def _look(dagster: Callable[[], subprocess.Popen[bytes]], over: threading.Event) -> None:
    import psutil

    seen: set[tuple[int, str]] = set()  # with the `dagster dev` that started it: the next one's have to come first
    while not over.wait(LOOK_S):
        process = dagster()
        with suppress(psutil.Error, OSError):
            there = _parts(process.pid)
            gone = [NAMES[word] for pid, word in seen if pid == process.pid and word not in there]
            seen = {(process.pid, word) for word in there} | {one for one in seen if one[0] == process.pid}
            if gone and not over.is_set() and process.poll() is None:
                aside(f"Dagster's {gone[0]} is gone.", style="yellow")
                process.kill()  # whoever starts it again ends its daemon and web server; its code server ends with its last run


def _parts(pid: int) -> set[str]:
    """The words of the living parts below a process."""
    import psutil

    found = set()
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE:
                found |= NAMES.keys() & set(process.cmdline())
    return found
