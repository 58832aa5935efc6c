"""Mattes of drawn clips against their exact truth, on all frames; and their time and memory.

What belongs here: matching tracks with drawn objects, the scores, the table. What does not: making mattes (`editing.matte`).

    python -m benchmarks.mattes [--clips N]

Clips of seeds that no training saw are taken through the six stages with the demo models. Of each track, compared are: the matte, what
the segmenter finds in each frame alone, and the last stored mask, held until the next. A track stands for the drawn object with which its
stored masks overlap most. Counted are frames in which the object counts (`demo.truth`).

*Flicker* is the share of pixels that change from one frame to the next without the truth changing there, of the object's pixels in the two
frames together. It holds what trembles, and also an edge in the wrong place that moves along with the object. The truth's own change is
stated beside it: so much of the object's pixels are others in the next frame.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.homes import fresh_home
from reframer_pipeline.demo.truth import MIN_SIZE, MIN_VISIBLE
from reframer_pipeline.demo.world import Clip, TruthObject, make_clip, write_clip
from reframer_pipeline.editing.matte.making import make_matte
from reframer_pipeline.editing.matte.mattes import mattes
from reframer_pipeline.editing.matte.order import Stored, Wanted, order_of, paths
from reframer_pipeline.editing.matte.path import TrackPath
from reframer_pipeline.editing.source import read_frames, times_of
from reframer_pipeline.editing.writing import Shape
from reframer_pipeline.media.parts import part_of
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.sampled import sampled_times
from reframer_pipeline.reading import sheets
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.vision import models, rle
from reframer_pipeline_tests.descendants import used

FIRST_SEED: Final = 1_400_001
FRAMES: Final = 100
LONGER: Final = 4
Masks = dict[int, npt.NDArray[np.bool_]]
"""By source frame."""


@dataclass
class Tally:
    """Overlaps and changes of one way to fill the frames."""

    sampled: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    changed: int = 0
    area: int = 0

    def add(self, masks: Masks, truth: Mapping[int, TruthObject], seen: frozenset[int]) -> None:
        """Count a track's masks."""
        for number, mask in masks.items():
            if number not in truth:
                continue
            true = truth[number].mask
            overlap = float((mask & true).sum() / (mask | true).sum())
            (self.sampled if number in seen else self.between).append(overlap)
            if number - 1 in masks and number - 1 in truth:
                before = truth[number - 1].mask
                self.changed += int(((mask != masks[number - 1]) & (true == before)).sum())
                self.area += int((true | before).sum())

    def line(self, name: str) -> str:
        """A row of the table."""
        every = [*self.sampled, *self.between]
        figures = f"{np.mean(every):.3f} | {np.mean(self.between):.3f} | {np.mean(self.sampled):.3f}"
        return f"| {name} | {figures} | {self.changed / self.area:.2%} |"


def run(storage: Storage, path: Path) -> str:
    """All six stages. Returns the video's id."""
    video_id = ingest_file(path, storage.db, storage.store, storage.settings).video_id
    assert video_id is not None
    (outcome,) = run_videos(storage.settings, [video_id])
    assert outcome.status == "completed", outcome
    return video_id


def score(storage: Storage, clip: Clip, path: Path, tallies: Mapping[str, Tally]) -> tuple[int, int, int]:
    """Adds a clip to the tallies. Returns how many tracks, and of the objects' frames how many have a matte, and how many there are."""
    results = stored(storage, run(storage, path))
    truth = [clip.frame(number)[1] for number in range(clip.n_frames)]
    counted = sum(_counts(thing) for things in truth for thing in things)
    covered, found = set[tuple[int, int]](), paths(results)
    kept = {row["detection_id"]: row for batch in results["masks"].batches() for row in batch.to_pylist()}
    for track in found:
        seen = {int(n): _mask(kept[one]) for n, one in zip(track.frames, track.detection_ids, strict=True) if one in kept}
        owner = _owner(seen, truth)
        true = {n: thing for n, things in enumerate(truth) for thing in things if thing.object_id == owner and _counts(thing)}
        made = {name: dict(_made(storage, results, path, track, steady=name == "ours")) for name in ("ours", "alone")}
        made["held"] = dict(_held(sorted(made["ours"]), seen))
        for name, masks in made.items():
            tallies[name].add(masks, true, frozenset(seen))
        tallies["truth"].changed += sum(int((true[n].mask != true[n - 1].mask).sum()) for n in true if n - 1 in true)
        tallies["truth"].area += sum(int((true[n].mask | true[n - 1].mask).sum()) for n in true if n - 1 in true)
        covered |= {(owner, n) for n in made["ours"] if n in true}
    return len(found), len(covered), counted


def stored(storage: Storage, video_id: str) -> Stored:
    """The published results."""
    return {name: one for name, one in sheets.published(storage, video_id).items() if isinstance(one, StoredResult)}


def _made(storage: Storage, results: Stored, path: Path, track: TrackPath, *, steady: bool) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    metadata, settings = VideoMetadata.from_batch(next(results["metadata"].batches())), storage.settings
    start, stop = track.spans[0][0], track.spans[-1][1]
    sampled = frozenset(sampled_times(results["frames"])[0].tolist())
    frames = read_frames(part_of(path, metadata, start, stop), metadata, times_of(results["frames"], start, stop), settings)
    for frame, matte in mattes(frames, [track], results["masks"], sampled, models.segmenter(settings), steady=steady):
        if track.at(frame.number, frame.seconds) is not None:
            yield frame.number, matte > 0


def _held(numbers: Sequence[int], seen: Masks) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """The last stored mask; before there is one, the first."""
    for number in numbers:
        before = [one for one in seen if one <= number]
        yield number, seen[max(before) if before else min(seen)]


def _mask(row: Mapping[str, object]) -> npt.NDArray[np.bool_]:
    return rle.decode(str(row["rle"]), int(str(row["height"])), int(str(row["width"])))


def _owner(seen: Masks, truth: Sequence[Sequence[TruthObject]]) -> int:
    shared: dict[int, float] = defaultdict(float)
    for number, mask in seen.items():
        for thing in truth[number]:
            shared[thing.object_id] += float((mask & thing.mask).sum() / (mask | thing.mask).sum())
    return max(shared, key=lambda one: shared[one], default=-1)


def _counts(thing: TruthObject) -> bool:
    x1, y1, x2, y2 = thing.xyxy
    return max(x2 - x1, y2 - y1) >= MIN_SIZE and thing.visible_fraction >= MIN_VISIBLE


def cost(home: Path, video_id: str, target: Path) -> dict[str, float]:
    """Makes a ProRes cutout of all tracks, and says what that took. The first frame's seconds, in which models are loaded, do not count."""
    storage = storage_of(Settings(home=home, models="demo", device="cpu"))
    used()
    results, times = stored(storage, video_id), list[float]()
    order = order_of(results, storage.settings, Wanted([one.track_id for one in paths(results)]), Shape("prores", True))
    make_matte(storage, order, target, lambda done, total: times.append(time.perf_counter()))
    own, children = (one.ru_maxrss / 1024 for one in (resource.getrusage(resource.RUSAGE_SELF), used()))
    return {"frames": len(times), "seconds": (times[-1] - times[0]) / (len(times) - 1), "own": own, "children": children}


def costs(home: Path, folder: Path) -> Iterator[str]:
    """Rows of the second table: a clip, and the same one after the other `LONGER` times, each in a process of its own."""
    storage = storage_of(Settings(home=home, models="demo", device="cpu"))
    short, long = folder / "short.mp4", folder / "long.mp4"
    write_clip(make_clip(FIRST_SEED - 1, n_frames=FRAMES, shots=1), short)
    loop = ["-stream_loop", str(LONGER - 1), "-i", str(short), "-c", "copy", str(long)]
    subprocess.run(["ffmpeg", "-v", "error", *loop], check=True)
    for path in (short, long):
        video_id = run(storage, path)
        command = [sys.executable, "-m", "benchmarks.mattes", "--cost", str(home), video_id, str(folder / f"{path.stem}.mov")]
        took = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        yield f"| {took['frames']} | {took['seconds']:.2f} | {took['own']:.0f} | {took['children']:.0f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--cost", nargs=3, metavar=("HOME", "ID", "FILE"), help="only make one, and say what that took")
    given = parser.parse_args()
    if given.cost:
        print(json.dumps(cost(Path(given.cost[0]), given.cost[1], Path(given.cost[2]))))
        return
    tallies = {name: Tally() for name in ("ours", "alone", "held", "truth")}
    with fresh_home() as home, tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        storage, tracks, covered, counted = storage_of(Settings(home=home, models="demo", device="cpu")), 0, 0, 0
        for number in range(given.clips):
            clip, path = make_clip(FIRST_SEED + number, n_frames=FRAMES), Path(name) / f"{number}.mp4"
            write_clip(clip, path)
            found = score(storage, clip, path, tallies)
            tracks, covered, counted = tracks + found[0], covered + found[1], counted + found[2]
            print(f"clip {number + 1} of {given.clips}: {found[0]} tracks", file=sys.stderr, flush=True)
        print(f"{given.clips} clips, {tracks} tracks; {covered} of {counted} frames of objects have a matte\n")
        print("| frames between | IoU, all frames | between | sampled | flicker |\n|---|---|---|---|---|")
        for key, says in (("ours", "matte"), ("alone", "the segmenter alone"), ("held", "the last stored mask")):
            print(tallies[key].line(says))
        print(f"\nThe truth's own change: {tallies['truth'].changed / tallies['truth'].area:.2%}\n")
        print("| frames | seconds a frame | peak MB, ours | FFmpeg's |\n|---|---|---|---|")
        for line in costs(home, Path(name)):
            print(line, flush=True)
        storage.close()


if __name__ == "__main__":
    main()
