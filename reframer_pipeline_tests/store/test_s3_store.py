"""Objects and whole results on an S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline.failures import ObjectMissing, StoreUnavailable
from reframer_pipeline.results.rebuild import rebuild
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.store import filesystem, objects
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline_tests.agreement import assert_database_holds_parquet
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.s3 import pointing_at, s3_bucket, s3_server
from reframer_pipeline_tests.servers import Server, fresh_database

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
