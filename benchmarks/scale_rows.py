"""What a large library costs the database: `python -m benchmarks.scale_rows [MANIFEST ROWS …]`, by default a million.

Six rows of the manifest a video, with its upload and its jobs, made by SQL as `benchmarks.planning` does it; no detections, which
`benchmarks.api` has. Measured are a plan, a tick of the backfill, pages of the library at both ends, what Dagster does with a partition a
video, and how many bytes each table takes for a video: what a larger library needs is that times its videos. The upload sensor has a
benchmark of its own (`benchmarks.sensor`).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.planning import fill, seconds
from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.orchestration import assets
from reframer_pipeline.orchestration.tags import PARTITIONS
from reframer_pipeline.planning.backlog import due, waits
from reframer_pipeline.planning.planner import Planner
from reframer_pipeline.reading import library
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES

PAGE: Final = 50
TIMES: Final = 20  # each page; the median is shown
_UPLOADS: Final = """INSERT INTO uploads (id, user_id, video_id, filename, status, created_at)
    SELECT md5('u' || v.id)::uuid, v.user_id, v.id, v.filename, 'completed', v.created_at FROM videos v ON CONFLICT DO NOTHING"""
_SIZES: Final = """SELECT relname AS name, pg_total_relation_size(oid) AS bytes FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_total_relation_size(oid) > 5000000 ORDER BY 2 DESC"""


def main() -> None:
    """Measure each size, and print."""
    sizes = sorted(int(text) for text in sys.argv[1:]) or [1_000_000]
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as folder:
        Path(folder).chmod(0o755)
        settings = Settings(home=Path(folder) / "home", models="demo")
        try:
            with open_storage(settings) as storage:
                for rows in sizes:
                    measure(storage, settings, rows)
        finally:
            embedded.stop(settings)


def measure(storage: Storage, settings: Settings, rows: int) -> None:
    """Fill up to so many rows of the manifest, and print what is measured."""
    videos, db = -(-rows // len(NAMES)), storage.db
    filled = seconds(lambda: fill(storage, videos, settings))
    db.run(lambda conn: conn.execute(_UPLOADS), timeout_s=3600)
    db.run(lambda conn: conn.execute("ANALYZE"), timeout_s=3600)
    print(f"{rows} rows of the manifest, {videos} videos, made in {filled:.0f} s")
    say("plan, everything fresh", seconds(lambda: list(Planner.of(storage, settings, {}).plans())))
    say("plan, everything stale (another conf)", seconds(lambda: list(Planner.of(storage, settings, {"conf": 0.4}).plans())))
    say("tick of the backfill, everything stale", seconds(lambda: tick(storage, settings)))
    (user,) = [str(row["id"]) for row in db.fetch("SELECT id FROM users")]
    last = db.fetch("SELECT uploaded_at, upload_id::text FROM library ORDER BY uploaded_at, upload_id OFFSET %s LIMIT 1", (PAGE,))[0]
    say("first page of the library", median(lambda: page(db, user)))
    say("last page of the library", median(lambda: page(db, user, last)))
    say("first page of what failed", median(lambda: library.page(db, user, PAGE, status="failed")))
    with dagster_home.open_instance(settings) as instance:
        say("Dagster's partitions are made", seconds(lambda: assets.register_partitions(instance, db)))
        say("Dagster's partitions are listed", seconds(lambda: instance.get_dynamic_partitions(PARTITIONS)))
    for table in db.fetch(_SIZES):
        print(f"  {table['name']:<40} {table['bytes'] / 1e6:8.0f} MB {table['bytes'] / videos:8.0f} bytes a video")
    (whole,) = db.fetch("SELECT pg_database_size(current_database()) AS bytes")
    print(f"  {'the database':<40} {whole['bytes'] / 1e6:8.0f} MB {whole['bytes'] / videos:8.0f} bytes a video", flush=True)


def tick(storage: Storage, settings: Settings) -> None:
    """What the backfill asks each minute, without Dagster: it looks at all plans, and takes the first that are due."""
    plans = Planner.of(storage, settings, {"conf": 0.4}).plans()
    list(due(plans, waits(storage.db), set(), settings.backfill_per_tick, settings.max_attempts))
    list(plans)


def page(db: Database, user: str, last: Row | None = None) -> None:
    """A page of the library, the newest first, or the one after this row."""
    found, _ = library.page(db, user, PAGE, () if last is None else (last["uploaded_at"], last["upload_id"]))
    assert len(found) == PAGE


def median(act: Callable[[], object]) -> float:
    act()
    return statistics.median(seconds(act) for _ in range(TIMES))


def say(what: str, took: float) -> None:
    print(f"  {what:<40} {took:10.3f} s", flush=True)


if __name__ == "__main__":
    main()
