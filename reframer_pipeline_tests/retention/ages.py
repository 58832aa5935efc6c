"""Making things old: videos, results and the deployment in the database, objects in a local store. And what has gone for its age."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable

from reframer_pipeline.database.postgres import Database
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


def archived_videos(db: Database, video_ids: Collection[str]) -> set[str]:
    """Those of the videos whose published rows are archived."""
    rows = db.fetch(
        "SELECT DISTINCT video_id::text FROM current_results WHERE video_id = ANY(%s::uuid[]) AND archived_at IS NOT NULL",
        (list(video_ids),),
    )
    return {row["video_id"] for row in rows}


def evicted_results(db: Database, result_ids: Collection[str]) -> set[str]:
    """Those of the results whose attached object was evicted."""
    rows = db.fetch("SELECT result_id::text FROM results WHERE result_id = ANY(%s::uuid[]) AND evicted_at IS NOT NULL", (list(result_ids),))
    return {row["result_id"] for row in rows}
