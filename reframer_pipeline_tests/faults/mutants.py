"""Small real files, changed as somebody would who knows how they are built. The same file and number give the same mutant.

What belongs here: which changes a number stands for. What does not: the changes (`changes`, `box_changes`, `chunk_changes`), the files
(`seeds`), what the pipeline makes of a mutant (`fates`).
"""

from __future__ import annotations

from random import Random
from typing import Final

from reframer_pipeline_tests.faults.box_changes import OF_MP4
from reframer_pipeline_tests.faults.changes import ANY, bits
from reframer_pipeline_tests.faults.chunk_changes import OF_AVI
from reframer_pipeline_tests.faults.trees import Tree

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
    while len(told) < wanted and data:
        tree = Tree(data)
        changes = ANY + (OF_AVI if tree.avi else OF_MP4)
        done = rng.choice(changes)(tree, rng) if tree.parts else ""
        if not done and not tree.parts:
            done = bits(tree, rng)
        changed = bytes(tree.data[:_MOST_BYTES])
        if done and changed != data:  # what stood there may be what was to stand there
            told.append(done)
            data = changed
    return data, ", ".join(told)
