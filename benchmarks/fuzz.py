"""Mutated files through the stages metadata and frames: `python -m benchmarks.fuzz --mutants 10000 [--seed S]`.

Each mutant is a small real file with one to three changes of its boxes or chunks. Printed are how many ended by which code, what broke a
promise, and the slowest and the largest by name. A mutant's name, such as `plain.mp4:17`, says the file and the number that make it again.
The process exits with 1 if one broke a promise: an exception without a type, a failure that does not blame the file, a process that died, a
limit that was passed, something left behind. Small files of the shared media are used too where they are.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

from reframer_pipeline_tests.faults.fates import LIMITS, Fate, fate_of
from reframer_pipeline_tests.faults.mutants import mutant
from reframer_pipeline_tests.faults.seeds import made, shared

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "media"
SHOWN = 5  # of the slowest and the largest
TOLD_EVERY_S = 30.0


def one(file: Path, number: int, folder: Path, keep: Path | None) -> tuple[str, str, Fate]:
    """The name of a mutant, what was changed in it, and how it ended."""
    data, changed = mutant(file.read_bytes(), number)
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        path, scratch = Path(inner) / "mutant", Path(inner) / "scratch"
        path.write_bytes(data)
        scratch.mkdir()
        fate = fate_of(path, scratch)
    name = f"{file.name}:{number}"
    if fate.wrong and keep:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / name.replace(":", "-")).write_bytes(data)
    return name, changed, fate


def all_of(files: list[Path], numbers: range, folder: Path, keep: Path | None, until: float) -> Iterator[tuple[str, str, Fate]]:
    """The fates as they come; nothing is begun any more after a time of the monotonic clock."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting = (pool.submit(one, files[number % len(files)], number, folder, keep) for number in numbers if time.monotonic() < until)
        open_: set[Future[tuple[str, str, Fate]]] = set(islice(waiting, os.cpu_count() or 1))
        while open_:
            done, open_ = wait(open_, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
            open_ |= set(islice(waiting, len(done)))


def told(fates: list[tuple[str, str, Fate]], seconds: float) -> bool:
    """Print what came out; whether all promises were kept."""
    print(f"\n{len(fates)} mutants in {seconds:.0f} s\n\n| end | mutants |\n|---|---|")
    for code, count in Counter(fate.code for _, _, fate in fates).most_common():
        print(f"| {code} | {count} |")
    wrong = [(name, changed, fate) for name, changed, fate in fates if fate.wrong]
    print(f"\nbroke a promise: {len(wrong)}")
    for name, changed, fate in wrong:
        print(f"- {name} ({changed}): {fate.wrong}\n  {fate.says}")
    for name, changed, fate in [each for each in fates if each[2].code == "media_limit_exceeded"][:SHOWN]:
        print(f"ran into a limit: {name} ({changed}): {fate.says}")
    for what, unit, size in (
        ("slowest", "s", lambda fate: fate.seconds),
        ("most memory of a tool", "MB", lambda fate: fate.tool_bytes / 1e6),
        ("most memory of our process", "MB", lambda fate: fate.own_bytes / 1e6),
    ):
        worst = sorted(fates, key=lambda each: -size(each[2]))[:SHOWN]
        print(f"{what}: " + "; ".join(f"{size(fate):.1f} {unit} {name} ({fate.code})" for name, _, fate in worst))
    return not wrong


def main() -> None:
    """Make the files, run the mutants, tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mutants", type=int, default=10_000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="number of the first")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no more after so long")
    parser.add_argument("--media", type=Path, default=MEDIA, help="the shared media")
    parser.add_argument("--keep", type=Path, help="folder for mutants that broke a promise")
    arguments = parser.parse_args()
    began = last = time.monotonic()
    fates: list[tuple[str, str, Fate]] = []
    with tempfile.TemporaryDirectory(prefix="reframer-fuzz-") as folder:
        seeds = Path(folder) / "seeds"
        seeds.mkdir()
        files = made(seeds) + (shared(arguments.media) if arguments.media.is_dir() else [])
        print(f"{len(files)} files, limits {LIMITS.memory_mb} MB, {LIMITS.max_frames} frames, {LIMITS.max_pixels} pixels", flush=True)
        numbers = range(arguments.seed, arguments.seed + arguments.mutants)
        for fate in all_of(files, numbers, Path(folder), arguments.keep, began + 60 * arguments.minutes):
            fates.append(fate)
            if time.monotonic() - last > TOLD_EVERY_S or fate[2].wrong:
                last = time.monotonic()
                wrong = sum(bool(each.wrong) for _, _, each in fates)
                print(f"{len(fates)} of {arguments.mutants} after {last - began:.0f} s, {wrong} wrong", file=sys.stderr, flush=True)
    if not told(fates, time.monotonic() - began):
        sys.exit(1)


if __name__ == "__main__":
    main()
