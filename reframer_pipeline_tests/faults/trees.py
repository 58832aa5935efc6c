"""An mp4's boxes or an AVI's chunks as a list that can be edited.

What belongs here: taking a real file apart, and changing bytes of it so that the parts around them stay in step. What does not: what is
changed (`mutants`). The product has a walk of its own (`media.boxes`); this one is not it, so that neither hides the other's faults.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

MOST_PARTS: Final = 5000  # of a file that was changed before
# What holds parts itself, and how many bytes of its content come before them.
_HOLDING: Final = dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex", b"moof", b"traf"), 0)
_HOLDING |= {b"meta": 4, b"stsd": 8, b"dref": 8, b"mp4a": 28}
_HOLDING |= dict.fromkeys((b"avc1", b"hvc1", b"hev1", b"mp4v", b"apcn", b"mjpa", b"av01"), 78)


@dataclass(frozen=True)
class Part:
    """A box or a chunk.

    Attributes:
        kind: Its four letters; of a list of an AVI those behind its size.
        start: Where it begins.
        content: Where its content begins; of what holds parts, where the first of them does.
        end: Where it ends.
        above: Starts of the parts around it, from the outermost on.
    """

    kind: bytes
    start: int
    content: int
    end: int
    above: tuple[int, ...]


class Tree:
    """A file, taken apart.

    Attributes:
        data: Its bytes.
        avi: Whether it is an AVI.
        parts: All parts, each before those that it holds.
    """

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = bytearray(data)
        self.avi = data[:4] == b"RIFF"
        self.parts: list[Part] = []
        self._read()

    def _read(self) -> None:
        ranges: list[tuple[int, int, tuple[int, ...]]] = [(0, len(self.data), ())]
        while ranges and len(self.parts) < MOST_PARTS:
            start, end, above = ranges.pop()
            if start + 8 > end:
                continue
            part = self._part(start, end, above)
            if part is None:
                continue
            self.parts.append(part)
            ranges.append((part.end + (part.end - part.start) % 2 if self.avi else part.end, end, above))
            if self._holds(part):
                ranges.append((part.content, part.end, (*above, start)))

    def _holds(self, part: Part) -> bool:
        return self.data[part.start : part.start + 4] in (b"RIFF", b"LIST") if self.avi else part.kind in _HOLDING

    def _part(self, start: int, end: int, above: tuple[int, ...]) -> Part | None:
        if self.avi:
            kind, size = struct.unpack_from("<4sI", self.data, start)
            listed = kind in (b"RIFF", b"LIST") and start + 12 <= end
            kind = bytes(self.data[start + 8 : start + 12]) if listed else kind
            return Part(kind, start, start + (12 if listed else 8), max(start + 12 if listed else 0, min(end, start + 8 + size)), above)
        size, kind = struct.unpack_from(">I4s", self.data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,), head = struct.unpack_from(">Q", self.data, start + 8), 16
        stop = min(end, start + size) if size else end
        content = start + head + _HOLDING.get(kind, 0)
        return Part(kind, start, content, stop, above) if stop >= content else None

    def named(self, *kinds: bytes) -> list[Part]:
        """The parts of these kinds."""
        return [part for part in self.parts if part.kind in kinds]

    def put_size(self, part: Part, size: int) -> None:
        """Write the size of a part, whatever it holds."""
        if self.avi:
            struct.pack_into("<I", self.data, part.start + 4, size % (1 << 32))
        else:
            struct.pack_into(">I", self.data, part.start, size % (1 << 32))

    def put(self, at: int, value: int, *, wide: int = 4) -> bool:
        """Write a number in the file's order of bytes; whether there was room for it."""
        if not 0 <= at <= len(self.data) - wide:
            return False
        self.data[at : at + wide] = (value % (1 << 8 * wide)).to_bytes(wide, "little" if self.avi else "big")
        return True

    def splice(self, at: int, removed: int, inserted: bytes, above: tuple[int, ...]) -> None:
        """Put bytes in place of others. The parts around grow or shrink with it; where samples lie is not mended."""
        self.data[at : at + removed] = inserted
        grown = len(inserted) - removed
        for start in above:
            place, order = (start + 4, "<I") if self.avi else (start, ">I")
            if place + 4 <= len(self.data):
                (size,) = struct.unpack_from(order, self.data, place)
                struct.pack_into(order, self.data, place, max(0, size + grown) % (1 << 32))
