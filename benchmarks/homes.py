"""A data folder for a measurement, with an embedded server of its own; both are gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reframer_pipeline.database import embedded
from reframer_pipeline.settings import Settings


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
