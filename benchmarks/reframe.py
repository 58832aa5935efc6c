"""Reframing beside a centre crop and two chases: `python -m benchmarks.reframe [CLIPS] [--models CLIPS] [--ratio W:H]...`.

Drawn clips of six seconds, 640x360, of seeds that no training saw. In each shot the subject is the heaviest track; what is measured is its
true box at every source frame, where it counts (`demo.truth`: large enough, a quarter visible) and fits into the window at all.

Two sources of tracks: `truth`, the true boxes of every fifth frame, and `models`, what the whole pipeline found with the demo models. All
ways are given the same boxes, even in time between the sightings:

- centre crop: the window stays in the middle,
- chase: at each frame its centre is the subject's,
- smooth chase: the same, the mean over a second, whatever is cut there,
- ours.

Inside: share of the measured frames in which the true box is in the window, to a pixel. Still: share of frames at which the window, at
whole pixels, is where it was. Speed and jerk: differences from frame to frame within a shot before rounding, over our limits. Across cuts:
cuts after which the path would be another one if the shots before were not there.

Printed after that: how long a path of ten minutes and of an hour takes, in one shot, and what it takes of memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.homes import fresh_home
from benchmarks.profiles import settings_of
from reframer_pipeline.cli.score import FIRST_SEED
from reframer_pipeline.demo.truth import MIN_SIZE, MIN_VISIBLE
from reframer_pipeline.demo.world import Clip, make_clip, write_clip
from reframer_pipeline.editing.reframe.curves import curves_of
from reframer_pipeline.editing.reframe.path import JERK, SPEED
from reframer_pipeline.editing.reframe.subject import Subject, Track, read_tracks, subject_of
from reframer_pipeline.editing.reframe.window import Ratio, Size, window_of

Floats = npt.NDArray[np.float64]
Boxes = dict[int, Floats]  # true boxes of an object by frame

PICTURE: Final[Size] = (640, 360)
FRAMES: Final = 150
STRIDE: Final = 5


@dataclass(frozen=True)
class Shot:
    """A shot with its tracks, and the true box of its subject at each frame (NaN where it is not measured)."""

    seconds: Floats
    subject: Subject
    heaviest: Floats
    true: Floats


Way = Callable[[list[Shot], Size], list[Floats]]  # left and upper edge of the window, (n, 2) a shot


def centre(shots: list[Shot], window: Size) -> list[Floats]:
    """The window in the middle."""
    middle = (np.array(PICTURE) - window) / 2
    return [np.tile(middle, (len(shot.seconds), 1)) for shot in shots]


def chase(shots: list[Shot], window: Size) -> list[Floats]:
    """The window's centre is the subject's; where there is none, it stays."""
    made = []
    for shot in shots:
        xy = (shot.heaviest[:, :2] + shot.heaviest[:, 2:] - window) / 2
        there = np.flatnonzero(~np.isnan(xy[:, 0]))
        nearest = there[np.abs(np.arange(len(xy))[:, None] - there).argmin(axis=1)] if there.size else None
        made.append(centre([shot], window)[0] if nearest is None else np.clip(xy[nearest], 0, np.array(PICTURE) - window))
    return made


def smooth_chase(shots: list[Shot], window: Size) -> list[Floats]:
    """The mean of the chase over a second."""
    whole, times = np.concatenate(chase(shots, window)), np.concatenate([shot.seconds for shot in shots])
    smooth = np.stack([whole[np.abs(times - at) <= 0.5].mean(axis=0) for at in times])
    return np.split(smooth, np.cumsum([len(shot.seconds) for shot in shots])[:-1])


def ours(shots: list[Shot], window: Size) -> list[Floats]:
    """The planned path."""
    made = []
    for shot in shots:
        curves = curves_of(shot.seconds, shot.subject, PICTURE, window)
        made.append(np.stack([curve.at(shot.seconds - shot.seconds[0]) for curve in curves], axis=1))
    return made


WAYS: Final[dict[str, Way]] = {"centre crop": centre, "chase": chase, "smooth chase": smooth_chase, "ours": ours}


def measured(clips: list[list[Shot]], way: Way, window: Size) -> dict[str, float]:
    """The figures of one way over all clips."""
    inside, still, speeds, jerks, moved, frames = list[bool](), list[bool](), [0.0], [0.0], 0, 0
    sides = np.array(PICTURE)
    for shots in clips:
        paths = way(shots, window)
        moved += sum(np.abs(way(shots[cut:], window)[0] - paths[cut]).max() > 0.5 for cut in range(1, len(shots)))
        for shot, xy in zip(shots, paths, strict=True):
            pixels = np.floor(xy + 0.5)
            known = np.all(shot.true[:, 2:] - shot.true[:, :2] <= window, axis=1)
            fits = np.all((shot.true[:, :2] >= pixels - 1) & (shot.true[:, 2:] <= pixels + window + 1), axis=1)
            inside += fits[known].tolist()
            still += (np.diff(pixels, axis=0) == 0).all(axis=1).tolist()
            step = float(np.median(np.diff(shot.seconds)))
            speeds.append(float((np.abs(np.diff(xy, axis=0)) / step / (SPEED * sides)).max(initial=0)))
            jerks.append(float((np.abs(np.diff(xy, 3, axis=0)) / step**3 / (JERK * sides)).max(initial=0)))
            frames += len(xy)
    shares = {"inside": float(np.mean(inside)), "still": float(np.mean(still))}
    return {**shares, "speed": max(speeds), "jerk": max(jerks), "moved": moved, "measured": len(inside), "frames": frames}


def of_truth(clip: Clip, window: Size, boxes: list[tuple[dict[int, str], Boxes]]) -> list[Shot]:
    """The shots of a clip, with true boxes of every fifth frame as tracks."""
    edges = [0, *clip.cuts, clip.n_frames]
    made = []
    for (kinds, true), start, end in zip(boxes, edges, edges[1:], strict=False):
        tracks = []
        for number, box in true.items():
            seen = np.arange(start, end, dtype=np.int32)[~np.isnan(box[:, 0])]
            frames = seen[seen % STRIDE == 0]
            if frames.size:
                at = frames / float(clip.fps)
                tracks.append(Track(f"obj_{number:03}", kinds[number], "", frames, at, box[frames - start].astype(np.float32)))
        made.append(_shot(clip, start, end, tracks, true, window))
    return made


def of_models(clip: Clip, window: Size, boxes: list[tuple[dict[int, str], Boxes]], results: dict[str, Any]) -> list[Shot]:
    """The same with the tracks that the pipeline found; the shots are those it found, too."""
    tracks, made = read_tracks(results["trajectories"]), []
    true: Boxes = {}
    for (_, of_shot), start in zip(boxes, (0, *clip.cuts), strict=True):
        for number, box in of_shot.items():
            true[number] = np.full((clip.n_frames, 4), np.nan)
            true[number][start : start + len(box)] = box
    for scene in (row for batch in results["scenes"].batches(["start_frame", "end_frame"]) for row in batch.to_pylist()):
        start, end = scene["start_frame"], scene["end_frame"]
        there = [part for track in tracks if (part := track.within(start, end))]
        made.append(_shot(clip, start, end, there, {number: box[start:end] for number, box in true.items()}, window))
    return made


def _shot(clip: Clip, start: int, end: int, tracks: list[Track], true: Boxes, window: Size) -> Shot:
    seconds = np.arange(start, end) / float(clip.fps)
    subject = subject_of(tracks, seconds, PICTURE, window)
    nothing = np.full((end - start, 4), np.nan)
    if not subject.tracks:
        return Shot(seconds, subject, nothing, nothing)
    heaviest = next(track for track in tracks if track.track_id == subject.tracks[0][0])
    found = heaviest.xyxy, heaviest.frame - start
    best = max(true, key=lambda number: _overlap(found[0], true[number][found[1]]), default=None)
    return Shot(seconds, subject, heaviest.boxes(seconds), nothing if best is None else true[best])


def _overlap(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    sizes = np.clip(np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2]), 0, None).prod(axis=1)
    union = (one[:, 2:] - one[:, :2]).prod(axis=1) + (other[:, 2:] - other[:, :2]).prod(axis=1) - sizes
    return float(np.nansum(sizes / union))


def true_boxes(clip: Clip) -> list[tuple[dict[int, str], Boxes]]:
    """Classes and boxes of the objects of each shot, at every frame where they count."""
    edges, made = [0, *clip.cuts, clip.n_frames], []
    for start, end in zip(edges, edges[1:], strict=False):
        kinds, boxes = dict[int, str](), Boxes()
        for frame in range(start, end):
            for one in clip.frame(frame)[1]:
                x1, y1, x2, y2 = one.xyxy
                if max(x2 - x1, y2 - y1) >= MIN_SIZE and one.visible_fraction >= MIN_VISIBLE:
                    kinds[one.object_id] = one.object_class
                    boxes.setdefault(one.object_id, np.full((end - start, 4), np.nan))[frame - start] = one.xyxy
        made.append((kinds, boxes))
    return made


def computed(home: str, clips: list[Clip]) -> Iterator[dict[str, Any]]:
    """The published results of each clip, taken through all stages."""
    from pathlib import Path

    from reframer_pipeline.reading.sheets import published
    from reframer_pipeline.results.storage import storage_of
    from reframer_pipeline.running.run_videos import run_videos
    from reframer_pipeline.uploads.ingest import ingest_file

    settings = settings_of(home)
    storage = storage_of(settings)
    for clip in clips:
        path = Path(home) / f"{clip.seed}.mp4"
        write_clip(clip, path)
        video_id = ingest_file(path, storage.db, storage.store, settings).video_id
        assert video_id is not None
        (outcome,) = run_videos(settings, [video_id])
        assert outcome.status == "completed", outcome.failure_message
        yield published(storage, video_id)


def long_path(minutes: int) -> str:
    """Seconds and memory of a path in one shot, at 30 frames a second, after a subject that wanders without rest."""
    rng = np.random.default_rng(1)
    seconds = np.arange(0, minutes * 60, 1 / 30)
    at = seconds[::STRIDE]
    x = np.clip(320 + 200 * np.sin(at / 3) + np.cumsum(rng.normal(0, 4, len(at))), 40, 600)
    boxes = np.stack([x - 40, np.full_like(x, 60), x + 40, np.full_like(x, 300)], axis=1).astype(np.float32)
    track = Track("obj_001", "person", "person", (np.arange(len(at)) * STRIDE).astype(np.int32), at, boxes)
    window = window_of(Ratio.read("9:16"), PICTURE)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    curves_of(seconds, subject_of([track], seconds, PICTURE, window), PICTURE, window)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"a path of {minutes} minutes: {took:.1f} s, {(after - before) / 1024:.0f} MB more than before"


def main() -> None:
    """Draw, plan, print."""
    asked = argparse.ArgumentParser()
    asked.add_argument("clips", nargs="?", type=int, default=30)
    asked.add_argument("--models", type=int, default=8)
    asked.add_argument("--ratio", action="append")
    options = asked.parse_args()
    clips = [make_clip(FIRST_SEED + number, n_frames=FRAMES) for number in range(max(options.clips, options.models))]
    boxes = [true_boxes(clip) for clip in clips]
    with fresh_home() as home:
        found = list(computed(str(home), clips[: options.models]))
        print("| ratio | tracks | way | inside | still | speed / limit | jerk / limit | across cuts |\n|---|---|---|---|---|---|---|---|")
        for text in options.ratio or ["9:16", "1:1", "4:5"]:
            window = window_of(Ratio.read(text), PICTURE)
            pairs = list(zip(clips, boxes, strict=True))
            sources = {
                "truth": [of_truth(clip, window, box) for clip, box in pairs[: options.clips]],
                "models": [of_models(clip, window, box, one) for (clip, box), one in zip(pairs, found, strict=False)],
            }
            for source, shots in sources.items():
                if not shots:
                    continue
                for name, way in WAYS.items():
                    figures = measured(shots, way, window)
                    shares = f"{100 * figures['inside']:.1f} % | {100 * figures['still']:.1f} %"
                    limits = f"{figures['speed']:.2f} | {figures['jerk']:.2f} | {figures['moved']}"
                    print(f"| {text} | {source} | {name} | {shares} | {limits} |", flush=True)
                cuts = sum(len(one) - 1 for one in shots)
                print(f"({len(shots)} clips, {figures['frames']:.0f} frames, {figures['measured']:.0f} measured, {cuts} cuts)")
    for minutes in (10, 60):
        print(long_path(minutes))


if __name__ == "__main__":
    main()
