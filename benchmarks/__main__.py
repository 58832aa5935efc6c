"""`make bench`: every row beside its peer, as one table, and two plots.

    python -m benchmarks [F1 F4 …] [--quick] [--publish]

What belongs here: which files there are, the table, and the guard of CI. What does not: a measurement.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.homes import one_weights_folder
from benchmarks.pairs import HEADER, PAIRS, Row

MEASURES: Final = {  # by row: the file, and the function in it that measures this row and no other
    "F1": ("whole", "warm_rows"),
    "F2": ("whole", "cold_rows"),
    "F3": ("overhead", "clip_rows"),
    "F8": ("overhead", "picture_rows"),
    "F4": ("decoding", "rows"),
    "F5": ("models", "detector_rows"),
    "F6": ("models", "segmenter_rows"),
    "F7": ("profiles", "rows"),
    "F9": ("rows", "rows"),
    "F10": ("length", "rows"),
    "F12": ("neighbours", "rows"),
}
GUARDED: Final = ("F1", "F3", "F8")
ALLOWED: Final = 0.8  # of what is published: below that somebody made it slower
PUBLISHED: Final = Path(__file__).with_name("published.json")
VERSIONS: Final = ("torch", "ultralytics", "sam2", "opencv-python-headless", "dagster", "psycopg", "numpy")


def measured(wanted: set[str], pairs: int, quick: bool) -> Iterator[Row]:
    """The rows, one after the other as they are measured."""
    for key, (name, measure) in MEASURES.items():
        if key in wanted:
            began = time.monotonic()
            yield from getattr(importlib.import_module(f"benchmarks.{name}"), measure)(pairs, quick)
            print(f"{key} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def hardware() -> str:
    """What this was measured on, in a line."""
    import psutil

    model = next((line.split(":")[1].strip() for line in _cpu_facts() if line.startswith("model name")), platform.processor())
    memory = psutil.virtual_memory().total / 1e9
    installed = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    load = psutil.getloadavg()[0]
    return f"{psutil.cpu_count()} cores of {model}, {memory:.0f} GB, load {load:.1f}. Python {platform.python_version()}, {installed}."


def _cpu_facts() -> list[str]:
    facts = Path("/proc/cpuinfo")
    return facts.read_text().splitlines() if facts.exists() else []


def main() -> None:
    """Measure, print, and fail where a gate failed or a guarded row is slower than published."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = list(MEASURES)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which, of {', '.join(every)}; all, unless some are named")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="how many pairs a row")
    parser.add_argument(
        "--quick", action="store_true", help=f"{', '.join(GUARDED)} only, at their smallest, held against what is published"
    )
    parser.add_argument("--publish", action="store_true", help="write what CI holds later versions against")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(every):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    wanted = set(arguments.rows) or (set(GUARDED) if arguments.quick or arguments.publish else set(every))
    print(hardware(), HEADER, sep="\n\n", flush=True)
    pairs = min(3, arguments.pairs) if arguments.quick else arguments.pairs
    found = []
    with one_weights_folder():
        for row in measured(wanted, pairs, arguments.quick or arguments.publish):
            found.append(row)
            print(row.line(), flush=True)
    if arguments.publish:
        PUBLISHED.write_text(json.dumps({_name(row): round(row.ratio, 3) for row in found}, indent=1) + "\n")
    wrong = [f"{_name(row)}: {row.gate}" for row in found if row.gate.startswith("FAILED")]
    if arguments.quick:
        wrong += _slower(found, wanted)
    if wrong:
        sys.exit("\n".join(["", *wrong]))


def _slower(found: list[Row], wanted: set[str]) -> list[str]:
    """The guarded rows among those wanted that are slower than published, as sentences."""
    published = {name: ratio for name, ratio in json.loads(PUBLISHED.read_text()).items() if name.split()[0] in wanted}
    missing = published.keys() - {_name(row) for row in found}
    slower = [row for row in found if _name(row) in published and row.ratio < ALLOWED * published[_name(row)]]
    return [f"{name}: was not measured" for name in sorted(missing)] + [
        f"{_name(row)}: {row.ratio:.2f} by the processor, published is {published[_name(row)]:.2f}; find out what has become slower"
        for row in slower
    ]


def _name(row: Row) -> str:
    return f"{row.key} {row.what}"


if __name__ == "__main__":
    main()
