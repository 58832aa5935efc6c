"""Storage: the database and the object store that a process's settings name.

What belongs here: opening the two, migrated and bound to each other, and closing them. What does not: what is kept there. `open_storage` is
for one command, and `open_existing` for one that begins nothing new; `storage_of` is what a process keeps: Dagster's assets, sensors and
schedules are given that.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reframer_pipeline.failures import HomeMissing

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.results.commit import Results
    from reframer_pipeline.settings import Settings
    from reframer_pipeline.store.objects import ObjectStore


class Storage:
    """Settings, and what they name. Cheap to make: opens nothing until asked, and is closed with the process at the latest.

    Args:
        settings: The settings.
        connections: To the database at most, at a time.

    `db`, `store` and `results` raise:
        DatabaseUnavailable, StoreUnavailable: One cannot be reached.
        SchemaMismatch, StoreMismatch: They cannot be used as they are; nothing was changed.
    """

    def __init__(self, settings: Settings, connections: int = 4) -> None:
        self.settings = settings
        self._connections = connections
        self._lock = threading.Lock()
        self._open = contextlib.ExitStack()
        self._parts: tuple[Database, ObjectStore, Results] | None = None

    @property
    def db(self) -> Database:
        """The database."""
        return self._opened()[0]

    @property
    def store(self) -> ObjectStore:
        """The object store that belongs to it."""
        return self._opened()[1]

    @property
    def results(self) -> Results:
        """The committed results in both."""
        return self._opened()[2]

    def close(self) -> None:
        """Give the connections back; the next use opens them again."""
        with self._lock:
            atexit.unregister(self.close)
            self._parts = None
            self._open.close()

    def _opened(self) -> tuple[Database, ObjectStore, Results]:
        """Start the embedded server if it is the one, migrate, and see that the two belong together."""
        from reframer_pipeline.database.migrations import migrate
        from reframer_pipeline.database.postgres import Database
        from reframer_pipeline.results.commit import Results
        from reframer_pipeline.store.mark import bind
        from reframer_pipeline.store.objects import ObjectStore

        with self._lock:
            if self._parts is None:
                with contextlib.ExitStack() as stack:
                    db = stack.enter_context(Database.open(self.settings, self._connections))
                    store = ObjectStore.open(self.settings)
                    migrate(db)
                    bind(db, store)
                    parts = db, store, Results(db, store, self.settings.scratch_dir)
                    self._open, self._parts = stack.pop_all(), parts
                atexit.register(self.close)
            return self._parts


@contextlib.contextmanager
def open_storage(settings: Settings) -> Iterator[Storage]:
    """Storage that is open, and closed at the end.

    Raises:
        DatabaseUnavailable, StoreUnavailable: One cannot be reached.
        SchemaMismatch, StoreMismatch: They cannot be used as they are; nothing was changed.
    """
    storage = Storage(settings)
    with contextlib.closing(storage):
        storage.db  # noqa: B018
        yield storage


@contextlib.contextmanager
def open_existing(settings: Settings) -> Iterator[Storage]:
    """The same, for who only looks at what is there, or changes it.

    Raises:
        HomeMissing: As `demand_home`; and what `open_storage` raises.
    """
    demand_home(settings)
    with open_storage(settings) as storage:
        yield storage


def demand_home(settings: Settings) -> None:
    """Go on only if the data folder has a database, or another database is named: a folder with a slip in its name is not made.

    Raises:
        HomeMissing: There is nothing to read from.
    """
    from reframer_pipeline.database import embedded

    if settings.database_url is None and not embedded.exists(settings):
        raise HomeMissing(f"There are no results in {settings.home_dir}.")


_kept: dict[Settings, Storage] = {}
_lock = threading.Lock()


def storage_of(settings: Settings) -> Storage:
    """The one storage with these settings in this process, closed when that ends. Its `settings` have the same values; which of them
    somebody gave (`model_fields_set`) is the caller's to know.
    """
    with _lock:
        return _kept.setdefault(settings, Storage(settings))
