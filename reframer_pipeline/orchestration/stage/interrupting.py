"""Work that can be ended: by Ctrl-C, and by a watchdog if it stands still.

What belongs here: getting an exception into the thread that works. Dagster holds signals back while it executes in the main thread, and
waits for a pool's slot without looking at them; in another thread it leaves them alone. Child processes have their own clock
(`media.runner`).
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from reframer_pipeline.failures import Interrupted, StageStalled

Result = TypeVar("Result")


class DoesNotEnd(RuntimeError):
    """Work was interrupted and goes on all the same."""


_asked = threading.Event()
_leaving: Callable[[], bool] = lambda: False  # noqa: E731


def raise_if_interrupted() -> None:
    """For long work to call now and then: raises `KeyboardInterrupt` if the work was interrupted.

    An exception that is set from another thread can arrive inside a callback that swallows it; this one cannot get lost.
    """
    if _asked.is_set():
        raise KeyboardInterrupt


def leave_when(asked: Callable[[], bool]) -> None:
    """From here on, runs in this process end before their next stage once `asked` says so."""
    global _leaving
    _leaving = asked


def raise_if_leaving() -> None:
    """For whoever begins a stage: raises `Interrupted` if this process is to end. Finished stages are kept, and another process goes on."""
    if _leaving():
        raise Interrupted("The worker was told to end, and did so between two stages.")


def interruptible(work: Callable[[], Result], look: Callable[[], object] = lambda: None, patience_s: float | None = None) -> Result:
    """Run `work` in a thread of its own and return what it returns, or raise what it raises.

    A `KeyboardInterrupt` that arrives meanwhile is raised inside `work`, which ends as it ends after any exception, and then here. A
    second one does not wait for that.

    Args:
        work: What is done.
        look: Called again and again meanwhile; it may raise `KeyboardInterrupt`, too.
        patience_s: How long interrupted work may take to end. None: for ever.

    Raises:
        DoesNotEnd: It takes longer. Its thread goes on.
    """
    results: list[Result] = []
    errors: list[BaseException] = []
    over = threading.Event()  # not Thread.join: Python 3.11 takes a thread for ended once a join was interrupted (bpo-45274)

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=run, name="work", daemon=True)
    thread.start()
    try:
        while not over.wait(0.2):  # the kernel may hand a signal to another thread; Python heeds it when this one next runs code
            look()
    except KeyboardInterrupt:
        _asked.set()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))
        if not over.wait(patience_s):
            raise DoesNotEnd(f"it goes on {patience_s:g} s after it was interrupted") from None
        raise
    finally:
        _asked.clear()
    if errors:
        raise errors[0]
    return results[0]


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
