"""Work that Ctrl-C can end.

What belongs here: running a call so that an interrupt reaches it. Dagster holds signals back while it executes in the main thread,
and waits for a pool's slot without looking at them; in another thread it leaves them alone.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_asked = threading.Event()


def raise_if_interrupted() -> None:
    """For long work to call now and then: raises `KeyboardInterrupt` if the work was interrupted.

    An exception that is set from another thread can arrive inside a callback that swallows it; this one cannot get lost.
    """
    if _asked.is_set():
        raise KeyboardInterrupt


def interruptible(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread of its own and return what it returns, or raise what it raises.

    A `KeyboardInterrupt` that arrives meanwhile is raised inside `work`, which ends as it ends after any exception, and then here. A
    second one does not wait for that.
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
        over.wait()
    except KeyboardInterrupt:
        _asked.set()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))
        over.wait()
        raise
    finally:
        _asked.clear()
    if errors:
        raise errors[0]
    return results[0]
