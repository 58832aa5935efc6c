"""A child that is started again when it ends by itself: Dagster, the API, workers.

What belongs here: watching one process, and the pauses before it comes back. What does not: the end of all of them (`ending`).
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from reframer_pipeline.cli.tables import aside

SHORTEST_S: Final = 1.0  # pause before a new start; twice as long each time,
LONGEST_S: Final = 60.0  # up to this. Whatever has lived as long begins again with the shortest


class Beside:
    """A child that is there, or comes back soon, until `end`.

    Attributes:
        process: The present one, or the last one.
        over: Is set once it is not started again.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], subprocess.Popen[bytes]],
        how: signal.Signals = signal.SIGTERM,
        comes_back: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        Args:
            name: What people call it.
            start: Starts the process; it is called at once, and again after each end.
            how: Asks it to end.
            comes_back: Is asked when it has ended by itself; else that was its end.
        """
        self._name, self._start, self._how, self._comes_back = name, start, how, comes_back
        self.over, self._lock = threading.Event(), threading.Lock()
        self.process = start()
        threading.Thread(target=self._keep, name=name, daemon=True).start()

    def end(self) -> None:
        """Ask it to end, and start it no more. Twice is as good as once."""
        with self._lock:
            self.over.set()
        self.process.send_signal(self._how)

    def wait(self) -> int:
        """Until it has ended. Returns its exit status."""
        return self.process.wait()

    def _keep(self) -> None:
        pause = SHORTEST_S
        while True:
            began = time.monotonic()
            how = _in_words(self.process.wait())
            if self.over.is_set():
                return
            if not self._comes_back():
                aside(f"{self._name} has ended ({how}).", style="yellow")
                self.over.set()
                return
            if time.monotonic() - began >= LONGEST_S:
                pause = SHORTEST_S
            aside(f"{self._name} has ended ({how}). It is started again in {pause:g} s.", style="yellow")
            self.over.wait(pause)
            with self._lock:
                if self.over.is_set():
                    return
                with suppress(OSError):  # the machine has no room for a process now: the old one's end is seen again, and it waits longer
                    self.process = self._start()
            pause = min(2 * pause, LONGEST_S)


def _in_words(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
