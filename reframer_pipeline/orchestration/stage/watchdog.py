"""Ends work that stands still.

What belongs here: noticing that a stage has not reported progress for too long, and interrupting it. Child processes have
their own clock (`media.runner`); this one covers code in this process.
"""

from __future__ import annotations

import ctypes
import threading
import time
from types import TracebackType

from reframer_pipeline.failures import StageStalled


class Watchdog:
    """Context manager that raises `StageStalled` in the thread that entered it after `limit_s` seconds without `feed()`.

    The exception arrives when that thread next runs Python code, so a single native call that never returns is not interrupted.
    """

    def __init__(self, limit_s: float, what: str) -> None:
        self._limit_s = limit_s
        self._what = what
        self._fed = time.monotonic()
        self._stop = threading.Event()
        self._victim = 0
        self._fired = False
        self._thread: threading.Thread | None = None

    def feed(self) -> None:
        """Say that work goes on."""
        self._fed = time.monotonic()

    def __enter__(self) -> Watchdog:
        self.feed()
        self._victim = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if self._fired:
            raise StageStalled(f"{self._what} made no progress for {self._limit_s:.0f} seconds.") from error

    def stop(self) -> None:
        """Watch no longer; what was raised but has not arrived yet is taken back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._fired:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._victim), None)

    def _watch(self) -> None:
        while not self._stop.wait(min(1.0, self._limit_s / 4)):
            if time.monotonic() - self._fed > self._limit_s:
                self._fired = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._victim), ctypes.py_object(_Stalled))
                return


class _Stalled(BaseException):
    """Raised asynchronously: not an `Exception`, so that no library's handler swallows it on the way."""
