"""What surrounds the stages: eight one-second clips in a warm process against their stages alone, and what Dagster's pictures take.

    python -m benchmarks.overhead [--quick]

What belongs here: rows F3 and F8. What does not: the stages themselves. Both sides of a row are parts of one and the same run, so the noise
of the machine is in both: in F3 the peer is what the stages alone took, in F8 ours is what tables and contact sheets took of the whole. The
demo models draw and look at drawn clips, on the CPU.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from benchmarks.homes import fresh_home
from benchmarks.pairs import HEADER, PAIRS, Gate, Row, Side, Took, Work, rounds, row_of, timed, warmed
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.settings import Settings

SEED: Final = 4_000_000
FPS: Final = 25
CLIPS: Final = 8
SIZES: Final = ((640, 360), (1920, 1080))
SECONDS: Final = 6  # of the clip whose pictures are measured
Parts = tuple[Took, Took]  # the whole, and the part of it; the whole's answer is the outcomes


def clip_rows(pairs: int = PAIRS, quick: bool = False) -> Iterator[Row]:
    """F3. Quick: three clips."""
    clips = 3 if quick else CLIPS
    (took,) = _measured(pairs, clips, [SIZES[0]], 1, stages_alone)
    # the clock of the stages is that of their results, which is what people see
    sides = [(replace(part, wall=sum(sum(one.seconds.values()) for one in whole.answer)), whole) for whole, part in took]
    wall = statistics.median((whole.wall - 1.2 * stages.wall) / clips for stages, whole in sides)
    cpu = statistics.median((whole.cpu - 1.2 * stages.cpu) / clips for stages, whole in sides)
    target = f"<= 1.2 times the work + 0.5 s a clip; here + {wall:.2f} s, of the processor + {cpu:.2f} s"
    yield row_of("F3", f"{clips} one-second clips, warm", "their stages alone", sides, _all_done(clips), target)


def picture_rows(pairs: int = PAIRS, quick: bool = False) -> Iterator[Row]:
    """F8 for each size. Quick: pictures of a short clip."""
    seconds = 2 if quick else SECONDS
    for (width, height), took in zip(SIZES, _measured(pairs, 1, SIZES, seconds, pictures), strict=True):
        what = f"pictures for Dagster's UI, {width}x{height}, {seconds} s"
        yield row_of("F8", what, "the video's whole run", took, _all_done(1), ">= 50, that is <= 2 %")


def stages_alone() -> tuple[Any, str]:
    """The function in which a stage's whole work happens, and where it is looked up."""
    from reframer_pipeline.orchestration.stage import stage_run

    return stage_run, "prepare"


def pictures() -> tuple[Any, str]:
    """The function that makes what Dagster's UI shows of a result."""
    from reframer_pipeline.orchestration.stage import io_manager

    return io_manager, "_pictures"


def run(home: str, clips: int, part: Callable[[], tuple[Any, str]]) -> Work:
    """A warm process: each call takes in so many copies of a clip, which differ in a comment, and computes them."""
    import torch

    from reframer_pipeline.results.storage import storage_of
    from reframer_pipeline.running.run_videos import run_videos
    from reframer_pipeline.uploads.ingest import ingest_file

    settings = Settings(home=Path(home), models="demo", device="cpu")
    storage, threads = storage_of(settings), torch.get_num_threads()
    module, name = part()
    taken: list[Took] = []
    real = getattr(module, name)

    def noted(*arguments: Any, **more: Any) -> Any:
        taken.append(timed(lambda: real(*arguments, **more)))
        return taken[-1].answer

    setattr(module, name, noted)

    def work(clip: str) -> Parts:
        ids = []
        for _ in range(clips):
            copy = Path(clip).with_name("copy.mp4")
            command = ["ffmpeg", "-v", "error", "-y", "-i", clip, "-c", "copy", "-metadata", f"comment={time.time_ns()}", str(copy)]
            subprocess.run(command, check=True)
            ids.append(str(ingest_file(copy, storage.db, storage.store, settings).video_id))
        taken.clear()
        torch.set_num_threads(threads)
        whole = timed(lambda: list(run_videos(settings, ids)))
        return whole, Took(None, sum(one.wall for one in taken), sum(one.cpu for one in taken), whole.peak_mb)

    return work


def _measured(
    pairs: int, clips: int, sizes: Sequence[tuple[int, int]], seconds: int, part: Callable[[], tuple[Any, str]]
) -> Iterator[list[Parts]]:
    """For each size so many runs, after one that does not count."""
    with fresh_home() as home, warmed([Side(part.__name__, run, (str(home), clips, part))]) as warm:
        for width, height in sizes:
            clip = home.parent / f"{width}.mp4"
            write_clip(make_clip(SEED, width=width, height=height, n_frames=FPS * seconds, shots=1), clip)
            yield [took.answer for (took,) in rounds(warm, pairs, str(clip))]


def _all_done(clips: int) -> Gate:
    def gate(one: Any, other: Any) -> str:
        outcomes = one or other
        assert [outcome.status for outcome in outcomes] == ["completed"] * clips, outcomes
        assert all(len(outcome.seconds) == 6 for outcome in outcomes), "a stage was not computed"
        return "all six stages computed"

    return gate


def main() -> None:
    """Measure, and print."""
    print(HEADER)
    quick = "--quick" in sys.argv
    for row in chain(clip_rows(quick=quick), picture_rows(quick=quick)):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
