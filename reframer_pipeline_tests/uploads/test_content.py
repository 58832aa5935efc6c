"""Uploads' bytes: cheap refusals and the copy."""

from __future__ import annotations

import hashlib
import os
import resource
import threading
from pathlib import Path

import pytest

from reframer_pipeline.failures import FileNotReadable, FileTooLarge, MachineTrouble, NotAVideo, UploadChanged
from reframer_pipeline.media.containers import recognise
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads import content
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.content import ingest_file_checks, sha256_copy
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.machine import FAILING_FILE

MP4 = b"\0\0\0\x20ftypisom" + bytes(100)


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (MP4, "mov"),
        (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mov"),
        (b"\0\0\x10\0moov\0\0\0\x6cmvhd", "mov"),
        (b"\0\0\x10\0mdat", "mov"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
    ],
)
def test_accepted_beginnings(head: bytes, container: str) -> None:
    assert recognise(head) == container


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "empty"),
        (b"\x1aE\xdf\xa3\x01", "WebM"),
        (b"\x47" + bytes(187) + b"\x47" + bytes(50), "transport stream"),
        (b"FLV\x01\x05", "Flash"),
        (b"RIFF\0\0\0\0WAVEfmt ", "WAVE"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "still image"),
        (b"GIF89a", "GIF"),
        (b"ffconcat version 1.0\n", "list of other files"),
        (b"#EXTM3U\n", "playlist"),
        (b"hello world\n", "text"),
        (hashlib.sha512().digest().replace(b"\x47", b"\0") + b"\0\xff", "no known video container"),
    ],
)
def test_other_beginnings_are_named(head: bytes, said: str) -> None:
    with pytest.raises(NotAVideo, match=said):
        recognise(head, "a.mp4")


def test_a_good_file_passes_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(MP4)
    (tmp_path / "link").symlink_to("x.txt")
    assert ingest_file_checks(tmp_path / "x.txt", Settings()) == ingest_file_checks(tmp_path / "link", Settings()) == "mov"


def test_cheap_refusals(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(NotAVideo, match="empty.mp4 is empty"):
        ingest_file_checks(tmp_path / "empty.mp4", Settings())
    with (tmp_path / "large.mp4").open("wb") as file:
        file.write(MP4)
        file.truncate(500_000_001)
    with pytest.raises(FileTooLarge, match="500 MB are allowed"):
        ingest_file_checks(tmp_path / "large.mp4", Settings())
    os.truncate(tmp_path / "large.mp4", 500_000_000)
    assert ingest_file_checks(tmp_path / "large.mp4", Settings()) == "mov"


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")  # must not wait for a writer
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "none.mp4", tmp_path / "pipe.mp4", tmp_path / "loop", Path("/dev/zero"), Path("a\0b")):
        with pytest.raises(FileNotReadable):
            ingest_file_checks(path, Settings())


def test_the_copy_is_the_content_and_no_link(tmp_path: Path) -> None:
    data = os.urandom(9_000_000)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    assert sha256_copy(source, target) == (hashlib.sha256(data).hexdigest(), len(data))
    with source.open("r+b") as file:  # overwritten in place
        file.write(b"other")
    assert target.read_bytes() == data and target.stat().st_ino != source.stat().st_ino
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}


@pytest.mark.parametrize("shared", [True, False])
def test_shared_blocks_or_not_the_result_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    (tmp_path / "source").write_bytes(b"x" * 100_000)
    if not shared:
        monkeypatch.setattr(content, "_reflink", lambda source, target: False)
    assert sha256_copy(tmp_path / "source", tmp_path / "target")[0] == hashlib.sha256(b"x" * 100_000).hexdigest()
    assert (tmp_path / "target").read_bytes() == b"x" * 100_000


def test_a_file_that_changes_meanwhile_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"a" * 50_000_000)
    monkeypatch.setattr(content, "_BLOCK", 4096)  # so that the copy takes long enough to be disturbed
    stop = threading.Event()

    def disturb() -> None:
        while not stop.wait(0.002):
            with source.open("r+b") as file:
                file.write(os.urandom(8))

    writer = threading.Thread(target=disturb)
    writer.start()
    try:
        with pytest.raises(UploadChanged):
            sha256_copy(source, tmp_path / "target")
    finally:
        stop.set()
        writer.join()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_growing_file_stops_at_the_limit(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(10_000))
    with pytest.raises(FileTooLarge):
        sha256_copy(tmp_path / "source", tmp_path / "target", max_bytes=9_999)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_link_in_a_folder_of_others_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "theirs.mp4").write_bytes(video_bytes())
    link = tmp_path / "link.mp4"
    link.symlink_to("theirs.mp4")
    assert ingest_file_checks(link, Settings()) and sha256_copy(link, tmp_path / "copy")
    with pytest.raises(FileNotReadable):
        ingest_file_checks(link, Settings(), beneath=tmp_path)
    with pytest.raises(FileNotReadable):
        sha256_copy(link, tmp_path / "other", beneath=tmp_path)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("folder", ["inside", "inside/deep"])
def test_a_folder_that_was_swapped_for_a_link_leads_nowhere(folder: str, tmp_path: Path) -> None:
    """Anyone who may write to the bucket could else have a file of ours taken in that they may not read."""
    (tmp_path / "bucket" / "inside" / "deep").mkdir(parents=True)
    (tmp_path / "ours" / "deep").mkdir(parents=True)
    (tmp_path / "ours" / "deep" / "secret.mp4").write_bytes(video_bytes())
    (tmp_path / "ours" / "secret.mp4").write_bytes(video_bytes())
    bucket = tmp_path / "bucket"
    path = bucket / folder / "secret.mp4"
    path.write_bytes(video_bytes(1))
    assert ingest_file_checks(path, Settings(), beneath=bucket) and sha256_copy(path, tmp_path / "copy", beneath=bucket)
    etag = Bucket(str(bucket))._look(f"{folder}/secret.mp4").etag
    (bucket / folder).rename(bucket / "away")
    (bucket / folder).symlink_to(tmp_path / "ours", target_is_directory=True)
    assert path.is_file()
    with pytest.raises(UploadChanged, match="no longer"):
        Bucket(str(bucket)).expect(f"{folder}/secret.mp4", etag)
    with pytest.raises(FileNotReadable):
        ingest_file_checks(path, Settings(), beneath=bucket)
    with pytest.raises(FileNotReadable):
        sha256_copy(path, tmp_path / "other", beneath=bucket)
    assert not (tmp_path / "other").exists()
    (tmp_path / "entrance").symlink_to(bucket)  # where the bucket lies is its owner's choice
    assert "away/secret.mp4" in [one.key for one in list_bucket(Bucket(str(tmp_path / "entrance")), 10)]
    assert ingest_file_checks(tmp_path / "entrance" / "away" / "secret.mp4", Settings(), beneath=tmp_path / "entrance")


def test_trouble_of_the_machine_is_not_the_files(tmp_path: Path) -> None:
    with pytest.raises(MachineTrouble, match="mem cannot be read: Input/output error"):
        sha256_copy(FAILING_FILE, tmp_path / "target")
    (tmp_path / "a.mp4").write_bytes(MP4)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(MachineTrouble, match="Too many open files"):
            ingest_file_checks(tmp_path / "a.mp4", Settings())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
