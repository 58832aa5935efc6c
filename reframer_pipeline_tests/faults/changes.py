"""Changes that any part of a file can have, a box or a chunk.

What belongs here: the changes, and the list of them: what comes about more often stands there more often. What does not: those that only an
mp4 or only an AVI can have (`box_changes`, `chunk_changes`). Each says what it did, or nothing where the file has no such place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Final

from reframer_pipeline_tests.faults.trees import Part, Tree

Change = Callable[[Tree, Random], str]

EXTREMES: Final = (0, 1, 2, 255, 0x10000, 0x00FF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)
_KINDS: Final = (
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"stts", b"stsz", b"stco", b"co64", b"ctts", b"stsc", b"elst", b"moof", b"mdat",
    b"free", b"cmov", b"dcom", b"cmvd", b"uuid", b"meta", b"ilst", b"sidx", b"senc", b"pssh", b"tfdt", b"trun", b"avcC", b"tmcd", b"chap",
)  # fmt: skip
_AVI_KINDS: Final = (b"LIST", b"RIFF", b"JUNK", b"strh", b"strf", b"avih", b"idx1", b"indx", b"ix00", b"00dc", b"01wb", b"99dc", b"00pc")
_SETUPS: Final = (b"avcC", b"hvcC", b"esds", b"av1C", b"strf")


def name_of(part: Part) -> str:
    """Its four letters, for people."""
    return part.kind.decode("latin-1").encode("ascii", "backslashreplace").decode()


def extreme(rng: Random) -> int:
    """A number at which something may break."""
    return rng.choice((*EXTREMES, rng.randrange(1 << 32)))


def _size(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    real = part.end - part.start - (8 if tree.avi else 0)
    size = rng.choice((0, 1, 2, 7, 8, 9, real - 1, real + 1, real * 2, len(tree.data), 0x7FFF_FFFF, 0xFFFF_FFFF, rng.randrange(1 << 32)))
    tree.put_size(part, size)
    return f"size of {name_of(part)} {size}"


def _kind(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    kind = rng.choice((*(_AVI_KINDS if tree.avi else _KINDS), rng.randbytes(4)))
    at = part.start if tree.avi else part.start + 4
    tree.data[at : at + 4] = kind
    return f"{name_of(part)} called {kind!r}"


def _swap(tree: Tree, rng: Random) -> str:
    one, other = rng.choice(tree.parts), rng.choice(tree.parts)
    step = 0 if tree.avi else 4
    first, second = (slice(part.start + step, part.start + step + 4) for part in (one, other))
    tree.data[first], tree.data[second] = tree.data[second], tree.data[first]
    return f"{name_of(one)} and {name_of(other)} swap names"


def _duplicate(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    whole = bytes(tree.data[part.start : part.end])
    times = min(rng.choice((1, 1, 2, 40, 3000)), max(1, 1_000_000 // max(1, len(whole))))
    tree.splice(part.end, 0, whole * times, part.above)
    return f"{name_of(part)} {times} times more"


def _remove(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    tree.splice(part.start, part.end - part.start, b"", part.above)
    return f"no {name_of(part)}"


def _move(tree: Tree, rng: Random) -> str:
    part, place = rng.choice(tree.parts), rng.choice(tree.parts)
    if part.start <= place.start < part.end:
        return ""
    whole = bytes(tree.data[part.start : part.end])
    if place.start > part.start:  # what is behind is changed first, so that places stay right
        tree.splice(place.start, 0, whole, place.above)
        tree.splice(part.start, len(whole), b"", part.above)
    else:
        tree.splice(part.start, len(whole), b"", part.above)
        tree.splice(place.start, 0, whole, place.above)
    return f"{name_of(part)} before {name_of(place)}"


def _nest(tree: Tree, rng: Random) -> str:
    part, levels = rng.choice(tree.parts), rng.choice((1, 3, 30, 1000, 20_000))
    whole, kind = bytes(tree.data[part.start : part.end]), rng.choice((b"moov", b"trak", b"udta", b"meta", b"stbl"))
    heads, size = [], len(whole)
    for _ in range(levels):
        size += 12 if tree.avi else 8
        heads.append(struct.pack("<4sI4s", b"LIST", size - 8, b"hdrl") if tree.avi else struct.pack(">I4s", size, kind))
    tree.splice(part.start, len(whole), b"".join(reversed(heads)) + whole, part.above)
    return f"{name_of(part)} {levels} deep"


def _junk(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    tree.splice(part.content, 0, rng.randbytes(rng.choice((1, 4, 100))), (*part.above, part.start))
    return f"junk in {name_of(part)}"


def _number(tree: Tree, rng: Random) -> str:
    """Any number of any part but the media."""
    part = rng.choice(tree.parts)
    room = min(part.end, part.content + 128) - part.content
    if room < 4 or part.kind == b"mdat":
        return ""
    at, value, wide = rng.randrange(room - 3), extreme(rng), rng.choice((1, 2, 4, 4))
    return f"{name_of(part)}+{at} {value}" if tree.put(part.content + at, value, wide=wide) else ""


def _setup(tree: Tree, rng: Random) -> str:
    found = tree.named(*_SETUPS)
    if not found:
        return ""
    part = rng.choice(found)
    if part.content >= part.end:
        return ""
    for _ in range(rng.randint(1, 8)):
        tree.data[rng.randrange(part.content, part.end)] ^= 1 << rng.randrange(8)
    return f"bits of {name_of(part)}"


def bits(tree: Tree, rng: Random) -> str:
    """Some bits anywhere are turned round."""
    times = rng.choice((1, 4, 30, 400))
    for _ in range(times if tree.data else 0):
        tree.data[rng.randrange(len(tree.data))] ^= 1 << rng.randrange(8)
    return f"{times} bits"


def _blank(tree: Tree, rng: Random) -> str:
    at, size = rng.randrange(len(tree.data)), rng.choice((4, 64, 1024))
    filler = rng.choice((b"\0", b"\xff"))
    tree.data[at : at + size] = filler * len(tree.data[at : at + size])
    return f"{size} bytes of {filler!r} at {at}"


def _cut(tree: Tree, rng: Random) -> str:
    left = rng.choice((rng.randrange(len(tree.data)), rng.choice(tree.parts).start, rng.choice(tree.parts).end - 1))
    del tree.data[max(12, left) :]
    return f"cut at {left}"


ANY: Final[tuple[Change, ...]] = (
    _size, _size, _kind, _swap, _duplicate, _remove, _move, _nest, _junk, _number, _number, _number, _setup, _setup, bits, bits,
    _blank, _cut,
)  # fmt: skip
