"""CVAT files that would become much, or lead elsewhere: each is refused with little memory, and nothing is unpacked.

The limits themselves, one by one, are `exports/test_cvat_corrections`.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from reframer_pipeline.exports import cvat_reading
from reframer_pipeline.failures import AnnotationsRefused

pytestmark = pytest.mark.slow

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
        (b"<annotations ", b"a%d='' ", "a tag of more than 4 MB"),
        (b"<annotations><meta a='", b"%d", "a tag of more than 4 MB"),
        (b"<annotations><!-- ", b"%d", "a tag of more than 4 MB"),
        (b"<annotations><![CDATA[ ]]><?x ", b"%d", "a tag of more than 4 MB"),
        (b"<annotations><meta>", b"<a%d/>", "different names"),
        (b"<annotations><meta>", b"<a a%d=''/>", "different names"),
    ],
    ids=["attributes", "a value", "a comment", "an instruction", "elements", "attributes of many"],
)
def test_xml_that_a_parser_would_hold_whole(tmp_path: Path, begin: bytes, piece: bytes, said: str) -> None:
    """A tag of 10 MB took 4 s and 110 MB of memory, one of 32 MB had not ended after 18 s. Names are held to the end."""
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
        packed.seek(0)
        assert cvat_reading.read(packed, range(10)).tracks == []
    assert [one.name for one in tmp_path.rglob("*")] == ["here"]


def test_boxes_by_the_million_are_bounded_by_what_the_video_has(tmp_path: Path) -> None:
    track = b"<track label='person'>" + b"".join(b"<box frame='%d' xtl='1' ytl='1' xbr='9' ybr='9'/>" % n for n in range(10)) + b"</track>"
    document = b"<annotations>" + track * 1000 + b"</annotations>"
    assert len(cvat_reading.read(io.BytesIO(document), range(10)).tracks) == 1000
    with pytest.raises(AnnotationsRefused, match="more than 600 boxes"):
        cvat_reading.read(io.BytesIO(document), range(10), 600)
