"""How long a tick of the upload sensor takes: `python -m benchmarks.sensor [FILES …]`, by default 100, 10,000 and 100,000.

For each size a folder of so many files, with an embedded server and a Dagster instance of its own. Three ticks are timed: when the database
knows every file (the everyday one), when it knows none (a full bucket on the first day), and when every file is a video that waits to
be computed. Each tick is whole: listing, queries, plan, and Dagster's own checks of what is requested.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg

from reframer_pipeline import dagster_home, partitions
from reframer_pipeline.resources import Pipeline
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import embedded
from reframer_pipeline.uploads.bucket import Bucket, Entry
from reframer_pipeline.uploads.identity import upload_id
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline.versions import video_id_of
from reframer_pipeline_tests.shell.daemon import Daemon

LIMIT_S = 10.0
T = TypeVar("T")


def main() -> None:
    """Measure each size, and print."""
    sizes = [int(text) for text in sys.argv[1:]] or [100, 10_000, 100_000]
    print(f"{'files':>8}  {'listing':>8}  {'none known':>10}  {'all known':>9}  {'all waiting':>11}   seconds")
    figures = [(size, measure(size)) for size in sizes]
    worst = max(max(times[1:]) for _, times in figures)
    (small, first), (large, last) = figures[0], figures[-1]
    print(f"{large} files against {small}: {last[2] / first[2]:.1f} times as long when all are known")
    print(f"slowest tick {worst:.2f} s; the limit is {LIMIT_S:g} s")
    sys.exit(worst > LIMIT_S)


def measure(size: int) -> tuple[float, float, float, float]:
    """Seconds of the listing alone, and of the three ticks."""
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        settings = Settings(home=Path(name) / "home", dagster_database_url=None)  # the one before left its own in the environment
        pipeline, folder = Pipeline(settings), Path(name) / "home" / "uploads"
        fill(folder, size)
        try:
            with dagster_home.open_instance(settings) as instance:
                pipeline.storage.db.execute("SELECT 1")
                daemon = Daemon(settings, instance)
                daemon.evaluate()  # imports, the pool
                listing, listed = timed(lambda: list_bucket(Bucket.open(settings), 60))
                daemon.tick()
                time.sleep(settings.upload_settle_s)
                none_known, _ = timed(daemon.tick)
                videos = know(pipeline, listed, "completed")
                daemon.cursor = None
                all_known, requests = timed(daemon.tick)
                assert requests == [], "everything is known"
                pipeline.storage.db.execute("UPDATE videos SET status = 'pending'")
                partitions.register(instance, videos)
                waiting, requests = timed(daemon.tick)
                assert len(requests) == min(size, settings.upload_requests)
        finally:
            pipeline.close()
            embedded.stop(settings)
    print(f"{size:8}  {listing:8.3f}  {none_known:10.3f}  {all_known:9.3f}  {waiting:11.3f}", flush=True)
    return listing, none_known, all_known, waiting


def fill(folder: Path, size: int) -> None:
    """So many small files, a thousand in a folder, written an hour ago."""
    hour_ago = time.time() - 3600
    for number in range(size):
        path = folder / f"{number // 1000:03}" / f"{number:06}.mp4"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (hour_ago, hour_ago))


def know(pipeline: Pipeline, entries: list[Entry], status: str) -> list[str]:
    """An upload and a video for each file, as if all had been taken in. Returns the videos' ids."""
    url, videos = embedded.database_url(pipeline.settings), []
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        cursor.execute("INSERT INTO users (email) VALUES ('benchmark') RETURNING id")
        (user,) = cursor.fetchone() or (None,)
        with cursor.copy("COPY videos (id, user_id, sha256, filename, size_bytes, status) FROM STDIN") as copy:
            for number, entry in enumerate(entries):
                videos.append(video_id_of(f"{number:064x}"))
                copy.write_row((videos[-1], user, f"{number:064x}", entry.key, 0, status))
        with cursor.copy("COPY uploads (id, user_id, video_id, bucket_key, etag, filename, status) FROM STDIN") as copy:
            for video, entry in zip(videos, entries, strict=True):
                copy.write_row((upload_id(entry.key, entry.etag), user, video, entry.key, entry.etag, entry.key, "completed"))
        conn.commit()
        conn.autocommit = True
        conn.execute("ANALYZE")
    return videos


def timed(act: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    outcome = act()
    return time.perf_counter() - start, outcome


if __name__ == "__main__":
    main()
