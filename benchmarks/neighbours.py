"""A busy neighbour: masks of a few frames, alone and beside two processes that spin (row F12).

By default the threads of OpenMP spin while they wait for each other, and so take the processor from the one that they wait for. Ours
sleep (`OMP_WAIT_POLICY`, set in `reframer_pipeline/__init__.py`).

    python -m benchmarks.neighbours [--pairs 5]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.util import Finalize
from typing import Final

from benchmarks.models import same_masks, scene
from benchmarks.pairs import HEADER, PAIRS, Row, Side, Work, rounds, row_of, warmed

FRAMES: Final = 4
NEIGHBOURS: Final = 2


def masks(sleeps: bool, busy: bool) -> Work:
    """Masks of some frames by the demo's SAM2.

    Args:
        sleeps: Waiting threads sleep, as ours do; else as they do by default.
        busy: Neighbours spin meanwhile.
    """
    if not sleeps:
        os.environ.pop("OMP_WAIT_POLICY", None)  # torch is not imported yet
    from reframer_pipeline.vision.demo_models import build_demo_sam2
    from reframer_pipeline.vision.sam2_single import Sam2Segmenter
    from reframer_pipeline.vision.single_frames import for_single_frames

    segmenter = Sam2Segmenter(for_single_frames(build_demo_sam2(), "cpu"))
    frames, boxes = scene(FRAMES)
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(NEIGHBOURS if busy else 0)]

    def tell(what: signal.Signals) -> None:
        for other in others:
            other.send_signal(what)

    tell(signal.SIGSTOP)
    Finalize(None, tell, (signal.SIGKILL,), exitpriority=1)

    def work() -> list[str]:
        tell(signal.SIGCONT)
        try:
            found = segmenter.segment([(frame, boxes) for frame in frames])
        finally:
            tell(signal.SIGSTOP)
        return [mask.rle for mask in found[-1]]

    return work


def rows(pairs: int = PAIRS, quick: bool = False) -> Iterator[Row]:
    """F12, as it is measured."""
    what = f"masks of {FRAMES} frames, demo SAM2"
    sides = [Side("ours", masks, (True, busy)) for busy in (False, True)]
    if not quick:
        sides += [Side("spinning", masks, (False, busy)) for busy in (False, True)]
    with warmed(sides) as warm:
        took = rounds(warm, pairs)
    alone, busy, spinning, spinning_busy = range(4)
    compared = [("alone", "the same beside two neighbours", busy, alone, "≤ 2.5 by the clock")]
    if not quick:
        compared += [("alone", "spinning", spinning, alone, "≥ 1.0"), ("two neighbours", "spinning", spinning_busy, busy, "≥ 1.0")]
    for where, peer, theirs, own, target in compared:
        yield row_of("F12", f"{what}, {where}", peer, [(one[theirs], one[own]) for one in took], same_masks, target)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args()
    print(HEADER)
    for row in rows(options.pairs):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
