"""Little that becomes much: pictures, frames, tracks, boxes, XML and bodies out of all proportion, each refused with little memory.

What is refused elsewhere is tested there: `media/test_probe`, `media/test_runner`, `uploads/test_content`, `exports/test_cvat_corrections`.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from reframer_pipeline.exports import cvat_reading
from reframer_pipeline.failures import AnnotationsRefused, FileTooLarge, UploadChanged, WeightsUnsuitable
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
    assert found.code in ("dimensions_out_of_range", "no_decodable_frames"), found
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


# --- XML

READING = """
import json, sys
from pathlib import Path
from reframer_pipeline.exports import cvat_reading
from reframer_pipeline.failures import AnnotationsRefused

def peak():
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")).split()[1]) * 1024

before = peak()
with open(sys.argv[1], "rb") as file:
    try:
        cvat_reading.read(file, range(1000))
        said = "read"
    except AnnotationsRefused as refused:
        said = refused.message
print(json.dumps([said, peak() - before]))
"""


def read_apart(path: Path) -> tuple[str, int]:
    """What a process of its own says of a file, and how much memory it took beyond what Python has."""
    ran = subprocess.run([sys.executable, "-c", READING, path], capture_output=True, text=True, check=True)
    said, grown = json.loads(ran.stdout)
    return said, grown


def repeated(path: Path, begin: bytes, pieces: Iterable[bytes], end: bytes = b"") -> Path:
    """A zip with one XML file, written piece by piece."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("annotations.xml", "w", force_zip64=True) as file:
        file.write(begin)
        for piece in pieces:
            file.write(piece)
        file.write(end)
    return path


def test_a_zip_that_becomes_a_thousand_times_as_much(tmp_path: Path) -> None:
    path = repeated(tmp_path / "bomb.zip", b"<annotations>", (b" " * 1_000_000 for _ in range(400)))
    assert path.stat().st_size < 500_000
    said, grown = read_apart(path)
    assert said == "The XML has more than 300 MB." and grown < 30_000_000


@pytest.mark.parametrize(
    ("begin", "piece", "said"),
    [
        (b"<annotations ", b"a%d='' ", "a tag of more than 1 MB"),
        (b"<annotations><meta a='", b"%d", "a tag of more than 1 MB"),
        (b"<annotations><!-- ", b"%d", "a tag of more than 1 MB"),
        (b"<annotations><![CDATA[ ]]><?x ", b"%d", "a tag of more than 1 MB"),
        (b"<annotations><meta>", b"<a%d/>", "different names"),
        (b"<annotations><meta>", b"<a a%d=''/>", "different names"),
    ],
    ids=["attributes", "a value", "a comment", "an instruction", "elements", "attributes of many"],
)
def test_xml_that_a_parser_would_hold_whole(tmp_path: Path, begin: bytes, piece: bytes, said: str) -> None:
    """A tag of 30 MB kept a processor busy for minutes, and names are held to the end."""
    path = repeated(tmp_path / "bomb.zip", begin, (piece % number for number in range(1_000_000)))
    told, grown = read_apart(path)
    assert said in told and grown < 30_000_000


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "head",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]>',
        f'<!DOCTYPE a [<!ENTITY big "{"x" * 50_000}">]>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///dev/zero"> %x;]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd">',
    ],
    ids=["a thousand million laughs", "one entity many times", "a parameter without end", "a type elsewhere"],
)
def test_entities_are_refused_before_they_are_looked_at(head: str) -> None:
    document = f"{head}<annotations><meta>{'&big;' * 1000}&l9;</meta></annotations>"
    with pytest.raises(AnnotationsRefused, match="document type"):
        cvat_reading.read(io.BytesIO(document.encode()), range(10))


def test_a_zip_whose_names_lead_elsewhere_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("../../../escaped.xml", "/escaped.xml", "..\\escaped.xml", f"{tmp_path}/escaped.xml"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name, "<annotations><track label='person'/></annotations>")
            archive.writestr("../escaped.sh", "#!/bin/sh\n")
        assert cvat_reading.read(packed, range(10)).tracks == []
    assert [one.name for one in tmp_path.rglob("*")] == ["here"]


def test_boxes_by_the_million_are_bounded_by_what_the_video_has(tmp_path: Path) -> None:
    track = b"<track label='person'>" + b"".join(b"<box frame='%d' xtl='1' ytl='1' xbr='9' ybr='9'/>" % n for n in range(10)) + b"</track>"
    document = b"<annotations>" + track * 1000 + b"</annotations>"
    assert len(cvat_reading.read(io.BytesIO(document), range(10)).tracks) == 1000
    with pytest.raises(AnnotationsRefused, match="more than 600 boxes"):
        cvat_reading.read(io.BytesIO(document), range(10), 600)
