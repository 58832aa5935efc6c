"""F1 and F2: a whole clip, beside the script that a good engineer would write with the same models (`benchmarks.script`).

    python -m benchmarks.whole [--pairs 5] [--quick] [--long]

Ours takes the file in, runs all six stages through Dagster, and commits; the script decodes, detects, masks, tracks, finds scenes and
writes its rows with `executemany`. Both are given the same files, each once: a few bytes behind the film make every one another upload.

The two decode differently and ours keeps JPEGs, so their boxes differ by a little: `agreement` says by how much. The gate gives the
script's functions the very pixels that ours kept.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.homes import fresh_home
from benchmarks.pairs import HEADER, PAIRS, Row, Side, Took, Work, peak_mb, rounds, row_of, warmed
from reframer_pipeline.demo.world import bundled_clip_path, make_clip, write_clip
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.descendants import used

SEED: Final = 3_700_001
GATE_FRAMES: Final = 6
TARGET: Final = "1.2, both"
COLD: Final = "1.0"


def _settings(home: str) -> Settings:
    return Settings(home=Path(home), models="demo", device="cpu")


def _another(clip: Path, folder: Path) -> Path:
    """The same film as another upload: behind it stands a box that players skip."""
    note = uuid.uuid4().bytes
    target = folder / f"{clip.stem}-{note.hex()}.mp4"
    folder.mkdir(parents=True, exist_ok=True)
    target.write_bytes(clip.read_bytes() + (8 + len(note)).to_bytes(4, "big") + b"free" + note)
    return target


def ours(home: str) -> Work:
    """Our way with a clip; the answer is the data folder and the video's id."""
    from reframer_pipeline.results.storage import storage_of
    from reframer_pipeline.running.run_videos import run_videos
    from reframer_pipeline.uploads.ingest import ingest_file

    settings = _settings(home)
    storage = storage_of(settings)

    def work(clip: str) -> tuple[str, str]:
        upload = _another(Path(clip), settings.home_dir)
        video_id = ingest_file(upload, storage.db, storage.store, settings).video_id
        assert video_id is not None
        (outcome,) = run_videos(settings, [video_id])
        assert outcome.status == "completed", outcome.failure_message
        return str(settings.home_dir), video_id

    return work


def models(settings: Settings) -> Any:
    """The demo models for the script, with as many threads as ours: ultralytics would take one less, for the whole process."""
    import torch
    import torchvision  # noqa: F401 (plainly, as a script does: what follows would leave a part of it out)

    from benchmarks.script import Models
    from reframer_pipeline.vision.demo_models import build_demo_sam2, build_demo_yolo
    from reframer_pipeline.vision.labels import class_map
    from reframer_pipeline.vision.sam2_build import bb_feat_sizes, import_sam2

    import_sam2()
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(build_demo_sam2())
    predictor._bb_feat_sizes = bb_feat_sizes(predictor.model.image_size)
    threads = torch.get_num_threads()
    made = Models(build_demo_yolo(), predictor, settings.effective_imgsz, class_map(settings))
    list(made.look(0, np.zeros((360, 640, 3), np.uint8)))
    torch.set_num_threads(threads)
    return made


def script(home: str) -> Work:
    """The script's way with a clip; the answer is what it found."""
    from benchmarks.script import analyse, store

    settings = _settings(home)
    made, url = models(settings), script_database(home)

    def work(clip: str) -> Any:
        found = analyse(_another(Path(clip), settings.home_dir), made)
        store(url, found)
        return found

    return work


def script_database(home: str) -> str:
    """The URL of the script's own embedded server, which runs from then on."""
    from reframer_pipeline.database import embedded

    return embedded.database_url(_settings(home))


def gate(found: Any, done: tuple[str, str]) -> str:
    """The same frames; of the boxes, how many lie where the other's do; on the same pixels, all of them and their masks.

    Raises:
        AssertionError: Other frames, or on the same pixels another count, or an IoU below 0.99.
    """
    import reframer_pipeline as rp

    home, video_id = done
    video = rp.open(video_id, home=home, models="demo", device="cpu")
    rows = video.detections
    assert video.frame_numbers == found.frames, "other frames were looked at"
    boxes = {frame: _corners(part) for frame, part in rows.groupby("frame_number")}
    near = sum(_best(boxes.get(row[0], np.zeros((0, 4))), np.array(row[3:7]))[1] >= 0.9 for row in found.detections)
    lowest = _on_same_pixels(_judge(), video, [frame for frame in found.frames if frame in boxes][:GATE_FRAMES])
    return (
        f"{len(found.frames)} frames; {len(rows)} detections beside {len(found.detections)}, {near} of them with IoU over 0.9; "
        f"on the same pixels all boxes and masks, IoU at least {lowest:.3f}"
    )


@cache
def _judge() -> Any:
    """The script's models in this process, once."""
    return models(Settings(models="demo", device="cpu"))


def _on_same_pixels(made: Any, video: Any, frames: list[int]) -> float:
    from reframer_pipeline.vision import rle

    lowest = 1.0
    for frame in frames:
        image = video.frame(frame)
        theirs = list(made.look(frame, np.ascontiguousarray(image[..., ::-1])))
        part = video.detections[video.detections["frame_number"] == frame]
        own, masks = _corners(part), video.masks(frame)
        used = set()
        for row in theirs:
            best, overlap = _best(own, np.array(row[3:7]))
            if overlap < 0.5:
                continue  # ours drops what is too small, or seen twice under two labels
            mask = rle.decode(row[7], *image.shape[:2])
            joint = np.logical_or(mask, masks[best]).sum()
            lowest = min(lowest, overlap, float(np.logical_and(mask, masks[best]).sum() / joint) if joint else 1.0)
            used.add(best)
        assert len(used) == len(own), f"frame {frame}: {len(own) - len(used)} of {len(own)} detections are not the script's"
    assert lowest >= 0.99, f"a box or mask has an IoU of {lowest:.3f}"
    return lowest


def _corners(rows: Any) -> Any:
    """Boxes of a table as `(n, 4)`: left, upper, right and lower edge."""
    corner, size = rows[["x", "y"]].to_numpy(), rows[["width", "height"]].to_numpy()
    return np.hstack([corner, corner + size])


def _best(boxes: Any, box: Any) -> tuple[int, float]:
    """Which of `(n, 4)` boxes overlaps most with one, and its IoU."""
    if not len(boxes):
        return -1, 0.0
    sides = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None)
    joint = sides.prod(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - joint
    overlaps = joint / np.maximum(area, 1e-9)
    return int(overlaps.argmax()), float(overlaps.max())


def cold(way: str, clip: str, home: str) -> Took:
    """The same in a new process: imports, models, and for ours the embedded database that runs already."""
    before, began = used(), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "benchmarks.whole", "--once", way, clip, home], check=True, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, used()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(None, wall, cpu, float(done.stdout.split()[-1]))


def clips(folder: Path, quick: bool, long: bool) -> Iterator[tuple[str, Path, int]]:
    """What it is called, the file, and for how many pairs there is time."""
    yield "bundled clip, 9 s of 640x360", bundled_clip_path(), PAIRS
    if quick:
        return
    for seconds in (6, 60) if long else (6,):
        path = folder / f"drawn-{seconds}.mp4"
        write_clip(make_clip(SEED + seconds, width=1080, height=1920, n_frames=25 * seconds), path)
        yield f"drawn, {seconds} s of 1080x1920", path, PAIRS if seconds < 60 else 2


def warm_rows(pairs: int = PAIRS, quick: bool = False, long: bool = False) -> Iterator[Row]:
    """F1 for each clip."""
    with (
        tempfile.TemporaryDirectory() as name,
        fresh_home() as theirs,
        fresh_home() as own,
        warmed([Side("the script", script, (str(theirs),)), Side("ours", ours, (str(own),))]) as warm,
    ):
        for what, path, most in clips(Path(name), quick, long):
            took = [(one, other) for one, other in rounds(warm, min(pairs, most), str(path))]
            yield row_of("F1", f"whole clip, warm: {what}", "the script", took, gate, TARGET)


def cold_rows(pairs: int = PAIRS, quick: bool = False) -> Iterator[Row]:
    """F2; nothing where it has to be quick."""
    if quick:
        return
    clip = str(bundled_clip_path())
    with fresh_home() as theirs, fresh_home() as own:
        script_database(str(theirs))
        cold("ours", clip, str(own))  # the first makes the database and prepares the models
        took = [(cold("script", clip, str(theirs)), cold("ours", clip, str(own))) for _ in range(pairs)]
    yield row_of("F2", "whole clip, cold process, bundled clip", "the script", took, lambda theirs, own: "see F1", COLD)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--quick", action="store_true", help="the bundled clip alone, warm")
    parser.add_argument("--long", action="store_true", help="also a minute of 1080x1920: a quarter of an hour")
    parser.add_argument("--once", nargs=3, metavar=("WAY", "CLIP", "HOME"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        way, clip, home = arguments.once
        {"ours": ours, "script": script}[way](home)(clip)
        print(peak_mb())
        return
    print(HEADER)
    for row in chain(warm_rows(arguments.pairs, arguments.quick, arguments.long), cold_rows(arguments.pairs, arguments.quick)):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
