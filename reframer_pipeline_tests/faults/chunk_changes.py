"""Changes of the chunks of an AVI: rates, lengths, forms, the index.

What belongs here: the changes, and the list of them. What does not: what any part can have (`changes`).
"""

from __future__ import annotations

from random import Random
from typing import Final

from reframer_pipeline_tests.faults.changes import Change, extreme, name_of
from reframer_pipeline_tests.faults.trees import Tree

_PLACES: Final = {b"strh": (0, 4, 20, 20, 24, 24, 28, 32, 36, 44), b"avih": (0, 12, 16, 24, 32), b"strf": (0, 4, 8, 14, 16, 20)}


def _head(tree: Tree, rng: Random) -> str:
    """A rate, a length, a size, a number of streams or a form."""
    found = tree.named(b"strh", b"avih", b"strf")
    if not found:
        return ""
    part, value = rng.choice(found), extreme(rng)
    at = rng.choice(_PLACES[part.kind])
    return f"{name_of(part)}+{at} {value}" if tree.put(part.content + at, value) else ""


def _index(tree: Tree, rng: Random) -> str:
    found = tree.named(b"idx1")
    if not found:
        return ""
    part = rng.choice(found)
    if rng.random() < 0.4:
        tree.data[part.content : part.end] = rng.randbytes(max(0, part.end - part.content))
        return "idx1 of noise"
    at, value = part.content + 4 * rng.randrange(max(1, (part.end - part.content) // 4)), extreme(rng)
    return f"idx1+{at - part.content} {value}" if tree.put(at, value) else ""


def _list_size(tree: Tree, rng: Random) -> str:
    part = rng.choice([one for one in tree.parts if tree.data[one.start : one.start + 4] in (b"RIFF", b"LIST")] or tree.parts)
    size = rng.choice((0, 3, 4, 0x7FFF_FFFF, 0xFFFF_FFF0, 0xFFFF_FFFF, rng.randrange(len(tree.data))))
    tree.put_size(part, size)
    return f"size of {name_of(part)} {size}"


def _packets(tree: Tree, rng: Random) -> str:
    """Pictures that belong to another stream, or are something else."""
    found = tree.named(b"00dc", b"00db", b"01wb")
    name = rng.choice((b"00dc", b"01wb", b"02dc", b"99dc", b"00pc", b"ix00", b"JUNK", b"rec "))
    for part in found:
        if rng.random() < 0.5:
            tree.data[part.start : part.start + 4] = name
    return f"chunks called {name!r}" if found else ""


OF_AVI: Final[tuple[Change, ...]] = (_head, _head, _head, _head, _head, _index, _index, _list_size, _packets)
