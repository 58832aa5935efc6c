"""Putting large objects: slow is not standing still."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from reframer_pipeline.storage import objects
from reframer_pipeline.storage.objects import ObjectStore


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
