"""Uploads that arrive in pieces: refused at the byte that decides it, and gone without a trace when they break off."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reframer_pipeline.failures import DiskFull, FileTooLarge, NotAVideo
from reframer_pipeline.media.containers import DECIDING_BYTES
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.receiving import receiving, sweep_received
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.machine import small_disk


def left(settings: Settings) -> list[Path]:
    return list(settings.scratch_dir.iterdir()) if settings.scratch_dir.is_dir() else []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", max_upload_mb=1)


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_pieces_of_any_size_make_the_file(settings: Settings, piece: int) -> None:
    content = video_bytes() + bytes(10_000)
    with receiving("a.mp4", settings) as receiver:
        for start in range(0, len(content), piece):
            receiver.write(content[start : start + piece])
        file = receiver.finish()
        assert file.path.read_bytes() == content and file.path.stat().st_mode & 0o077 == 0
        assert (file.sha256, file.size, file.filename) == (hashlib.sha256(content).hexdigest(), len(content), "a.mp4")
    assert left(settings) == []


def test_the_first_bytes_decide_as_soon_as_they_can(settings: Settings) -> None:
    page = b"<html><body>not found</body></html>"
    with receiving("a.mp4", settings) as receiver:
        for number in range(DECIDING_BYTES - 1):
            receiver.write(page[number : number + 1])
        with pytest.raises(NotAVideo, match="a text document"):
            receiver.write(page[DECIDING_BYTES - 1 : DECIDING_BYTES])
    with pytest.raises(NotAVideo, match="empty"), receiving("a.mp4", settings) as receiver:
        receiver.finish()
    with pytest.raises(NotAVideo, match="text"), receiving("a.mp4", settings) as receiver:
        receiver.write(b"short")
        receiver.finish()
    assert left(settings) == []


def test_the_first_byte_too_many_decides(settings: Settings) -> None:
    with pytest.raises(FileTooLarge, match="1 MB are allowed"), receiving("a.mp4", settings) as receiver:
        receiver.write(video_bytes())
        receiver.write(bytes(1_000_000 - len(video_bytes())))
        receiver.write(b"!")
    assert left(settings) == []


def test_a_full_disk_is_said_so_and_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with small_disk(settings.scratch_dir):
        with pytest.raises(DiskFull), receiving("a.mp4", settings) as receiver:
            receiver.write(video_bytes() + bytes(200_000))
            receiver.finish()
        assert left(settings) == []


def test_what_a_killed_process_left_is_swept_and_nothing_else(settings: Settings) -> None:
    code = f"""
import os, signal
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.receiving import receiving
with receiving("a.mp4", Settings(home={str(settings.home_dir)!r})) as receiver:
    receiver.write({video_bytes()!r})
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ)
    assert len(left(settings)) == 1
    with receiving("b.mp4", settings) as receiver:
        receiver.write(video_bytes(1))
        assert sweep_received(settings) == 1
        assert receiver.finish().path.read_bytes() == video_bytes(1)
    assert left(settings) == []
