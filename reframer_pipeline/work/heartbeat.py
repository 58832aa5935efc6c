"""Heartbeats: the signs of life that a process gives while it holds something.

What belongs here: the thread that beats. What does not: what a beat writes (`lease`, `turns`, `scenes.gemini.claims`).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from reframer_pipeline.failures import LeaseLost, ReframerError

_log = logging.getLogger(__name__)


class Heartbeat:
    """Beats from a thread until `stop`.

    A beat that fails is tried again soon and for as long as it goes on, because what ran out while the database was away is still ours
    until another takes it. One that raises `LeaseLost` is the last.

    Args:
        beat: Gives the sign.
        every_s: Seconds between two; a failed one is tried again after a tenth of that.
        what: What is held, for people who read the log.
    """

    def __init__(self, beat: Callable[[], object], every_s: float, what: str) -> None:
        self._beat, self._every_s, self._what = beat, every_s, what
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat: {what}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more beats; one that is under way is waited for, but not for long."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        pause = self._every_s
        while not self._ended.wait(pause):
            try:
                self._beat()
                pause = self._every_s
            except LeaseLost:
                return
            except ReframerError as failure:
                pause = self._every_s / 10
                _log.warning("No heartbeat for %s: %s", self._what, failure.message)


@contextlib.contextmanager
def beating(beat: Callable[[], object], every_s: float, what: str) -> Iterator[None]:
    """A `Heartbeat` while the block lasts."""
    heart = Heartbeat(beat, every_s, what)
    try:
        yield
    finally:
        heart.stop()
