"""The one place that imports torchvision, which sam2 and ultralytics ask for.

What belongs here: importing it without torch's compiler. What does not: the models (`ultralytics_setup`, `sam2_build`).
torchvision takes one function from `torch._dynamo.utils`, and with that come dynamo, inductor and sympy: some three seconds of the
processor and 160 MB in every process. The function is asked only where a GPU has to compute regions in a reproducible way.
"""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType
from typing import Any, Final

DYNAMO: Final = "torch._dynamo.utils"
_lock = threading.Lock()


class Later(ModuleType):
    """Stands for a module and has any function of it. The module is imported when one of them is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), name)(*arguments, **options)

        return call


def import_torchvision() -> ModuleType:
    """Import `torchvision`. It behaves as if it were imported plainly.

    Returns:
        The package.
    """
    import torch  # noqa: F401 (it must be whole before a part of it is stood for)

    with _lock:
        if DYNAMO not in sys.modules and "torchvision" not in sys.modules:
            sys.modules[DYNAMO] = Later(DYNAMO)
        try:
            return importlib.import_module("torchvision")
        finally:
            if isinstance(sys.modules.get(DYNAMO), Later):
                del sys.modules[DYNAMO]
