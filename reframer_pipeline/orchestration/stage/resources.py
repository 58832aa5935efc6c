"""The one resource: settings, storage and models of this deployment, opened once per process when first needed.

What belongs here: how the shell reaches the core. What does not: running stages (`stage_run`) or persisting them (`io_manager`).
"""

from __future__ import annotations

import atexit
import contextlib
import threading

from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings

_opened: dict[Settings, tuple[Storage, contextlib.ExitStack]] = {}
_lock = threading.Lock()


def _storage(settings: Settings) -> Storage:
    with _lock:
        if settings not in _opened:
            stack = contextlib.ExitStack()
            _opened[settings] = stack.enter_context(open_storage(settings)), stack
            atexit.register(stack.close)
        return _opened[settings][0]


class Pipeline:
    """What every asset is given. Cheap to make: opens nothing until asked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def storage(self) -> Storage:
        """Database and object store, migrated and bound to each other; one per process and settings."""
        return _storage(self.settings)

    def close(self) -> None:
        """Give the connections back; the next use opens them again."""
        with _lock:
            if self.settings in _opened:
                _opened.pop(self.settings)[1].close()
