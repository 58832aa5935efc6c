"""From one version of a file in the bucket to its row, and what the database then knows."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from reframer_pipeline.failures import FileNotReadable, IngestAbandoned, StoreUnavailable, UploadChanged
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.store.objects import video_key
from reframer_pipeline.uploads import content, ingest
from reframer_pipeline.uploads.bucket import Bucket, Entry
from reframer_pipeline.uploads.ingest import IngestResult, ingest_file, refuse_upload, take_in
from reframer_pipeline.uploads.known import known_uploads, waiting_videos
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline_tests.factories import begin, start_job, video_bytes
from reframer_pipeline_tests.s3 import s3_bucket, s3_server

__all__ = ["s3_bucket", "s3_server"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bucket"
    made.mkdir()
    return made


def take(storage: Storage, bucket: Bucket, key: str) -> IngestResult:
    (one,) = [one for one in list_bucket(bucket, 20) if one.key == key]
    return take_in(bucket, key, one.etag, storage.db, storage.store, storage.settings)


def rows(storage: Storage) -> list[tuple[str, ...]]:
    found = storage.db.fetch("SELECT bucket_key, filename, status, failure_code FROM uploads ORDER BY created_at")
    return [tuple(row.values()) for row in found]


@pytest.mark.parametrize("remote", [False, True])
def test_once_whatever_happens(remote: bool, storage: Storage, folder: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("s3_bucket") if remote else str(folder)
    fs, bucket = fsspec.core.url_to_fs(url)[0], Bucket(url)
    fs.pipe_file(f"{url}/in/a.mp4", video_bytes()) if remote else _write(folder / "in" / "a.mp4", video_bytes())
    fs.pipe_file(f"{url}/b.mp4", video_bytes()) if remote else _write(folder / "b.mp4", video_bytes())
    first, again, other = (take(storage, bucket, key) for key in ("in/a.mp4", "in/a.mp4", "b.mp4"))
    assert first.video_id == again.video_id == other.video_id is not None
    assert first.upload_id == again.upload_id != other.upload_id
    assert (first.already_known, other.already_known) == (False, True)
    # the film keeps the name that it has; the key says which file this was
    assert rows(storage) == [("in/a.mp4", "a.mp4", "completed", None), ("b.mp4", "a.mp4", "completed", None)]
    assert list(storage.settings.scratch_dir.iterdir()) == []

    listing = list_bucket(bucket, 20)
    assert known_uploads(storage.db, [*listing, Entry("b.mp4", 1, None, "other")]) == {(one.key, one.etag) for one in listing}
    (waiting,) = waiting_videos(storage.db)
    assert (waiting.video_id, waiting.filename) == (first.video_id, "a.mp4")


def test_a_refusal_is_noted_once_and_can_be_taken_back(storage: Storage, folder: Path) -> None:
    (folder / "notes.mp4").write_text("These are notes.")
    (folder / "large.mp4").write_bytes(video_bytes() + bytes(2_000_000))
    bucket, strict = Bucket(str(folder)), storage.settings.model_copy(update={"max_upload_mb": 1})
    for _ in range(2):
        for one in list_bucket(bucket, 20):
            result = take_in(bucket, one.key, one.etag, storage.db, storage.store, strict)
            assert result.failure is not None and result.video_id is None
    assert sorted(rows(storage)) == [
        ("large.mp4", "large.mp4", "failed", "file_too_large"),
        ("notes.mp4", "notes.mp4", "failed", "not_a_video"),
    ]
    assert len(known_uploads(storage.db, list_bucket(bucket, 20))) == 2  # never asked for again by the sensor
    assert take(storage, bucket, "large.mp4").failure is None  # but an operator may, with a higher limit
    assert ("large.mp4", "large.mp4", "completed", None) in rows(storage) and len(rows(storage)) == 2


def test_another_version_is_not_taken_for_the_one_asked_for(storage: Storage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, bucket = folder / "a.mp4", Bucket(str(folder))
    path.write_bytes(video_bytes())
    (one,) = list_bucket(bucket, 20)
    copy = ingest.sha256_copy

    def replaced_meanwhile(source: Path, target: Path, **limits: Any) -> tuple[str, int]:
        (folder / "new").write_bytes(video_bytes(1))
        (folder / "new").replace(path)
        return copy(source, target, **limits)

    with monkeypatch.context() as patched, pytest.raises(UploadChanged):
        patched.setattr(ingest, "sha256_copy", replaced_meanwhile)
        take_in(bucket, one.key, one.etag, storage.db, storage.store, storage.settings)
    with pytest.raises(UploadChanged):
        take_in(bucket, one.key, one.etag, storage.db, storage.store, storage.settings)
    path.unlink()
    with pytest.raises(UploadChanged):
        take_in(bucket, one.key, one.etag, storage.db, storage.store, storage.settings)
    assert rows(storage) == [] and list(storage.store.list("videos")) == []


def test_trouble_of_our_own_leaves_no_row(storage: Storage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.mp4").write_bytes(video_bytes())
    with monkeypatch.context() as patched, pytest.raises(StoreUnavailable):
        patched.setattr(type(storage.store), "put", _unavailable)
        take(storage, Bucket(str(folder)), "a.mp4")
    assert rows(storage) == []
    assert take(storage, Bucket(str(folder)), "a.mp4").failure is None


def test_a_file_that_may_not_be_read_is_tried_again(storage: Storage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mending its rights leaves size and time, and so its tag, as they are: a refusal would be for ever."""
    (folder / "a.mp4").write_bytes(video_bytes())

    def refused(path: Path, *_: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patched, pytest.raises(FileNotReadable):
        patched.setattr(content.os, "open", refused)
        take(storage, Bucket(str(folder)), "a.mp4")
    assert rows(storage) == []
    assert take(storage, Bucket(str(folder)), "a.mp4").failure is None


def test_two_runs_of_one_upload_do_not_share_a_copy(storage: Storage, folder: Path) -> None:
    """As when a person launches a run again that the sensor asks for again, too."""
    (folder / "a.mp4").write_bytes(video_bytes())
    (one,) = list_bucket(Bucket(str(folder)), 20)

    def run(meanwhile: Callable[[], object]) -> IngestResult:
        path, shared = folder / one.key, (storage.db, storage.store, storage.settings)
        return ingest_file(path, *shared, bucket_key=one.key, etag=one.etag, confirm=meanwhile)

    def other_run_fails() -> None:
        with pytest.raises(UploadChanged):
            run(_changed)

    result = run(other_run_fails)
    assert result.failure is None and storage.store.exists(video_key(hashlib.sha256(video_bytes()).hexdigest()))


def test_names_that_are_no_text(storage: Storage, folder: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.mp4")
    (folder / name).write_bytes(video_bytes())
    bucket = Bucket(str(folder))
    assert take(storage, bucket, name).failure is None
    assert rows(storage) == [("\ufffd\ufffd.mp4", "\ufffd\ufffd.mp4", "completed", None)]
    assert len(known_uploads(storage.db, list_bucket(bucket, 20))) == 1


def test_names_as_long_as_file_systems_allow(storage: Storage, folder: Path) -> None:
    key = "/".join(uuid.uuid4().hex * 7 for _ in range(15)) + "/a.mp4"  # beyond what an index of Postgres takes
    (folder / key).parent.mkdir(parents=True)
    (folder / key).write_bytes(video_bytes())
    (one,) = list_bucket(Bucket(str(folder)), 20)
    refuse_upload(storage.db, IngestAbandoned("It was tried 6 times."), filename="a.mp4", bucket_key=one.key, etag=one.etag)
    assert take(storage, Bucket(str(folder)), key).failure is None
    assert rows(storage) == [(key, "a.mp4", "completed", None)] and len(key) > 3000


def test_which_videos_wait(storage: Storage, folder: Path) -> None:
    bucket = Bucket(str(folder))
    for seed in range(6):
        (folder / f"{seed}.mp4").write_bytes(video_bytes(seed))
    videos = [str(take(storage, bucket, f"{seed}.mp4").video_id) for seed in range(5)]
    ingest_file(folder / "5.mp4", storage.db, storage.store, storage.settings)  # by the command line, which runs it itself
    begin(storage.db, videos[0])
    start_job(storage.db, videos[1], "a run that has died since")
    first = waiting_videos(storage.db, limit=2)
    rest = waiting_videos(storage.db, after=first[-1].place)
    assert [one.video_id for one in [*first, *rest]] == videos[2:]
    assert waiting_videos(storage.db, after=rest[-1].place) == []


def _changed() -> None:
    raise UploadChanged("It was written to.")


def _unavailable(*_: object) -> None:
    raise StoreUnavailable("The object store cannot be used.")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
