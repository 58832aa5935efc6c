"""How long a tick of the upload sensor takes: `python -m benchmarks.sensor [--s3=moto|pages] [FILES …]`.

For each size (by default 100, 10,000 and 100,000) a folder of so many files, with an embedded server and a Dagster instance of its own.
Three ticks are timed: when the database knows every file (the everyday one), when it knows none (a full bucket on the first day), and
when every file is a video that waits to be computed. Each tick is whole: listing, queries, plan, and Dagster's own checks of what is
requested.

With `--s3` the bucket is on a loopback S3 server in this process: moto's, which sorts all keys anew for each page of a thousand and so says
more of itself than of us at 100,000, or one that only knows how to list (`pages`), which shows what listing costs our side. Amazon's own
server adds 0.1 to 0.2 s a page. A listing that outlasts the time a tick has for it serves a later tick, as in a deployment: of such ticks
the slowest is shown, and how many there were is told.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import psycopg
import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.failures import BucketUnavailable
from reframer_pipeline.orchestration import assets
from reframer_pipeline.orchestration.requests.sensors import EVERY_S
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.running import dagster_home
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.bucket import Bucket, Entry, upload_id
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline.versions import video_id_of
from reframer_pipeline_tests.orchestration.requests.daemon import Daemon
from reframer_pipeline_tests.s3 import failing_s3, pointing_at

LIMIT_S = 10.0
LISTING = (
    '<?xml version="1.0"?><ListBucketResult><Name>bench</Name><MaxKeys>1000</MaxKeys><IsTruncated>{more}</IsTruncated>{token}{objects}'
    "</ListBucketResult>"
)
OBJECT = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    '<ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag><Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>'
)
T = TypeVar("T")


def main() -> None:
    """Measure each size, and print."""
    arguments = [text for text in sys.argv[1:] if not text.startswith("--")]
    kind = next((text.removeprefix("--s3=") for text in sys.argv[1:] if text.startswith("--s3=")), "folder")
    sizes = [int(text) for text in arguments] or [100, 10_000, 100_000]
    print(f"{'files':>8}  {'listing':>8}  {'none known':>10}  {'all known':>9}  {'all waiting':>11}   seconds")
    figures = [(size, measure(size, kind)) for size in sizes]
    worst = max(max(times[1:]) for _, times in figures)
    (small, first), (large, last) = figures[0], figures[-1]
    print(f"{large} files against {small}: {last[2] / first[2]:.1f} times as long when all are known")
    print(f"slowest tick {worst:.2f} s; the limit is {LIMIT_S:g} s")
    sys.exit(worst > LIMIT_S)


def measure(size: int, kind: str) -> tuple[float, float, float, float]:
    """Seconds of the listing alone, and of the three ticks."""
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name, BUCKETS[kind](Path(name) / "bucket", size) as url:
        settings = Settings(home=Path(name) / "home", uploads_url=url, dagster_database_url=None)  # the one before left its own
        storage = storage_of(settings)
        try:
            with dagster_home.open_instance(settings) as instance:
                storage.db.execute("SELECT 1")
                daemon = Daemon(settings, instance)
                daemon.evaluate()  # imports, the pool
                listing, listed = timed(lambda: listed_at_last(settings))
                tick(daemon)
                time.sleep(settings.upload_settle_s)
                none_known, _ = tick(daemon)
                know(storage, listed, "completed")
                daemon.cursor = None
                all_known, requests = tick(daemon)
                assert requests == [], "everything is known"
                storage.db.execute("UPDATE videos SET status = 'pending'")
                assets.register_partitions(instance, storage.db)
                waiting, requests = tick(daemon)
                assert len(requests) == min(size, settings.upload_requests)
        finally:
            storage.close()
            embedded.stop(settings)
    print(f"{size:8}  {listing:8.3f}  {none_known:10.3f}  {all_known:9.3f}  {waiting:11.3f}", flush=True)
    return listing, none_known, all_known, waiting


def listed_at_last(settings: Settings) -> list[Entry]:
    """The bucket, however long it takes; a walk that a tick left behind is waited for and not used."""
    while True:
        try:
            return list_bucket(Bucket.open(settings), 600)
        except BucketUnavailable:
            time.sleep(0.5)


def tick(daemon: Daemon) -> tuple[float, list[dg.RunRequest]]:
    """Requests of the first tick that has a listing; seconds of the slowest until then."""
    slowest = 0.0
    for without in itertools.count():
        said = len(daemon.skipped)
        seconds, requests = timed(daemon.tick)
        slowest = max(slowest, seconds)
        if not any("[bucket_unavailable]" in text for text in daemon.skipped[said:]):
            if without:
                print(f"{without} ticks had no listing yet", flush=True)
            return slowest, requests
        time.sleep(EVERY_S)
    raise AssertionError("unreachable")


@contextmanager
def folder(path: Path, size: int) -> Iterator[str]:
    """The bucket as a folder."""
    fill(path, size)
    yield str(path)


@contextmanager
def moto(path: Path, size: int) -> Iterator[str]:
    """The bucket on moto's server."""
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patched, pointing_at(f"http://{host}:{port}", patched):
        import s3fs

        name = f"bench-{size}"
        s3fs.S3FileSystem().mkdir(name)
        for number in range(size):  # by the protocol this would take minutes
            s3_backends["123456789012"]["aws"].put_object(name, key(number), b"")
        yield f"s3://{name}"
    server.stop()


@contextmanager
def pages(path: Path, size: int) -> Iterator[str]:
    """The bucket on a server that only knows how to list it."""
    page = 1000
    bodies = ["".join(OBJECT.format(key=key(number)) for number in range(at, min(at + page, size))) for at in range(0, size, page)]

    def answer(asked: str) -> tuple[int, str]:
        at = int(parse_qs(urlsplit(asked).query).get("continuation-token", ["0"])[0])
        more = f"<NextContinuationToken>{at + 1}</NextContinuationToken>" if at + 1 < len(bodies) else ""
        return 200, LISTING.format(more=str(bool(more)).lower(), token=more, objects=bodies[at])

    with failing_s3(answer) as address, pytest.MonkeyPatch.context() as patched, pointing_at(address, patched):
        yield "s3://bench"


BUCKETS: Final = {"folder": folder, "moto": moto, "pages": pages}


def key(number: int) -> str:
    """Keys of a bucket, a thousand to a folder."""
    return f"{number // 1000:03}/{number:06}.mp4"


def fill(folder: Path, size: int) -> None:
    """So many small files, a thousand in a folder, written an hour ago."""
    hour_ago = time.time() - 3600
    folder.mkdir()
    for number in range(size):
        path = folder / key(number)
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (hour_ago, hour_ago))


def know(storage: Storage, entries: list[Entry], status: str) -> None:
    """An upload and a video for each file, as if all had been taken in."""
    url, videos = embedded.database_url(storage.settings), []
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


def timed(act: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    outcome = act()
    return time.perf_counter() - start, outcome


if __name__ == "__main__":
    main()
