"""Little that becomes much: pictures, frames, tracks, boxes, XML and bodies out of all proportion, each refused with little memory.

What is refused elsewhere is tested there: `media/test_probe`, `media/test_runner`, `uploads/test_content`, `exports/test_cvat_corrections`.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from reframer_pipeline.failures import FileTooLarge, UploadChanged, WeightsUnsuitable
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.content import sha256_copy
from reframer_pipeline.vision.boxes import Boxes
from reframer_pipeline.vision.detector import MOST_BOXES, detect_frames
from reframer_pipeline_tests.faults.fates import LIMITS, Fate, fate_of
from reframer_pipeline_tests.faults.trees import Tree
from reframer_pipeline_tests.media.made import avi, numbered

LITTLE = 400_000_000  # bytes of memory: Python with its libraries, or a tool with its own, and some room

pytestmark = pytest.mark.slow


def fate(file: Path, settings: Settings = LIMITS) -> Fate:
    scratch = file.parent / "scratch"
    scratch.mkdir()
    found = fate_of(file, scratch, settings)
    assert not found.wrong, found
    return found


# --- pictures, frames, tracks


def png(side: int) -> bytes:
    """A black picture of one bit a pixel: 16000x16000 in 31 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(1 + -(-side // 8)) * side, 9)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("told", [16_000, 64], ids=["and says so", "and says 64"])
def test_a_picture_of_16000_by_16000(tmp_path: Path, told: int) -> None:
    file = avi(tmp_path / "a.avi", [png(16_000)] * 3, codec=b"MPNG", size=(told, told))
    assert file.stat().st_size < 200_000
    found = fate(file, Settings())
    assert found.code == "dimensions_out_of_range" and "16000x16000" in found.says, found
    assert found.tool_bytes < LITTLE and found.own_bytes < LITTLE


def counted(plain: Path, samples: int, *, there: int) -> Path:
    """An mp4 of so many samples of one byte in one chunk, of which so many bytes are there."""
    tree = Tree(plain.read_bytes())
    place = 2 * len(tree.data)  # behind all boxes, whatever they become
    for kind, content in (
        (b"edts", b""),
        (b"stts", struct.pack(">III", 1, samples, 1)),
        (b"stsz", struct.pack(">II", 1, samples)),
        (b"stsc", struct.pack(">IIII", 1, 1, samples, 1)),
        (b"stco", struct.pack(">II", 1, place)),
    ):
        (part,) = tree.named(kind)
        box = struct.pack(">I4sI", 12 + len(content), kind, 0) + content if content else b""
        tree.splice(part.start, part.end - part.start, box, part.above)
        tree = Tree(tree.data)
    plain.write_bytes(bytes(tree.data).ljust(place, b"\0") + bytes(there))
    return plain


def test_five_hundred_thousand_frames_and_five(tmp_path: Path) -> None:
    file = counted(numbered(tmp_path / "a.mp4", frames=5), 500_005, there=500_005)
    assert file.stat().st_size < 1_000_000
    found = fate(file, Settings())
    assert found.code == "video_too_long" and "500000 frames" in found.says, found
    assert found.tool_bytes < LITTLE and found.own_bytes < LITTLE


def test_two_thousand_million_samples_of_which_none_is_there(tmp_path: Path) -> None:
    found = fate(counted(numbered(tmp_path / "a.mp4", frames=5), 0x7FFF_FFFF, there=10))
    assert found.code != "completed" and found.tool_bytes < LIMITS.memory_mb * 1_000_000, found


def test_five_thousand_tracks(tmp_path: Path) -> None:
    tree = Tree(numbered(tmp_path / "a.mp4", frames=2).read_bytes())
    (track,) = tree.named(b"trak")
    tree.splice(track.end, 0, bytes(tree.data[track.start : track.end]) * 5000, track.above)
    (tmp_path / "a.mp4").write_bytes(tree.data)
    found = fate(tmp_path / "a.mp4", Settings())
    assert found.code == "too_many_streams" and found.tool_bytes < LITTLE and found.own_bytes < LITTLE, found


@pytest.mark.parametrize("inside", [False, True], ids=["beside", "inside"])
def test_a_million_boxes_of_nothing(tmp_path: Path, inside: bool) -> None:
    tree = Tree(numbered(tmp_path / "a.mp4", frames=3).read_bytes())
    (head,) = tree.named(b"moov")
    tree.splice(head.end, 0, b"\0\0\0\x08free" * 1_000_000, (head.start,) if inside else ())
    (tmp_path / "a.mp4").write_bytes(tree.data)
    found = fate(tmp_path / "a.mp4")
    assert (found.code, found.frames) == ("completed", 3) and found.tool_bytes < LITTLE and found.own_bytes < LITTLE, found


def test_a_detector_that_sees_a_hundred_thousand_boxes_is_at_fault_and_not_the_video() -> None:
    class Flooding:
        def detect(self, images: Iterable[object]) -> list[Boxes]:
            return [Boxes(np.tile(np.array([0, 0, 90, 90], np.float32), (count, 1)), np.full(count, 0.9, np.float32), ["person"] * count)
                    for _ in images]  # fmt: skip

    def rows() -> int:
        groups = [[(0, 0.0, np.zeros((100, 100, 3), np.uint8))]]
        return sum(batch.num_rows for batch in detect_frames(groups, Flooding(), Settings(), "00000000-0000-5000-8000-000000000001"))

    count = MOST_BOXES
    assert rows() == 1
    count = 100_000
    with pytest.raises(WeightsUnsuitable, match="100000 boxes in one picture") as refused:
        rows()
    assert not refused.value.blames_video and not refused.value.retryable


# --- files without end


def test_a_file_that_grows_for_ever_is_given_up(tmp_path: Path) -> None:
    source, stop = tmp_path / "source", threading.Event()
    source.write_bytes(bytes(1_000_000))

    def write_on() -> None:
        with source.open("ab", buffering=0) as file:
            while not stop.is_set() and file.tell() < 2_000_000_000:
                file.write(bytes(1_000_000))

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        with pytest.raises((FileTooLarge, UploadChanged)):
            sha256_copy(source, tmp_path / "target", max_bytes=20_000_000)
    finally:
        stop.set()
        writer.join()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
