"""Small real files, changed as somebody would who knows how they are built. The same file and number give the same mutant.

What belongs here: the changes, and which a number stands for. What does not: taking files apart (`trees`), the files (`seeds`), what the
pipeline makes of a mutant (`fates`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Final

from reframer_pipeline_tests.faults.trees import Part, Tree

Change = Callable[[Tree, Random], str]  # says what it did; nothing where the file has no such place

EXTREMES: Final = (0, 1, 2, 255, 0x10000, 0x00FF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)
_KINDS: Final = (
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"stts", b"stsz", b"stco", b"co64", b"ctts", b"stsc", b"elst", b"moof", b"mdat",
    b"free", b"cmov", b"dcom", b"cmvd", b"uuid", b"meta", b"ilst", b"sidx", b"senc", b"pssh", b"tfdt", b"trun", b"avcC", b"tmcd", b"chap",
)  # fmt: skip
_CODES: Final = (
    b"avc1",
    b"hvc1",
    b"mp4v",
    b"apcn",
    b"mjpa",
    b"png ",
    b"raw ",
    b"rpza",
    b"SVQ3",
    b"qtrle"[:4],
    b"encv",
    b"tmcd",
    b"\0\0\0\0",
)
_AVI_KINDS: Final = (b"LIST", b"RIFF", b"JUNK", b"strh", b"strf", b"avih", b"idx1", b"indx", b"ix00", b"00dc", b"01wb", b"99dc", b"00pc")
_TABLES: Final = (b"stsz", b"stco", b"co64", b"stts", b"stsc", b"ctts", b"stss", b"elst", b"trun", b"sidx", b"stsd", b"dref")
_SETUPS: Final = (b"avcC", b"hvcC", b"esds", b"av1C", b"strf")
_PLACES: Final = {b"strh": (0, 4, 20, 20, 24, 24, 28, 32, 36, 44), b"avih": (0, 12, 16, 24, 32), b"strf": (0, 4, 8, 14, 16, 20)}
_MOST_BYTES: Final = 4_000_000


def mutant(data: bytes, number: int) -> tuple[bytes, str]:
    """A file with one to three changes.

    Args:
        data: The file as it was.
        number: Which mutant of it.

    Returns:
        Its bytes, and what was changed, for people.
    """
    rng = Random(number)
    told: list[str] = []
    wanted = rng.choice((1, 1, 1, 2, 3))
    while len(told) < wanted:
        tree = Tree(data)
        changes = _ANY + (_OF_AVI if tree.avi else _OF_MP4)
        done = rng.choice(changes)(tree, rng) if tree.parts else ""
        if not done and not tree.parts:
            done = _bits(tree, rng)
        changed = bytes(tree.data[:_MOST_BYTES])
        if done and changed != data:  # what stood there may be what was to stand there
            told.append(done)
            data = changed
    return data, ", ".join(told)


def _name(part: Part) -> str:
    return part.kind.decode("latin-1").encode("ascii", "backslashreplace").decode()


def _extreme(rng: Random) -> int:
    return rng.choice((*EXTREMES, rng.randrange(1 << 32)))


# --- parts of either


def _size(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    real = part.end - part.start - (8 if tree.avi else 0)
    size = rng.choice((0, 1, 2, 7, 8, 9, real - 1, real + 1, real * 2, len(tree.data), 0x7FFF_FFFF, 0xFFFF_FFFF, rng.randrange(1 << 32)))
    tree.put_size(part, size)
    return f"size of {_name(part)} {size}"


def _kind(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    kind = rng.choice((*(_AVI_KINDS if tree.avi else _KINDS), rng.randbytes(4)))
    at = part.start if tree.avi else part.start + 4
    tree.data[at : at + 4] = kind
    return f"{_name(part)} called {kind!r}"


def _swap(tree: Tree, rng: Random) -> str:
    one, other = rng.choice(tree.parts), rng.choice(tree.parts)
    step = 0 if tree.avi else 4
    first, second = (slice(part.start + step, part.start + step + 4) for part in (one, other))
    tree.data[first], tree.data[second] = tree.data[second], tree.data[first]
    return f"{_name(one)} and {_name(other)} swap names"


def _duplicate(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    whole = bytes(tree.data[part.start : part.end])
    times = min(rng.choice((1, 1, 2, 40, 3000)), max(1, 1_000_000 // max(1, len(whole))))
    tree.splice(part.end, 0, whole * times, part.above)
    return f"{_name(part)} {times} times more"


def _remove(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    tree.splice(part.start, part.end - part.start, b"", part.above)
    return f"no {_name(part)}"


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
    return f"{_name(part)} before {_name(place)}"


def _nest(tree: Tree, rng: Random) -> str:
    part, levels = rng.choice(tree.parts), rng.choice((1, 3, 30, 1000, 20_000))
    whole, kind = bytes(tree.data[part.start : part.end]), rng.choice((b"moov", b"trak", b"udta", b"meta", b"stbl"))
    heads, size = [], len(whole)
    for _ in range(levels):
        size += 12 if tree.avi else 8
        heads.append(struct.pack("<4sI4s", b"LIST", size - 8, b"hdrl") if tree.avi else struct.pack(">I4s", size, kind))
    tree.splice(part.start, len(whole), b"".join(reversed(heads)) + whole, part.above)
    return f"{_name(part)} {levels} deep"


def _junk(tree: Tree, rng: Random) -> str:
    part = rng.choice(tree.parts)
    tree.splice(part.content, 0, rng.randbytes(rng.choice((1, 4, 100))), (*part.above, part.start))
    return f"junk in {_name(part)}"


def _number(tree: Tree, rng: Random) -> str:
    """Any number of any part but the media."""
    part = rng.choice(tree.parts)
    room = min(part.end, part.content + 128) - part.content
    if room < 4 or part.kind == b"mdat":
        return ""
    at, value, wide = rng.randrange(room - 3), _extreme(rng), rng.choice((1, 2, 4, 4))
    return f"{_name(part)}+{at} {value}" if tree.put(part.content + at, value, wide=wide) else ""


def _setup(tree: Tree, rng: Random) -> str:
    found = tree.named(*_SETUPS)
    if not found:
        return ""
    part = rng.choice(found)
    for _ in range(rng.randint(1, 8)):
        tree.data[rng.randrange(part.content, max(part.content + 1, part.end))] ^= 1 << rng.randrange(8)
    return f"bits of {_name(part)}"


def _bits(tree: Tree, rng: Random) -> str:
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


# --- boxes


def _table(tree: Tree, rng: Random) -> str:
    found = tree.named(*_TABLES)
    if not found:
        return ""
    part = rng.choice(found)
    start = part.start + 8 + (8 if part.kind == b"stsz" else 4)
    places = (start, start, part.start + 12, rng.randrange(start, max(start + 1, part.end - 3)))
    at, value = rng.choice(places), _extreme(rng)
    return f"{_name(part)}+{at - part.start - 8} {value}" if tree.put(at, value) else ""


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
    part, value = rng.choice(found), _extreme(rng)
    late = 8 if tree.data[part.content : part.content + 1] == b"\1" else 0
    at = rng.choice((12, 16) if part.kind != b"tkhd" else (20, 12)) + late
    return f"{_name(part)}+{at} {value}" if tree.put(part.content + at, value) else ""


def _matrix(tree: Tree, rng: Random) -> str:
    found = tree.named(b"tkhd", b"mvhd")
    if not found:
        return ""
    part = rng.choice(found)
    at = part.content + (40 if part.kind == b"tkhd" else 36)
    for place in range(9):
        tree.put(at + 4 * place, rng.choice((_extreme(rng), 0x10000, 0)))
    return f"matrix of {_name(part)}"


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
    return f"size of {_name(part)} {size} in 64 bits"


def _handler(tree: Tree, rng: Random) -> str:
    found = tree.named(b"hdlr", b"avc1", b"hvc1", b"mp4v", b"mp4a", b"mjpa")
    if not found:
        return ""
    part = rng.choice(found)
    name = rng.choice((b"vide", b"soun", b"text", b"meta", b"tmcd", b"\0\0\0\0")) if part.kind == b"hdlr" else rng.choice(_CODES)
    at = part.content + 8 if part.kind == b"hdlr" else part.start + 4
    tree.data[at : at + 4] = name
    return f"{_name(part)} of {name!r}"


# --- chunks


def _head(tree: Tree, rng: Random) -> str:
    """A rate, a length, a size, a number of streams or a form."""
    found = tree.named(b"strh", b"avih", b"strf")
    if not found:
        return ""
    part, value = rng.choice(found), _extreme(rng)
    at = rng.choice(
        {b"strh": (0, 4, 20, 20, 24, 24, 28, 32, 36, 44), b"avih": (0, 12, 16, 24, 32), b"strf": (0, 4, 8, 14, 16, 20)}[part.kind]
    )
    return f"{_name(part)}+{at} {value}" if tree.put(part.content + at, value) else ""


def _index(tree: Tree, rng: Random) -> str:
    found = tree.named(b"idx1")
    if not found:
        return ""
    part = rng.choice(found)
    if rng.random() < 0.4:
        tree.data[part.content : part.end] = rng.randbytes(part.end - part.content)
        return "idx1 of noise"
    at, value = part.content + 4 * rng.randrange(max(1, (part.end - part.content) // 4)), _extreme(rng)
    return f"idx1+{at - part.content} {value}" if tree.put(at, value) else ""


def _list_size(tree: Tree, rng: Random) -> str:
    part = rng.choice([one for one in tree.parts if tree.data[one.start : one.start + 4] in (b"RIFF", b"LIST")] or tree.parts)
    size = rng.choice((0, 3, 4, 0x7FFF_FFFF, 0xFFFF_FFF0, 0xFFFF_FFFF, rng.randrange(len(tree.data))))
    tree.put_size(part, size)
    return f"size of {_name(part)} {size}"


def _packets(tree: Tree, rng: Random) -> str:
    """Pictures that belong to another stream, or are something else."""
    found = tree.named(b"00dc", b"00db", b"01wb")
    name = rng.choice((b"00dc", b"01wb", b"02dc", b"99dc", b"00pc", b"ix00", b"JUNK", b"rec "))
    for part in found:
        if rng.random() < 0.5:
            tree.data[part.start : part.start + 4] = name
    return f"chunks called {name!r}" if found else ""


_ANY: Final[tuple[Change, ...]] = (
    _size, _size, _kind, _swap, _duplicate, _remove, _move, _nest, _junk, _number, _number, _number, _setup, _setup, _bits, _bits,
    _blank, _cut,
)  # fmt: skip
_OF_MP4: Final[tuple[Change, ...]] = (
    _table, _table, _table, _table, _table, _table, _offsets, _times, _times, _times, _matrix, _sides, _sides, _long_size, _handler,
)  # fmt: skip
_OF_AVI: Final[tuple[Change, ...]] = (_head, _head, _head, _head, _head, _index, _index, _list_size, _packets)
