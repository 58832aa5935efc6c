"""F10: a film of ten minutes against one of a minute: the memory of one, and at most ten times the time.

What belongs here: the films, which are the same minute once and ten times over, and the gate about memory. What does not: timing (`pairs`).

    python -m benchmarks.length [--full]

The whole pipeline runs with the demo models, each length in a process of its own that a short film has warmed. The film is 320x180 with
five frames a second, one of which is looked at; `--full` has 25, of which five are. In the row's line the
peer is the longer film.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import psutil

from benchmarks.pairs import HEADER, Row, Side, Work, peak_mb, row_of, warmed
from reframer_pipeline.database import embedded
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file

SEED: Final = 1_000_005
TIMES: Final = 10
MEMORY: Final = 1.1
PAIRS: Final = 2  # ten minutes of film take their time


@dataclass(frozen=True)
class Ran:
    """What a run left.

    Attributes:
        peak_mb: Largest resident memory of the process.
        children_mb: That of the largest FFmpeg that it started.
        frames: Source frames in the film's rows.
    """

    peak_mb: float
    children_mb: float
    frames: int


def pipeline(home: Path, short: Path, film: Path) -> Work:
    """All six stages, again with each run."""
    settings = Settings(home=home, models="demo", device="cpu")
    storage = storage_of(settings)

    def run(path: Path) -> int:
        video_id = ingest_file(path, storage.db, storage.store, settings).video_id
        assert video_id is not None
        (outcome,) = run_videos(settings, [video_id], force=True)
        assert outcome.status == "completed", outcome
        stored = "SELECT row_count FROM results WHERE video_id = %s AND stage = 'frames'"
        return int(storage.db.fetch(stored, (video_id,))[0]["row_count"])

    def work() -> Ran:
        with largest("ffmpeg") as seen:
            frames = run(film)
        return Ran(peak_mb(), max(seen, default=0.0), frames)

    run(short)
    return work


@contextmanager
def largest(name: str) -> Iterator[list[float]]:
    """MB at most of each process of this name below this one, looked at five times a second. `getrusage` counts other children, too."""
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            for one in psutil.Process().children(recursive=True):
                with suppress(psutil.Error, OSError):
                    if one.name() == name:
                        status = Path(f"/proc/{one.pid}/status").read_text()
                        seen.extend(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


def steady(ten: Ran, one: Ran) -> str:
    """The gate."""
    assert one.children_mb and ten.children_mb, "no FFmpeg was seen"
    memory, decoder = ten.peak_mb / one.peak_mb, ten.children_mb / one.children_mb
    assert ten.frames == TIMES * one.frames, f"{ten.frames} frames are not {TIMES} times {one.frames}"
    assert memory <= MEMORY and decoder <= MEMORY, f"memory {memory:.2f} times, FFmpeg's {decoder:.2f} times"
    return f"{ten.frames} frames; memory {memory:.2f} times, FFmpeg's {decoder:.2f} times"


def rows(pairs: int = PAIRS, quick: bool = False, fps: int = 5) -> Iterator[Row]:
    """One row, of two pairs at most; `quick` is a tenth of both lengths."""
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        folder = Path(name)
        seconds = 6 if quick else 60
        short, one, ten = (folder / f"{film}.mp4" for film in ("short", "one", "ten"))
        write_clip(make_clip(SEED + 1, width=320, height=180, n_frames=4 * fps, fps=Fraction(fps), shots=1), short)
        write_clip(make_clip(SEED, width=320, height=180, n_frames=seconds * fps, fps=Fraction(fps)), one)
        loop = ["-stream_loop", str(TIMES - 1), "-i", str(one), "-c", "copy", str(ten)]
        subprocess.run(["ffmpeg", "-v", "error", *loop], check=True)
        homes = [folder / "home-ten", folder / "home-one"]
        try:
            sides = [Side(home.name, pipeline, (home, short, film)) for home, film in zip(homes, (ten, one), strict=True)]
            with warmed(sides) as warm:
                took = []
                for number in range(min(PAIRS, pairs)):  # who goes first changes
                    found = [side.run() for side in (warm if number % 2 == 0 else reversed(warm))]
                    took.append((found[number % 2], found[1 - number % 2]))
        finally:
            for home in homes:
                embedded.stop(Settings(home=home))
        what = f"{seconds} s of film, {fps} frames a second"
        yield row_of("F10", what, f"{TIMES} times as long", took, steady, f"time ≤ 10.5, memory ≤ {MEMORY}")


def main() -> None:
    """Print the line."""
    print(HEADER)
    for row in rows(fps=25 if "--full" in sys.argv else 5):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
