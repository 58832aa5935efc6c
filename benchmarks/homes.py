"""Data folders for measurements, each with an embedded server of its own, and their weights; all are gone afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from reframer_pipeline.database import embedded
from reframer_pipeline.settings import Settings

WEIGHTS: Final = "REFRAMER_WEIGHTS_DIR"


@contextmanager
def fresh_home() -> Iterator[Path]:
    """The folder, which is made when it is first used."""
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as folder:
        Path(folder).chmod(0o755)  # the server's user has to pass
        home = Path(folder) / "home"
        try:
            yield home
        finally:
            embedded.stop(Settings(home=home))


@contextmanager
def one_weights_folder() -> Iterator[None]:
    """All data folders meanwhile share one for weights, unless one is set already: models are prepared once, not for each of them."""
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as folder:
        ours = os.environ.setdefault(WEIGHTS, folder) == folder
        try:
            yield
        finally:
            if ours:
                del os.environ[WEIGHTS]
