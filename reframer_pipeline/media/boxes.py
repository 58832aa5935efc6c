"""The boxes of an mp4 or mov and the chunks of an AVI, as far as ffprobe does not tell what they say.

What belongs here: a bounded walk to edit lists, to how pictures are coded and to what is beside them, whether a file is only the head of a
stream, whether an AVI is all there.
What does not: anything that ffprobe reports.

Uploads are hostile: boxes are read one header at a time, none beyond its parent's end, and so many at most, the entries of edit lists among
them. What cannot be read says nothing, and refuses nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

MOST_STEPS: Final = 4096  # of a walk through a file: boxes and entries of edit lists together, or chunks
NORMAL: Final = 1 << 16  # a rate of 1, in 16.16 fixed point
SETUPS: Final = (b"avcC", b"hvcC", b"av1C", b"vpcC")
_ENTRY: Final = 78  # bytes that an entry for pictures has before its boxes (ISO/IEC 14496-12, VisualSampleEntry)
_SETUP: Final = 64  # bytes of a setup that are read: what names a codec stands in the first 13


@dataclass(frozen=True)
class Edit:
    """An entry of an edit list.

    Attributes:
        seconds: How long it is shown.
        empty: Whether nothing is shown meanwhile.
        rate: Speed; 1 is as recorded, 0 stands still.
    """

    seconds: float
    empty: bool
    rate: float


@dataclass(frozen=True)
class Pictures:
    """A track of pictures.

    Attributes:
        place: Among all tracks of the file, from 0: FFmpeg's number of the stream.
        edits: Its edit list.
        format: Four letters that say how its pictures are coded, such as `avc1`.
        setup: What a decoder is told before, the beginning of it, and the name of the box that it stands in, such as `avcC`.
        matrix_at: Where in the file the display matrix stands: nine numbers of 4 bytes.
    """

    place: int
    edits: tuple[Edit, ...] = ()
    format: str = ""
    setup: tuple[str, bytes] = ("", b"")
    matrix_at: int = 0


@dataclass(frozen=True)
class Boxes:
    """What was found.

    Attributes:
        edits: Edit lists by track id.
        head_only: Whether the file has the head of a fragmented stream, and no fragment.
        beside: Where the names stand of the boxes (`stsd`) that say how the tracks beside the pictures are to be decoded.
        pictures: The tracks that have the handler of pictures.
    """

    edits: dict[int, list[Edit]] = field(default_factory=dict)
    head_only: bool = False
    beside: tuple[int, ...] = ()
    pictures: tuple[Pictures, ...] = ()


def read_boxes(path: Path) -> Boxes:
    """Walk the boxes of a file; one that has none gives nothing."""
    with path.open("rb") as file:
        return boxes_of(file)


def boxes_of(file: BinaryIO) -> Boxes:
    """The same of an open file, wherever it lies: a few kB of it are read."""
    return _Walk(file, file.seek(0, 2)).boxes()


def riff_is_whole(path: Path) -> bool:
    """Whether the file ends where its RIFF chunks say, or later; False where a chunk's size is a placeholder."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(MOST_STEPS):
            file.seek(at)
            kind, length = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
            if kind != b"RIFF":  # the end, or what somebody put behind it
                return at > 0
            if length in (0, 0xFFFFFFFF) or at + 8 + length > size:
                return False
            at += 8 + length + length % 2
    return False


class _Walk:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._left = MOST_STEPS
        self._beside: list[int] = []
        self._pictures: list[Pictures] = []
        self._tracks = 0

    def boxes(self) -> Boxes:
        edits: dict[int, list[Edit]] = {}
        fragmented, media = False, False
        end = 0
        for kind, start, end in self._children(0, self._size):
            media = media or kind in (b"moof", b"mdat")
            if kind != b"moov":
                continue
            scale = 0
            for inner, inner_start, inner_end in self._children(start, end):
                if inner == b"mvhd":
                    scale = self._timescale(inner_start, inner_end)
                elif inner == b"mvex":
                    fragmented = True
                elif inner == b"trak":
                    edits.update(self._track(inner_start, inner_end, scale))
        head_only = fragmented and not media and end == self._size  # what was not walked to its end may hold some
        return Boxes(edits, head_only, tuple(self._beside), tuple(self._pictures))

    def _children(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Kind, start and end of each box's content within a range."""
        while start + 8 <= end and self._left:
            self._left -= 1
            size, kind = struct.unpack(">I4s", self._read(start, 8))
            content = start + 8
            if size == 1 and start + 16 <= end:
                (size,) = struct.unpack(">Q", self._read(content, 8))
                content += 8
            stop = end if size == 0 else start + size
            if stop < content or stop > end:
                return
            yield kind, content, stop
            start = stop

    def _read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size).ljust(size, b"\0")  # the file may have shrunk

    def _timescale(self, start: int, end: int) -> int:
        """Units a second of `mvhd`, in which edit lists give their lengths."""
        long = self._read(start, 1) == b"\1"
        at = start + 4 + (16 if long else 8)
        return int(struct.unpack(">I", self._read(at, 4))[0]) if at + 4 <= end else 0

    def _track(self, start: int, end: int, scale: int) -> dict[int, list[Edit]]:
        track, edits, pictures, matrix_at = None, list[Edit](), None, 0
        for kind, inner, inner_end in self._children(start, end):
            if kind == b"tkhd":
                at = inner + 4 + (16 if self._read(inner, 1) == b"\1" else 8)
                (track,) = struct.unpack(">I", self._read(at, 4))
                matrix_at = inner + (52 if self._read(inner, 1) == b"\1" else 40)
            elif kind == b"mdia":
                pictures = self._media(inner, inner_end)
            elif kind == b"edts":
                for one, list_start, list_end in self._children(inner, inner_end):
                    if one == b"elst":
                        edits = self._edits(list_start, list_end, scale)
        if pictures:
            self._pictures.append(replace(pictures, edits=tuple(edits), matrix_at=matrix_at))
        self._tracks += 1
        return {track: edits} if track is not None and edits else {}

    def _media(self, start: int, end: int) -> Pictures | None:
        """Notes the `stsd` of a track that has no pictures, and gives what that of one with pictures says."""
        handler, pictures = b"", None
        for kind, inner, inner_end in self._children(start, end):
            if kind == b"hdlr":
                handler = self._read(inner + 8, 4)
            elif kind == b"minf" and handler != b"vide":
                tables = (table for name, *table in self._children(inner, inner_end) if name == b"stbl")
                found = (at - 4 for table in tables for name, at, _ in self._children(*table) if name == b"stsd")
                self._beside += [at for at in found if self._read(at, 4) == b"stsd"]  # and not one with a size of 64 bits
            elif kind == b"minf":
                pictures = Pictures(self._tracks)
                for name, *table in self._children(inner, inner_end):
                    described = [one for one in self._children(*table) if one[0] == b"stsd"] if name == b"stbl" else []
                    for _, at, stop in described:
                        pictures = self._described(at + 8, stop)
        return pictures

    def _described(self, start: int, end: int) -> Pictures:
        """What the first entry of an `stsd` says; a second one is for pictures of another kind, which then begin in the middle."""
        kind, inner, inner_end = next(self._children(start, end), (b"", start, start))
        setups = (one for one in self._children(inner + _ENTRY, inner_end) if one[0] in SETUPS)
        setup, at, stop = next(setups, (b"", 0, 0))
        return Pictures(self._tracks, (), kind.decode("latin-1"), (setup.decode(), self._read(at, min(stop - at, _SETUP))))

    def _edits(self, start: int, end: int, scale: int) -> list[Edit]:
        form, long = (">Qqi", 20) if self._read(start, 1) == b"\1" else (">Iii", 12)
        (count,) = struct.unpack(">I", self._read(start + 4, 4))
        fits = min(count, self._left, max(0, end - start - 8) // long)
        self._left -= fits
        entries = struct.iter_unpack(form, self._read(start + 8, fits * long))
        return [Edit(length / scale if scale else 0.0, media == -1, rate / NORMAL) for length, media, rate in entries]


def edit_notes(edits: list[Edit]) -> list[str]:
    """What an edit list asks for that FFmpeg does not do, a sentence each.

    FFmpeg takes the parts one after the other, each at the speed at which it was recorded, and only a gap before the first part is one to
    it: in place of a later one (FFmpeg 5.1) it takes pictures from the beginning of the recording.
    """
    first = next((at for at, edit in enumerate(edits) if not edit.empty), len(edits))
    speeds = sorted({edit.rate for edit in edits if not edit.empty and edit.rate != 1})
    gaps = [edit.seconds for edit in edits[first:] if edit.empty]
    notes = []
    if speeds:
        named = ", ".join(f"{speed:g}" for speed in speeds[:3])
        notes.append(f"The edit list plays parts at another speed ({named}). They are read at the speed of the recording.")
    if gaps:
        notes.append(f"The edit list shows nothing for {sum(gaps):.2f} s after its first part. Pictures of the recording are read there.")
    return notes
