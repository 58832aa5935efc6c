"""Listing and reading a bucket: a folder, an S3 server, and ones that fail."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from pathlib import Path

import fsspec
import pytest

from reframer_pipeline.failures import BucketUnavailable, FileNotReadable, SettingsInvalid, UploadChanged
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads import bucket as buckets
from reframer_pipeline.uploads import listing
from reframer_pipeline.uploads.bucket import Bucket, Entry
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline_tests.s3 import failing_s3, fill, pointing_at, s3_bucket, s3_server

__all__ = ["s3_bucket", "s3_server"]

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>no</Message></Error>'
FIRST_PAGE = """<?xml version="1.0"?><ListBucketResult><Name>b</Name><KeyCount>1</KeyCount><MaxKeys>1</MaxKeys>
<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken><Contents><Key>a.mp4</Key>
<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"x"</ETag><Size>1</Size></Contents></ListBucketResult>"""


def keys(bucket: Bucket) -> list[str]:
    return sorted(one.key for one in list_bucket(bucket, 10))


def test_a_folder(tmp_path: Path) -> None:
    for name in ("a.mp4", "sub/deep/b.mp4", ".hidden/c.mp4", os.fsdecode(b"\xff.mp4")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    bucket = Bucket(str(tmp_path))
    assert keys(bucket) == ["a.mp4", "sub/deep/b.mp4", "\udcff.mp4"]
    (first,) = [one for one in list_bucket(bucket, 10) if one.key == "a.mp4"]
    stat = (tmp_path / "a.mp4").stat()
    assert (first.size, first.mtime, first.etag) == (5, stat.st_mtime_ns / 1e9, f"5-{stat.st_mtime_ns}")
    assert bucket.expect("a.mp4", first.etag) == first
    with bucket.local_file(first, tmp_path / "scratch") as path:
        assert path == tmp_path / "a.mp4"
    for key in ("link.mp4", "none.mp4", "pipe.mp4", "../x", "/etc/passwd"):
        with pytest.raises(UploadChanged, match="no longer"):
            bucket.expect(key, "")
    (tmp_path / "a.mp4").write_bytes(b"54321")
    os.utime(tmp_path / "a.mp4", ns=(0, 7))
    with pytest.raises(UploadChanged, match="another file"):
        bucket.expect("a.mp4", first.etag)


def test_a_folder_that_fails_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BucketUnavailable, match="no such"):
        list_bucket(Bucket(str(tmp_path / "none")), 10)
    (tmp_path / "file").touch()
    with pytest.raises(BucketUnavailable):
        list_bucket(Bucket(str(tmp_path / "file")), 10)
    (tmp_path / "sub").mkdir()
    failing_folder(monkeypatch, "sub", OSError(errno.ESTALE, "Stale file handle"))  # a share that went away: its files are still there
    with pytest.raises(BucketUnavailable, match="Stale"):
        list_bucket(Bucket(str(tmp_path)), 10)
    failing_folder(monkeypatch, tmp_path.name, PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(BucketUnavailable, match="Permission denied"):
        list_bucket(Bucket(str(tmp_path)), 10)


def failing_folder(monkeypatch: pytest.MonkeyPatch, name: str, error: OSError) -> None:
    """Listing folders of this name fails; by their rights it would not for root."""
    scandir = os.scandir

    def failing(path: Path) -> object:
        if path.name == name:
            raise error
        return scandir(path)

    monkeypatch.setattr(listing.os, "scandir", failing)


def test_what_nobody_can_read_does_not_keep_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.mp4", "closed/b.mp4", "open/c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    failing_folder(monkeypatch, "closed", PermissionError(errno.EACCES, "Permission denied"))
    here, deep = os.open(".", os.O_RDONLY), "d" * 250
    os.chdir(tmp_path)
    try:
        for _ in range(20):  # deeper than a path may be long
            os.mkdir(deep)
            os.chdir(deep)
        Path("far.mp4").touch()
        found = list_bucket(Bucket(str(tmp_path)), 10)
    finally:
        os.fchdir(here)
        os.close(here)
        subprocess.run(["rm", "-rf", deep], cwd=tmp_path, check=True)  # Python's own way cannot
    assert sorted(one.key for one in found) == ["a.mp4", "open/c.mp4"]
    assert ["Permission denied" in one for one in found.unread].count(True) == 1 and "File name too long" in " ".join(found.unread)


class Slow:
    """Stands before the walk: the next one waits until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.over, self.begun = threading.Event(), 0
        walk = listing._local

        def slow(bucket: Bucket, root: Path) -> tuple[list[Entry], list[str]]:
            self.begun += 1
            self.over.wait(120)
            return walk(bucket, root)

        monkeypatch.setattr(listing, "_local", slow)

    def finish(self, bucket: Bucket) -> None:
        """Let the walk that is going on come to its end."""
        self.over.set()
        listing._walks[bucket.base].thread.join(120)


def test_a_listing_that_takes_too_long_serves_the_next_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").touch()
    bucket, slow, before = Bucket(str(tmp_path)), Slow(monkeypatch), time.time()
    with pytest.raises(BucketUnavailable, match=r"after 0\.2 seconds"):
        list_bucket(bucket, 0.2)
    with pytest.raises(BucketUnavailable, match="still being listed"):  # none is begun beside it
        list_bucket(bucket, 0.2)
    slow.finish(bucket)
    ended = time.time()
    (tmp_path / "b.mp4").touch()
    late = list_bucket(bucket, 10)
    assert [one.key for one in late] == ["a.mp4"] and before <= late.began <= ended and slow.begun == 1
    assert keys(bucket) == ["a.mp4", "b.mp4"] and slow.begun == 2  # each look is told once


def test_a_late_listing_is_news_for_a_while_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, slow = Bucket(str(tmp_path)), Slow(monkeypatch)
    with pytest.raises(BucketUnavailable, match="not listed yet"):
        list_bucket(bucket, 0.05)
    slow.finish(bucket)
    (tmp_path / "a.mp4").touch()
    listing._walks[bucket.base].ended -= listing.YOUNG_S  # as if the daemon had stood still
    assert keys(bucket) == ["a.mp4"] and slow.begun == 2


def test_a_late_failure_is_no_listing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bucket"
    folder.mkdir()
    bucket, slow = Bucket(str(folder)), Slow(monkeypatch)
    with pytest.raises(BucketUnavailable, match="not listed yet"):
        list_bucket(bucket, 0.05)
    folder.rename(tmp_path / "away")
    slow.finish(bucket)
    with pytest.raises(BucketUnavailable, match="no such"):
        list_bucket(bucket, 10)
    (tmp_path / "away").rename(folder)
    assert list_bucket(bucket, 10) == []


def test_the_default_folder_is_made_and_no_other(tmp_path: Path) -> None:
    assert list_bucket(Bucket.open(Settings(home=tmp_path / "home")), 10) == []
    assert (tmp_path / "home" / "uploads").is_dir()
    with pytest.raises(BucketUnavailable):
        list_bucket(Bucket.open(Settings(home=tmp_path, uploads_url=str(tmp_path / "mount"))), 10)
    assert not (tmp_path / "mount").exists()


def test_a_url_that_nothing_understands() -> None:
    for url in ("nonsense://x", "abfs://needs/a/package"):
        with pytest.raises(SettingsInvalid, match="URL"):
            Bucket(url)


def test_any_fsspec_file_system() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/drop/sub/a.mp4", b"123")
    bucket = Bucket("memory://drop")
    (one,) = list_bucket(bucket, 10)
    assert (one.key, one.size) == ("sub/a.mp4", 3) and one.mtime is not None and abs(one.mtime - time.time()) < 60
    fs.pipe_file("/drop/sub/a.mp4", b"123")
    assert list_bucket(bucket, 10)[0].etag != one.etag
    fs.rm("/drop", recursive=True)


@pytest.mark.parametrize("missing", ["", "sub", "sub/deep"])
def test_a_file_system_that_walks_folder_by_folder(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    for name in ("a.mp4", "sub/b.mp4", "sub/deep/c.mp4"):
        (tmp_path / name).write_bytes(b"1")
    bucket = Bucket(str(tmp_path))
    bucket.root = None  # stands for SFTP and the like
    assert keys(bucket) == ["a.mp4", "sub/b.mp4", "sub/deep/c.mp4"]
    ls = type(bucket.fs).ls

    def broken(self: object, path: str, *args: object, **options: object) -> object:
        if path.rstrip("/").endswith(missing or bucket.base.rstrip("/")):
            raise OSError(110, "Connection timed out")
        return ls(self, path, *args, **options)

    monkeypatch.setattr(type(bucket.fs), "ls", broken)
    with pytest.raises(BucketUnavailable, match="timed out"):
        list_bucket(bucket, 10)


@pytest.mark.parametrize("prefix", ["", "/a/prefix"])
def test_s3(s3_bucket: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, fs = s3_bucket + prefix, fsspec.filesystem("s3")
    bucket = Bucket(url)
    assert list_bucket(bucket, 20) == []
    content = os.urandom(9_000_000)
    fs.pipe_file(f"{url}/sub/ä b.mp4", content)
    fs.pipe_file(f"{url}/marker/", b"")
    for number in range(12):
        fs.pipe_file(f"{url}/many/{number}", b"x")
    found = {one.key: one for one in list_bucket(bucket, 20)}
    assert {key for key in found if not key.startswith(("many/", "marker"))} == {"sub/ä b.mp4"} and len(found) >= 13
    one = found["sub/ä b.mp4"]
    assert one.size == len(content) and one.mtime is not None and abs(one.mtime - time.time()) < 60 and '"' not in one.etag
    assert bucket.expect(one.key, one.etag) == one
    with bucket.local_file(one, tmp_path / "scratch") as path:
        assert path.read_bytes() == content
    assert list((tmp_path / "scratch").iterdir()) == []

    monkeypatch.setattr(buckets, "_BLOCK", 1000)
    fs.pipe_file(f"{url}/sub/ä b.mp4", content * 2)  # grew since it was listed
    with pytest.raises(UploadChanged), bucket.local_file(one, tmp_path / "scratch"):
        pass
    assert list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(UploadChanged, match="another file"):
        bucket.expect(one.key, one.etag)
    fs.rm_file(f"{url}/sub/ä b.mp4")
    with pytest.raises(UploadChanged, match="no longer"):
        bucket.expect(one.key, one.etag)


def test_a_reader_that_ends_early_is_no_upload(s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(s3_bucket)
    bucket.fs.pipe_file(f"{s3_bucket}/a.mp4", bytes(2_000_064))
    (entry,) = list_bucket(bucket, 20)
    opened = type(bucket.fs)._open

    def early(self: object, path: str, *arguments: object, **options: object) -> object:
        file = opened(self, path, *arguments, **options)
        read = file.read
        file.read = lambda size: read(min(size, 1_000_000 - file.tell()))  # and then nothing, as at an end
        return file

    monkeypatch.setattr(type(bucket.fs), "_open", early)
    with pytest.raises(UploadChanged, match="ended after 1000000 of 2000064 bytes"), bucket.local_file(entry, tmp_path / "scratch"):
        pass
    assert list((tmp_path / "scratch").iterdir()) == []


def test_which_stores_tell_that_the_same_bytes_came_again(s3_bucket: str, tmp_path: Path) -> None:
    """What the remedy of `ingest_abandoned` says of them."""
    for url, told in ((s3_bucket, False), (str(tmp_path), True), ("memory://again", True)):
        fs, tags = fsspec.core.url_to_fs(url)[0], set()
        for _ in range(2):
            fs.pipe_file(f"{url}/a.mp4", b"the same")
            tags |= {one.etag for one in list_bucket(Bucket(url), 20)}
            time.sleep(0.02)  # file systems count time in ticks
        assert (len(tags) == 2) is told, url
    fsspec.filesystem("memory").rm("/again", recursive=True)


def test_more_objects_than_a_page(s3_bucket: str) -> None:
    fill(s3_bucket, [f"{number:04}.mp4" for number in range(1010)])
    assert len(list_bucket(Bucket(s3_bucket), 60)) == 1010


def test_a_bucket_that_does_not_exist(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pointing_at(s3_server, monkeypatch):
        for url in ("s3://there-is-none", "s3://there-is-none/prefix"):
            with pytest.raises(BucketUnavailable, match="no such bucket"):
                list_bucket(Bucket(url), 30)


@pytest.mark.parametrize("case", ["cut off after a page", "refused", "out of order", "gone"])
def test_a_failing_server_is_not_an_empty_bucket(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(path: str) -> tuple[int, str]:
        if case == "cut off after a page" and "continuation-token" not in path:
            return 200, FIRST_PAGE
        return (403, ERROR.format("AccessDenied")) if case == "refused" else (500, ERROR.format("InternalError"))

    with failing_s3(answer) as address, pointing_at("http://127.0.0.1:9" if case == "gone" else address, monkeypatch):
        with pytest.raises(BucketUnavailable) as caught:
            list_bucket(Bucket("s3://b"), 60)
        assert "secret" not in str(caught.value) and "not listed yet" not in str(caught.value)


def test_a_file_that_the_bucket_does_not_give_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one in an archive, or one that is encrypted with another's key: its own trouble, not the bucket's."""
    fsspec.filesystem("memory").pipe("/archive/a.mp4", b"12345")
    bucket = Bucket("memory://archive")
    (entry,) = list_bucket(bucket, 10)

    def refused(*_: object, **__: object) -> object:
        raise PermissionError("Access Denied")

    with monkeypatch.context() as patch:
        patch.setattr(type(bucket.fs), "_open", refused)
        with pytest.raises(FileNotReadable, match=r"a\.mp4 is in the bucket"), bucket.local_file(entry, tmp_path):
            pass
        patch.setattr(type(bucket.fs), "info", refused)
        with pytest.raises(FileNotReadable, match=r"a\.mp4 may not"):
            bucket.expect("a.mp4", entry.etag)
    bucket.fs.rm("/archive", recursive=True)
