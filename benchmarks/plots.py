"""What a video costs, as two plots: against its length, and against how many there are. Ours beside the script of `benchmarks.script`.

    python -m benchmarks.plots [--runs 3]

What belongs here: the points and the pictures, `benchmarks/cost-length.svg` and `benchmarks/cost-videos.svg`. What does not: the two ways
themselves (`whole`). Both sides are warm, in a process each, and take turns; a point is the median. Demo models, drawn films of 640x360.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.homes import fresh_home
from benchmarks.pairs import Side, Took, rounds, warmed
from benchmarks.whole import ours, script
from reframer_pipeline.demo.world import make_clip, write_clip

SEED: Final = 3_950_001
SECONDS: Final = (1, 3, 10, 30)
VIDEOS: Final = (1, 2, 4, 8)  # of a second each
HERE: Final = Path(__file__).parent
WAYS: Final = {"reframer_pipeline": ours, "the script": script}
Points = dict[str, list[tuple[float, float, float]]]  # of each way: what it is plotted against, seconds, seconds of the processor


def several(way: str, clips: list[str], home: str) -> Callable[[], Any]:
    """One after the other, in one process."""
    once = WAYS[way](home)

    def work() -> int:
        for clip in clips:  # each time it is another upload
            once(clip)
        return len(clips)

    return work


def measured(clips: list[str], runs: int) -> dict[str, Took]:
    """Both ways over these clips: the medians."""
    with fresh_home() as first, fresh_home() as second:
        sides = [Side(way, several, (way, clips, str(home))) for way, home in zip(WAYS, (first, second), strict=True)]
        with warmed(sides) as warm:
            took = rounds(warm, runs)
    return {
        side.name: Took(None, *(statistics.median(getattr(pair[at], figure) for pair in took) for figure in ("wall", "cpu", "peak_mb")))
        for at, side in enumerate(sides)
    }


def points(films: dict[float, list[str]], runs: int) -> Points:
    """A point for each set of films, as it is measured."""
    found: Points = {way: [] for way in WAYS}
    for at, clips in films.items():
        for way, took in measured(clips, runs).items():
            found[way].append((at, took.wall, took.cpu))
            print(f"{at:6.0f}  {way:20} {took.wall:7.2f} s  {took.cpu:7.2f} s of the processor", flush=True)
    return found


def drawn(found: Points, path: Path, against: str, hours: Callable[[float], float]) -> None:
    """One picture: seconds of the processor, and as a second axis's note the hours of video a day that the last point comes to."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = path.stem  # the same points give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    for way, values in found.items():
        places, _, seconds = zip(*values, strict=True)
        a_day = hours(places[-1]) / (values[-1][1] / 86_400)
        axes.plot(places, seconds, marker="o", label=f"{way}: {a_day:.1f} hours of video a day at the right end")
    axes.set(xlabel=against, ylabel="seconds of the processor", ylim=(0, None), xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def film(folder: Path, seconds: int) -> str:
    path = folder / f"{seconds}.mp4"
    write_clip(make_clip(SEED + seconds, n_frames=25 * seconds), path)
    return str(path)


def main() -> None:
    """Measure, print the points, write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lengths = points({seconds: [film(folder, seconds)] for seconds in SECONDS}, runs)
        drawn(lengths, HERE / "cost-length.svg", "length of the video, seconds", lambda seconds: seconds / 3600)
        counts = points({count: [film(folder, 1)] * count for count in VIDEOS}, runs)
        drawn(counts, HERE / "cost-videos.svg", "videos of one second, one after the other", lambda count: count / 3600)


if __name__ == "__main__":
    main()
