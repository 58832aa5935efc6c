"""Storage: objects, Parquet and Postgres, and the protocol that keeps the three together.

What belongs here: everything that outlives a run. What does not: computing, Dagster. `open_storage` is the usual way in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.results.commit import Results
    from reframer_pipeline.settings import Settings
    from reframer_pipeline.store.objects import ObjectStore


@dataclass(frozen=True)
class Storage:
    """An open, migrated database with the store that belongs to it."""

    settings: Settings
    db: Database
    store: ObjectStore
    results: Results


@contextlib.contextmanager
def open_storage(settings: Settings) -> Iterator[Storage]:
    """Open database and store: start the embedded server if it is the one, migrate, and see that the two belong together.

    Raises:
        DatabaseUnavailable, StoreUnavailable: One cannot be reached.
        SchemaMismatch, StoreMismatch: They cannot be used as they are; nothing was changed.
    """
    from reframer_pipeline.database.migrations import migrate
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.results.commit import Results
    from reframer_pipeline.store.mark import bind
    from reframer_pipeline.store.objects import ObjectStore

    with Database.open(settings) as db:
        store = ObjectStore.open(settings)
        migrate(db)
        bind(db, store)
        yield Storage(settings, db, store, Results(db, store))
