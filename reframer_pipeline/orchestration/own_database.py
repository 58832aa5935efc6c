"""A connection to the results' database for what Dagster makes itself, from names in dagster.yaml: nobody hands a storage to that.

What belongs here: opening it when it is first asked, and closing it. What does not: what it is asked (`requests.coordinator`,
`upkeep.life`).
"""

from __future__ import annotations

import threading

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.settings import Settings


class OwnDatabase:
    """To be inherited before Dagster's class. Its methods may be called from several threads at once."""

    _opening = threading.Lock()
    _opened: Database | None = None

    @property
    def _db(self) -> Database:
        with self._opening:
            if self._opened is None:
                self._opened = Database.open(Settings())
            return self._opened

    def dispose(self) -> None:
        """Close what was opened."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
        super().dispose()  # type: ignore[misc]
