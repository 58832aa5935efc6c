"""Ingest: every upload leaves its row, equal bytes are one video, refused files leave nothing else."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from reframer_pipeline.failures import DamagedVideo, DiskFull, HomeNotWritable, MachineTrouble, ObjectMissing, StoreUnavailable
from reframer_pipeline.reading.videos import show_video
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import video_key
from reframer_pipeline.uploads import content, ingest
from reframer_pipeline.uploads.ingest import ingest_file, local_copy
from reframer_pipeline.versions import video_id_of
from reframer_pipeline.work.videos import lock_file
from reframer_pipeline_tests.factories import Maker, commit_all, video_bytes
from reframer_pipeline_tests.machine import FAILING_FILE
from reframer_pipeline_tests.servers import Server, fresh_database


def test_equal_bytes_are_one_video_with_two_uploads(storage: Storage, tmp_path: Path) -> None:
    first, second = tmp_path / "a.mp4", tmp_path / "b, 'quoted'.MOV"
    first.write_bytes(video_bytes())
    second.write_bytes(video_bytes())
    one = ingest_file(first, storage.db, storage.store, storage.settings, user_email="a@example.org")
    two = ingest_file(second, storage.db, storage.store, storage.settings, user_email="b@example.org")
    assert one.failure is two.failure is None and (one.already_known, two.already_known) == (False, True)
    sha256 = hashlib.sha256(video_bytes()).hexdigest()
    assert one.video_id == two.video_id == video_id_of(sha256)
    uploads = storage.db.fetch("SELECT filename, status, etag FROM uploads ORDER BY created_at")
    assert [(u["filename"], u["status"], u["etag"]) for u in uploads] == [(p.name, "completed", sha256) for p in (first, second)]
    video = show_video(storage.db, one.video_id)["video"]
    assert (video["filename"], video["email"], video["status"]) == ("a.mp4", "a@example.org", "pending")
    assert video["size_bytes"] == len(video_bytes())

    first.write_bytes(b"overwritten in place")
    with local_copy(sha256, storage.store, storage.settings.scratch_dir) as path:
        assert path.read_bytes() == video_bytes()
    assert list(storage.store.list("videos")) == [video_key(sha256)]
    assert list(storage.settings.scratch_dir.iterdir()) == []


def test_refused_files_leave_only_an_upload(storage: Storage, tmp_path: Path) -> None:
    text, empty, large = tmp_path / "notes.mp4", tmp_path / "empty.mp4", tmp_path / "large.mp4"
    text.write_text("These are notes.")
    empty.touch()
    with large.open("wb") as file:
        file.write(video_bytes())
        file.truncate(2_000_000)
    odd = tmp_path / os.fsdecode(b"\xff\xfe.mp4")
    odd.write_text("not a video, and its name is not UTF-8")
    settings = storage.settings.model_copy(update={"max_upload_mb": 1})
    paths = [text, empty, large, odd, tmp_path / "missing.mp4", tmp_path]
    results = [ingest_file(path, storage.db, storage.store, settings) for path in paths]
    codes = [result.failure.code for result in results if result.failure]
    assert codes == ["not_a_video", "not_a_video", "file_too_large", "not_a_video", "file_not_readable", "file_not_readable"]
    assert all(result.video_id is None for result in results)
    uploads = storage.db.fetch("SELECT status, failure_code, failure_message, filename FROM uploads ORDER BY created_at")
    assert [row["failure_code"] for row in uploads] == codes and {row["status"] for row in uploads} == {"failed"}
    assert all(row["failure_message"] for row in uploads) and uploads[3]["filename"] == "\ufffd\ufffd.mp4"
    assert storage.db.fetch("SELECT * FROM videos") == [] and list(storage.store.list("videos")) == []
    assert list(storage.settings.scratch_dir.iterdir()) == []


def test_a_full_disk_or_closed_home_is_no_fault_of_the_upload(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = tmp_path / "a.mp4"
    upload.write_bytes(video_bytes())

    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, pytest.raises(DiskFull, match="No space left"):
        patched.setattr(ingest, "sha256_copy", full)
        ingest_file(upload, storage.db, storage.store, storage.settings)
    storage.settings.scratch_dir.rmdir()
    storage.settings.scratch_dir.touch()  # root may write anywhere but here
    with pytest.raises(HomeNotWritable, match="scratch"):
        ingest_file(upload, storage.db, storage.store, storage.settings)
    rows = storage.db.fetch("SELECT failure_code, video_id FROM uploads ORDER BY created_at")
    assert rows == [{"failure_code": "disk_full", "video_id": None}, {"failure_code": "home_not_writable", "video_id": None}]


@pytest.mark.parametrize("where", ["checks", "copy"])
def test_a_source_that_cannot_be_read_to_its_end_is_not_blamed_on_the_home(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    upload = tmp_path / "bad sector.mp4"
    upload.write_bytes(video_bytes())
    opened = os.fdopen

    class Broken:
        """A file whose reads fail, as the kernel's `duplex` of a loopback device or a bad disk."""

        def __init__(self, file: BinaryIO) -> None:
            self._file = file

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()

        def fileno(self) -> int:
            return self._file.fileno()

        def read(self, size: int) -> bytes:
            if where == "checks" or size > 1 << 20:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return self._file.read(size)

    monkeypatch.setattr(content, "_reflink", lambda source, target: False)
    monkeypatch.setattr(content.os, "fdopen", lambda fd, *mode: Broken(opened(fd, *mode)))
    with pytest.raises(MachineTrouble, match=r"bad sector.mp4 cannot be read: Input/output error"):
        ingest_file(upload, storage.db, storage.store, storage.settings)
    assert storage.db.fetch("SELECT failure_code FROM uploads") == [{"failure_code": "machine_trouble"}]
    assert list(storage.settings.scratch_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("trouble", "told"),
    [("", DamagedVideo), ("bad disk", StoreUnavailable), ("unmounted", StoreUnavailable), ("gone", ObjectMissing), ("cut", ObjectMissing)],
)
@pytest.mark.parametrize("remote", [False, True])
def test_a_video_is_blamed_only_if_it_is_what_was_uploaded(
    storage: Storage, tmp_path: Path, trouble: str, told: type[Exception], remote: bool
) -> None:
    """ffmpeg is given a path, and says of a file that it cannot read what it says of one that is damaged."""
    upload = tmp_path / "a.mp4"
    upload.write_bytes(video_bytes())
    settings = storage.settings.model_copy(update={"store_url": f"memory://{tmp_path.name}"} if remote else {})
    sha256 = hashlib.sha256(video_bytes()).hexdigest()
    with open_storage(settings) as there:
        assert ingest_file(upload, there.db, there.store, settings).failure is None
        with pytest.raises(DamagedVideo if remote and trouble != "cut" else told), local_copy(sha256, there.store, tmp_path) as path:
            if trouble in ("bad disk", "gone") and not remote:
                path.unlink()
            if trouble == "bad disk" and not remote:
                path.symlink_to(FAILING_FILE)
            if trouble == "unmounted" and there.store.root is not None:
                there.store.root.rename(tmp_path / "away")
            if trouble == "cut":
                path.write_bytes(video_bytes()[:-1])
            raise DamagedVideo("It cannot be read to its end.")


@pytest.mark.parametrize(
    ("store", "folders", "files"), [("new/home/objects", 0o700, 0o600), ("new/home/mine", 0o700, 0o600), ("shared", 0o775, 0o664)]
)
def test_nobody_else_gets_at_what_the_data_folder_keeps_and_a_shared_store_is_shared(
    tmp_path: Path, embedded_server: Server, monkeypatch: pytest.MonkeyPatch, store: str, folders: int, files: int
) -> None:
    home, upload, root = tmp_path / "new" / "home", tmp_path / "a.mp4", tmp_path / store
    before = os.umask(0o002)
    try:
        for url in fresh_database(embedded_server):
            with open_storage(Settings(home=home, database_url=url, store_url=str(root))) as storage:
                for seed in range(2):
                    upload.write_bytes(video_bytes(seed))
                    upload.chmod(0o640)
                    taken = ingest_file(upload, storage.db, storage.store, storage.settings)
                    assert taken.failure is None and taken.video_id is not None
                    commit_all(storage, taken.video_id, Maker(hashlib.sha256(video_bytes(seed)).hexdigest(), storage.settings))
                    monkeypatch.setattr(os, "link", _another_disk)  # what is of the second is copied into the store
    finally:
        os.umask(before)
    made = [home.parent, home, *(one for one in home.iterdir() if one.is_dir())]
    assert len(made) > 2 and {one: mode(one) for one in made} == dict.fromkeys(made, 0o700)
    kept = [one for name in ("videos", "results") for one in (root / name).rglob("*") if one.is_file()]
    assert mode(root) == folders and len(kept) == 2 * (1 + 6 + 1) and {one: mode(one) for one in kept} == dict.fromkeys(kept, files)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _another_disk(*_: object) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


@pytest.mark.parametrize("known", [False, True])
def test_a_second_put_that_fails_leaves_no_video_without_its_file(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """A sweep took the file for an orphan just before the row, and then the store went away."""
    upload = tmp_path / "a.mp4"
    upload.write_bytes(video_bytes())
    key, put = video_key(hashlib.sha256(video_bytes()).hexdigest()), storage.store.put
    if known:
        assert ingest_file(upload, storage.db, storage.store, storage.settings).failure is None

    def swept(*arguments: Any) -> bool:
        storage.store.delete(key)
        monkeypatch.setattr(storage.store, "put", _away)
        return lock_file(*arguments)

    monkeypatch.setattr(ingest, "lock_file", swept)
    before = storage.db.fetch("SELECT id FROM uploads")
    with pytest.raises(StoreUnavailable):
        ingest_file(upload, storage.db, storage.store, storage.settings, bucket_key="a.mp4", etag="1")
    assert storage.db.fetch("SELECT id FROM uploads") == before and len(storage.db.fetch("SELECT 1 FROM videos")) == known
    monkeypatch.setattr(ingest, "lock_file", lock_file)
    monkeypatch.setattr(storage.store, "put", put)
    assert ingest_file(upload, storage.db, storage.store, storage.settings, bucket_key="a.mp4", etag="1").failure is None
    assert storage.store.exists(key)


def test_a_store_that_hangs_keeps_no_row_from_others(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again within the transaction; the same uploader's next file has to get in meanwhile."""
    first, second = tmp_path / "a.mp4", tmp_path / "b.mp4"
    first.write_bytes(video_bytes())
    second.write_bytes(video_bytes(1))
    exists, asked = storage.store.exists, list[str]()

    def hangs(key: str) -> bool:
        asked.append(key)
        if len(asked) == 2:
            add = "INSERT INTO users (email) VALUES ('local@localhost') ON CONFLICT (email) DO UPDATE SET email = EXCLUDED.email"
            storage.db.execute(add, within_s=10)
        return exists(key)

    monkeypatch.setattr(storage.store, "exists", hangs)
    assert ingest_file(first, storage.db, storage.store, storage.settings).failure is None
    assert len(asked) == 2 and ingest_file(second, storage.db, storage.store, storage.settings).failure is None


def _away(*_: object) -> None:
    raise StoreUnavailable("The object store cannot be used.")
