"""Objects and whole results on an S3 server."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline.failures import ObjectMissing, StoreUnavailable
from reframer_pipeline.results.rebuild import rebuild
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.retention import orphans
from reframer_pipeline.retention.sweep import sweep
from reframer_pipeline.settings import Settings
from reframer_pipeline.store import filesystem, objects
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline_tests.agreement import assert_database_holds_parquet
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.s3 import pointing_at, s3_bucket, s3_server
from reframer_pipeline_tests.servers import Server, fresh_database

pytestmark = pytest.mark.slow

__all__ = ["s3_bucket", "s3_server"]


@pytest.mark.parametrize("prefix", ["", "/a/prefix"])
def test_objects(s3_bucket: str, prefix: str, tmp_path: Path) -> None:
    store = ObjectStore(s3_bucket + prefix)
    assert store.root is None and list(store.list("videos")) == []
    (tmp_path / "source").write_bytes(b"0123456789" * 700_000)  # over one part
    assert store.put(tmp_path / "source", "videos/ab/c d") == 7_000_000
    store.put_bytes(b"small", "videos/small")
    store.put_bytes(b"beside", "videos2/x")
    assert store.exists("videos/ab/c d") and not store.exists("videos/ab") and not store.exists("videos/none")
    assert list(store.list("videos")) == ["videos/ab/c d", "videos/small"]
    store.get("videos/ab/c d", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == (tmp_path / "source").read_bytes()
    with store.open_object("videos/ab/c d") as file:
        file.seek(6_999_995)
        assert file.read() == b"56789"
    store.delete("videos/small")
    store.delete("videos/small")  # no error
    assert list(store.list("videos")) == ["videos/ab/c d"] and not store.exists("videos/small")
    for act in (lambda: store.open_object("videos/none"), lambda: store.get("videos/none", tmp_path / "x")):
        with pytest.raises(ObjectMissing):
            act()
    assert store.local_path("videos/ab/c d") is None


@pytest.mark.parametrize("prefix", ["", "/a/prefix"])
def test_an_inventory_never_holds_the_whole_store(s3_bucket: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, held = ObjectStore(s3_bucket + prefix), []
    keys = sorted(f"results/{digit}{number}/masks/x" for digit in "0123456789abcdef" for number in range(2))
    for key in [*keys, "results2/0", "videos/0"]:
        store.put_bytes(b"x", key)

    def noted(*arguments: Any) -> Iterator[Any]:
        held.append(list(filesystem.find_all(*arguments)))
        yield from held[-1]

    monkeypatch.setattr(objects, "find_all", noted)
    found = list(store.inventory("results"))
    assert sorted(one.key for one in found) == keys and all(one.modified is not None and one.bytes == 1 for one in found)
    assert max(len(part) for part in held) == 2
    assert list(store.inventory("none")) == []


def test_a_bucket_that_does_not_exist(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    with pointing_at(s3_server, monkeypatch):
        store = ObjectStore("s3://there-is-none/prefix")
        with pytest.raises(StoreUnavailable):
            store.put(tmp_path / "source", "videos/x")
        with pytest.raises(StoreUnavailable):
            store.put_bytes(b"x", "videos/x")


def test_a_server_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pointing_at("http://127.0.0.1:9", monkeypatch):
        store = ObjectStore("s3://bucket")
        for act in (lambda: store.exists("x"), lambda: list(store.list("videos")), lambda: store.put_bytes(b"", "x")):
            with pytest.raises(StoreUnavailable):
                act()


def test_whole_results(s3_bucket: str, tmp_path: Path, embedded_server: Server) -> None:
    urls = [fresh_database(embedded_server) for _ in range(2)]
    first, second = (Settings(home=tmp_path / "home", database_url=next(url), store_url=f"{s3_bucket}/results") for url in urls)
    with open_storage(first) as storage:
        video_id, sha = add_video(storage)
        commit_all(storage, video_id, Maker(sha, first))
        compared = assert_database_holds_parquet(storage, video_id)
        assert compared["detections"] > 5
    with open_storage(second) as storage:  # a new database over the same store
        rebuild(storage.db, storage.store)
        assert assert_database_holds_parquet(storage, video_id) == compared
    for url in urls:
        next(url, None)


KILLED = """
import os, signal, sys
from pathlib import Path
from reframer_pipeline.store.objects import ObjectStore
called = []
def alive():
    called.append(1)
    if len(called) == 2:  # the size is known, and a part is there
        os.kill(os.getpid(), signal.SIGKILL)
ObjectStore(sys.argv[1]).put(Path(sys.argv[2]), sys.argv[3], alive)
"""


def test_the_parts_of_a_put_that_was_killed_are_swept(s3_bucket: str, tmp_path: Path, embedded_server: Server) -> None:
    """No listing shows them, and they are paid for."""
    (tmp_path / "large").write_bytes(bytes(3 * objects.PART_BYTES))
    for url in fresh_database(embedded_server):
        with open_storage(Settings(home=tmp_path / "home", database_url=url, store_url=f"{s3_bucket}/prefix")) as storage:
            store = storage.store
            keys = [f"results/{uuid.uuid4()}/masks/{uuid.uuid4()}.0123456789ab.parquet", f"videos/ab/ab{62 * '0'}", "videos/theirs"]
            for key in keys:
                command = [sys.executable, "-c", KILLED, f"{s3_bucket}/prefix", str(tmp_path / "large"), key]
                assert subprocess.run(command).returncode == -signal.SIGKILL
            assert unfinished(s3_bucket) == {f"prefix/{key}" for key in keys} and list(store.list("videos")) == []
            storage.db.execute("UPDATE deployment SET created_at = '2001-01-01'")  # moto gives all such uploads one date, in 2010
            swept = sweep(storage.db, store, 7)
            assert swept.orphans == 2 and unfinished(s3_bucket) == {"prefix/videos/theirs"}
            for one in orphans.find(storage.db, store):
                pytest.fail(one.key)


def test_who_may_not_list_uploads_in_parts_still_has_an_inventory(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, call = ObjectStore(s3_bucket), s3fs_call()

    def refused(self: object, method: str, *arguments: Any, **options: Any) -> Any:
        if method == "list_multipart_uploads":
            raise PermissionError("Access Denied")
        return call(self, method, *arguments, **options)

    store.put_bytes(b"x", "videos/0")
    monkeypatch.setattr(type(store._fs), "call_s3", refused)
    assert [one.key for one in store.inventory("videos")] == ["videos/0"]


def s3fs_call() -> Any:
    import s3fs

    return s3fs.S3FileSystem.call_s3


def unfinished(bucket: str) -> set[str]:
    import s3fs

    return {one["Key"] for one in s3fs.S3FileSystem().list_multipart_uploads(bucket.removeprefix("s3://"))}
