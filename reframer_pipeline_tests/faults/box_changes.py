"""Changes of the boxes of an mp4: tables, times, places, sizes.

What belongs here: the changes, and the list of them. What does not: what any part can have (`changes`).
"""

from __future__ import annotations

import struct
from random import Random
from typing import Final

from reframer_pipeline_tests.faults.changes import Change, extreme, name_of
from reframer_pipeline_tests.faults.trees import Tree

_CODES: Final = (b"avc1", b"hvc1", b"mp4v", b"apcn", b"mjpa", b"png ", b"raw ", b"rpza", b"SVQ3", b"encv", b"tmcd", b"\0\0\0\0")
_TABLES: Final = (b"stsz", b"stco", b"co64", b"stts", b"stsc", b"ctts", b"stss", b"elst", b"trun", b"sidx", b"stsd", b"dref")


def _table(tree: Tree, rng: Random) -> str:
    found = tree.named(*_TABLES)
    if not found:
        return ""
    part = rng.choice(found)
    start = part.start + 8 + (8 if part.kind == b"stsz" else 4)
    places = (start, start, part.start + 12, rng.randrange(start, max(start + 1, part.end - 3)))
    at, value = rng.choice(places), extreme(rng)
    return f"{name_of(part)}+{at - part.start - 8} {value}" if tree.put(at, value) else ""


def _offsets(tree: Tree, rng: Random) -> str:
    found = tree.named(b"stco")
    if not found:
        return ""
    part, beyond = rng.choice(found), rng.choice((len(tree.data), len(tree.data) - 3, 0, 0x7FFF_FFFF, 0xFFFF_FFFF))
    for at in range(part.content + 8, part.end - 3, 4):
        tree.put(at, beyond)
    return f"all samples at {beyond}"


def _times(tree: Tree, rng: Random) -> str:
    """Units a second, or how long it lasts."""
    found = tree.named(b"mvhd", b"mdhd", b"tkhd")
    if not found:
        return ""
    part, value = rng.choice(found), extreme(rng)
    late = 8 if tree.data[part.content : part.content + 1] == b"\1" else 0
    at = rng.choice((12, 16) if part.kind != b"tkhd" else (20, 12)) + late
    return f"{name_of(part)}+{at} {value}" if tree.put(part.content + at, value) else ""


def _matrix(tree: Tree, rng: Random) -> str:
    found = tree.named(b"tkhd", b"mvhd")
    if not found:
        return ""
    part = rng.choice(found)
    at = part.content + (40 if part.kind == b"tkhd" else 36)
    for place in range(9):
        tree.put(at + 4 * place, rng.choice((extreme(rng), 0x10000, 0)))
    return f"matrix of {name_of(part)}"


def _sides(tree: Tree, rng: Random) -> str:
    found = tree.named(b"avc1", b"hvc1", b"mp4v", b"mjpa", b"apcn")
    if not found:
        return ""
    part, sides = rng.choice(found), [rng.choice((0, 1, 15, 16, 17, 4096, 16_000, 65_535)) for _ in range(2)]
    for place, side in enumerate(sides):
        tree.put(part.start + 8 + 24 + 2 * place, side, wide=2)
    return f"{sides[0]}x{sides[1]}"


def _long_size(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    real = part.end - part.start + 8
    size = rng.choice((real, real, 0, 7, 15, 16, 1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1))
    tree.splice(part.start + 8, 0, struct.pack(">Q", size), part.above)
    tree.put_size(part, 1)
    return f"size of {name_of(part)} {size} in 64 bits"


def _handler(tree: Tree, rng: Random) -> str:
    found = tree.named(b"hdlr", b"avc1", b"hvc1", b"mp4v", b"mp4a", b"mjpa")
    if not found:
        return ""
    part = rng.choice(found)
    name = rng.choice((b"vide", b"soun", b"text", b"meta", b"tmcd", b"\0\0\0\0")) if part.kind == b"hdlr" else rng.choice(_CODES)
    at = part.content + 8 if part.kind == b"hdlr" else part.start + 4
    tree.data[at : at + 4] = name
    return f"{name_of(part)} of {name!r}"


OF_MP4: Final[tuple[Change, ...]] = (
    _table, _table, _table, _table, _table, _table, _offsets, _times, _times, _times, _matrix, _sides, _sides, _long_size, _handler,
)  # fmt: skip
