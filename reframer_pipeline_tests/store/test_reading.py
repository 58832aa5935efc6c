"""Reading: a store that goes away in the middle of an object is away, and the object is not to blame."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reframer_pipeline.failures import DiskFull, ObjectMissing, StoreUnavailable
from reframer_pipeline.media.frame_store import FrameStore, FrameStoreWriter
from reframer_pipeline.results import parquet
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.store.reading import Reading
from reframer_pipeline_tests.machine import FAILING_FILE, small_disk
from reframer_pipeline_tests.media.test_frame_store import picture
from reframer_pipeline_tests.s3 import pointing_at


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """An S3 server of its own, with one bucket, to be stopped by the test."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pointing_at(f"http://{host}:{port}", monkeypatch):
        import s3fs

        s3fs.S3FileSystem().mkdir("mortal")
        yield server
    server.stop()


def large_parquet(folder: Path) -> Path:
    path = folder / "rows.parquet"
    groups = [pa.table({"noise": [os.urandom(1000) for _ in range(7000)]}) for _ in range(3)]
    with pq.ParquetWriter(path, groups[0].schema, compression="none") as writer:
        for group in groups:
            writer.write_table(group)
    return path


def test_s3_that_stops_after_an_object_was_opened(mortal: object, tmp_path: Path) -> None:
    store = ObjectStore("s3://mortal")
    store.put(large_parquet(tmp_path), "rows")
    with FrameStoreWriter(tmp_path / "frames", max_bytes=10**7) as writer:
        writer.add(0, picture(0))
    store.put(tmp_path / "frames", "frames")
    store.put_bytes(bytes(60_000_000), "long")
    rows, frames, long = (store.open_object(key) for key in ("rows", "frames", "long"))
    assert long.read(10) == bytes(10)
    mortal.stop()  # type: ignore[attr-defined]
    long.seek(59_000_000)  # beyond what s3fs has read ahead
    acts = (
        lambda: long.read(10),
        lambda: list(parquet.read_batches(rows)),
        lambda: FrameStore(frames),
        lambda: store.get("rows", tmp_path / "got"),
    )
    for act in acts:
        with pytest.raises(StoreUnavailable):
            act()


@pytest.fixture
def failing(tmp_path: Path) -> ObjectStore:
    """A local store with an object on a disk that cannot be read: a real input/output error."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "object").symlink_to(FAILING_FILE)
    return ObjectStore(str(tmp_path / "store"))


def test_a_disk_that_fails_under_a_local_store(failing: ObjectStore) -> None:
    with failing.open_object("object") as file:
        for act in (lambda: file.read(10), lambda: file.read(), lambda: file.readinto(bytearray(3)), lambda: list(file)):
            with pytest.raises(StoreUnavailable, match="Input/output error"):
                act()
        for reader in (parquet.read_footer, lambda file: list(parquet.read_batches(file)), FrameStore):
            with pytest.raises(StoreUnavailable), failing.open_object("object") as opened:
                reader(opened)


def test_a_damaged_object_is_damaged(tmp_path: Path) -> None:
    """Arrow calls that an OSError at some places."""
    whole = large_parquet(tmp_path).read_bytes()
    store = ObjectStore(str(tmp_path / "store"))
    for at in (100, 7_000_000, len(whole) - 200):
        store.put_bytes(whole[:at] + b"\xff" * 100 + whole[at + 100 :], "rows")
        try:
            list(parquet.read_batches(store.open_object("rows")))
        except ObjectMissing:
            continue
        assert at < 8_000_000  # noise is noise
    with store.open_object("rows") as file:
        assert parquet.read_footer(file) is None


def test_it_is_closed_once_and_with_what_it_reads(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"0123456789")
    file = ObjectStore(str(tmp_path)).open_object("object")
    assert isinstance(file, Reading) and file.seekable() and file.readable() and not file.writable()
    assert file.seek(-2, 2) == file.tell() == 8 and file.read(None) == b"89"
    file.close()
    file.close()
    with pytest.raises(ValueError):
        file.read()


def test_no_room_for_an_object(tmp_path: Path) -> None:
    """It is our disk that is full, not the store that is away: for a copy out of any store, and in one that is a folder."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(200_000))
    store = ObjectStore(f"memory://{tmp_path.name}")
    store.put(source, "object")
    with small_disk(tmp_path / "disk") as disk:
        with pytest.raises(DiskFull, match="No space left"):
            store.get("object", disk / "copy")
        (disk / "copy").unlink()
        with pytest.raises(DiskFull, match="No space left"):
            ObjectStore(str(disk)).put(source, "a/b")


def test_a_copy_that_ends_early_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(f"memory://{tmp_path.name}")
    store.put_bytes(b"0123456789", "object")
    monkeypatch.setattr(type(store._fs), "get_file", lambda self, path, target, **_: Path(target).write_bytes(b"01234"))
    with pytest.raises(StoreUnavailable, match="broke off"):
        store.get("object", tmp_path / "copy")
