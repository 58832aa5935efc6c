"""Putting large objects: slow is not standing still."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from reframer_pipeline.failures import (
    InternalError,
    ObjectMissing,
    SettingsInvalid,
    StoreUnavailable,
)
from reframer_pipeline.store import folder, objects
from reframer_pipeline.store.objects import ObjectStore


class InParts(MemoryFileSystem):  # type: ignore[misc]
    """Uploads as cloud stores do: all at once, unless asked for parts that are smaller than the file."""

    protocol = "inparts"

    def put_file(self, lpath: str, rpath: str, callback: Any = None, chunksize: int = 50 * 2**20, **kwargs: Any) -> None:
        content = Path(lpath).read_bytes()
        self.pipe_file(rpath, content)
        for _ in range(-(-len(content) // chunksize)):
            callback.relative_update(chunksize)


fsspec.register_implementation("inparts", InParts, clobber=True)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(3 * objects.PART_BYTES + 1))
    return path


def test_empty_folders_go_with_what_was_in_them(tmp_path: Path) -> None:
    store, source = ObjectStore(str(tmp_path / "store")), tmp_path / "source"
    source.write_bytes(b"x")
    for key in ("results/a/masks/1", "results/a/frames/1", "results/b/masks/1"):
        store.put(source, key)

    def folders() -> set[str]:
        return {path.relative_to(tmp_path / "store").as_posix() for path in (tmp_path / "store").rglob("*") if path.is_dir()}

    store.delete("results/a/masks/1")
    assert folders() == {"results", "results/a", "results/a/frames", "results/b", "results/b/masks"}
    for key in ("results/a/frames/1", "results/b/masks/1"):
        store.delete(key)
        store.delete(key)  # there is none any more
    assert folders() == {"results"}


def test_who_writes_while_folders_go_loses_nothing(tmp_path: Path) -> None:
    store, source, done = ObjectStore(str(tmp_path / "store")), tmp_path / "source", threading.Event()
    source.write_bytes(b"x")

    def remove() -> None:
        while not done.is_set():
            folder.prune(tmp_path / "store/results/a/masks", tmp_path / "store")
            time.sleep(0.0005)  # without it, who writes may lose a hundred times in a row: both want the one interpreter

    removing = threading.Thread(target=remove)
    removing.start()
    try:
        for number in range(50):
            store.put(source, f"results/a/masks/{number}")
            assert store.exists(f"results/a/masks/{number}")
            store.delete(f"results/a/masks/{number}")
    finally:
        done.set()
        removing.join()


@pytest.mark.parametrize("scheme", ["memory", "inparts"])
def test_a_put_says_that_it_gets_on(scheme: str, large: Path) -> None:
    store, fed = ObjectStore(f"{scheme}://bucket/prefix"), list[int]()
    store.put(large, "results/large", lambda: fed.append(1))
    assert len(fed) >= 4
    with store.open_object("results/large") as file:
        assert file.read() == large.read_bytes()


def test_a_put_across_file_systems_says_that_it_gets_on(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(*args: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", another)
    store, fed = ObjectStore(str(tmp_path / "store")), list[int]()
    assert store.put(large, "large", lambda: fed.append(1)) == large.stat().st_size
    assert len(fed) == 4
    assert (tmp_path / "store" / "large").read_bytes() == large.read_bytes()


@pytest.mark.parametrize("url", ["{tmp}/store", "file://{tmp}/store", "memory://{name}"])
def test_objects_come_back(url: str, tmp_path: Path) -> None:
    store = ObjectStore(url.format(tmp=tmp_path, name=tmp_path.name))
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    assert store.put(source, "a/b.bin") == 10
    store.put_bytes(b"x", "a/c")
    assert list(store.list("a")) == ["a/b.bin", "a/c"] and list(store.list("nothing")) == []
    with store.open_object("a/b.bin") as file:
        file.seek(3)
        assert file.read(2) == b"34"
    store.get("a/b.bin", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"0123456789"
    assert store.exists("a/b.bin")
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    assert not store.exists("a/b.bin")
    with pytest.raises(ObjectMissing):
        store.open_object("a/b.bin")
    for key in ("../x", "/etc/passwd", "", "a/../../b"):
        with pytest.raises(InternalError):
            store.put_bytes(b"", key)


def test_a_failed_put_leaves_no_object(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path / "store"))
    with pytest.raises(StoreUnavailable):
        store.put(tmp_path / "not there", "a/b")
    (tmp_path / "store" / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        store.put_bytes(b"x", "file/below")
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["file"]
    with pytest.raises(SettingsInvalid):
        ObjectStore("nosuch://bucket")
