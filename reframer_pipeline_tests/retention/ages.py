"""Making things old: videos, results and the deployment in the database, objects in a local store."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from reframer_pipeline.results.storage import Storage


def age_database(storage: Storage, days: float) -> None:
    """Everything in the database happened so many days earlier."""
    ago = (days,)
    storage.db.execute("UPDATE deployment SET created_at = created_at - %s * interval '1 day'", ago)
    storage.db.execute("UPDATE videos SET updated_at = updated_at - %s * interval '1 day'", ago)
    storage.db.execute("UPDATE results SET created_at = created_at - %s * interval '1 day'", ago)
    storage.db.execute("UPDATE published SET published_at = published_at - %s * interval '1 day'", ago)


def age_objects(storage: Storage, days: float, keys: Iterable[str] | None = None) -> None:
    """These objects, or all, were written so many days ago."""
    then = time.time() - days * 86_400
    for key in objects(storage) if keys is None else keys:
        path = storage.store.local_path(key)
        assert path is not None
        os.utime(path, (then, then))


def objects(storage: Storage) -> set[str]:
    """All keys of results and videos, unfinished parts included."""
    assert storage.store.root is not None
    found = (path for name in ("results", "videos") for path in (storage.store.root / name).rglob("*") if path.is_file())
    return {str(path.relative_to(storage.store.root)) for path in found}


def archived(storage: Storage) -> set[str]:
    """Videos whose published rows are archived."""
    return {
        row["id"] for row in storage.db.fetch("SELECT DISTINCT video_id::text AS id FROM current_results WHERE archived_at IS NOT NULL")
    }


def evicted(storage: Storage) -> set[str]:
    """Results whose attached object was evicted."""
    return {row["id"] for row in storage.db.fetch("SELECT result_id::text AS id FROM results WHERE evicted_at IS NOT NULL")}
