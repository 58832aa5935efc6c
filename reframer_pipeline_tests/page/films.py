"""Clips whose pictures say their number, with results that are known to the pixel: for tests of what is drawn over which picture.

Frame N shows N as a row of black and white squares. One cup moves over even grey; its mask is the middle of its box. It is seen in every
sampled frame but one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reframer_pipeline.handover import StageOutput
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.rle import encode
from reframer_pipeline_tests.factories import Maker, commit_all
from reframer_pipeline_tests.media import made

Picture = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FRAMES = 640, 360, 48
SQUARE, BITS, LEFT, TOP = 24, 8, 40, 320  # of the row of squares, pixels; before it is a white one, behind it a black one
GROUND = 96
BOX = (120.0, 80.0)  # width and height
INSET = 20  # pixels from the box to its mask
MISSED = 20  # the sampled frame in which nothing is seen
KINDS = {"constant": "mp4", "variable": "mp4", "rotated": "mp4", "stretched": "mp4", "hevc": "mp4", "mpeg4": "avi"}
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "12"]
OPTIONS = {
    "variable": [*H264, "-vf", "settb=1/1000,setpts=40*N+35*floor(N/4)"],
    "stretched": [*H264, "-vf", "scale=480:360,setsar=4/3"],
    "hevc": ["-c:v", "libx265", "-preset", "veryfast", "-crf", "12", "-tag:v", "hvc1", "-x265-params", "log-level=none"],
    "mpeg4": ["-c:v", "mpeg4", "-q:v", "2"],
}


def numbered(picture: Picture, number: int) -> Picture:
    """A picture of `(HEIGHT, WIDTH, 3)` RGB that shows a number, too."""
    picture = picture.copy()
    for place, bit in enumerate([1, *(number >> n & 1 for n in range(BITS)), 0]):
        x = LEFT + place * SQUARE
        picture[TOP : TOP + SQUARE, x : x + SQUARE] = 255 * bit
    return picture


def number_of(picture: Picture) -> int:
    """The number that a picture of any size shows."""
    y, x = picture.shape[0] / HEIGHT, picture.shape[1] / WIDTH
    bits = [int(picture[int((TOP + SQUARE / 2) * y), int((LEFT + (place + 0.5) * SQUARE) * x)].mean() > 128) for place in range(BITS + 2)]
    assert bits[0] == 1 and bits[-1] == 0, "the squares are not where they should be"
    return sum(bit << n for n, bit in enumerate(bits[1:-1]))


def write_film(kind: str, folder: Path, pictures: Iterable[Picture] | None = None) -> Path:
    """A clip whose pictures show their numbers, upright and with square pixels; without any given, on even grey."""
    grey = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    pictures = [numbered(picture, number) for number, picture in enumerate(pictures or [grey] * FRAMES)]
    path = folder / f"{kind}.{KINDS[kind]}"
    if kind == "rotated":
        pictures = [np.rot90(one) for one in pictures]  # to the left; the file says: turn to the right
    height, width = pictures[0].shape[:2]
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    how = [*OPTIONS.get(kind, H264), "-pix_fmt", "yuv420p", "-fps_mode", "passthrough"]
    subprocess.run([*command, *how, str(path)], input=b"".join(one.tobytes() for one in pictures), check=True)
    return made.turn(path, (0, 1, -1, 0)) if kind == "rotated" else path


def inside(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """Edges of the mask in a box."""
    x1, y1, x2, y2 = (round(side) for side in box)
    return x1 + INSET, y1 + INSET, x2 - INSET, y2 - INSET


@dataclass(frozen=True)
class Film(Maker):
    """Results of such a clip: its facts and frames are the real ones, what is seen in it is made up."""

    path: Path = field(default_factory=Path)
    frames_file: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        super().__post_init__()
        facts, rows, store = made.sampled(self.path, self.frames_file, self.settings)
        store.close()
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "table", rows)
        object.__setattr__(self, "seconds", [row["timestamp"] for row in rows])
        object.__setattr__(self, "sampled", [row["frame_number"] for row in rows if row["sampled"]])

    facts: Any = field(init=False)
    table: list[dict[str, Any]] = field(init=False)
    seconds: list[float] = field(init=False)
    sampled: list[int] = field(init=False)

    def output(self, stage: str, scratch: Path, batch_rows: int = 7) -> StageOutput:
        """With the real pictures."""
        return StageOutput(stage, self._batches(stage, batch_rows), self.frames_file if stage == "frames" else None)

    def box(self, frame: int) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge of the cup in a sampled frame."""
        x, y = 30.5 + 8 * frame, 40.25 + 2 * (frame % 30)
        return x, y, x + BOX[0], y + BOX[1]

    def mask(self, frame: int) -> tuple[int, int, int, int]:
        """The same of its mask."""
        return inside(self.box(frame))

    def _metadata(self) -> Iterator[dict[str, Any]]:
        yield {**self.facts.to_batch().to_pylist()[0], "sha256": self.sha256}

    def _frames(self) -> Iterator[dict[str, Any]]:
        yield from self.table

    def _detections(self) -> Iterator[dict[str, Any]]:
        for n in self.sampled:
            if n == MISSED:
                continue
            x1, y1, x2, y2 = self.box(n)
            yield {
                "detection_id": row_id(self._result("detections"), f"{n}:0"), "frame_number": n, "timestamp": self.seconds[n], "ordinal": 0,
                "object_class": "product", "label": "cup", "confidence": 0.9, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "candidate": False,
            }  # fmt: skip

    def _masks(self) -> Iterator[dict[str, Any]]:
        for seen in self._detections():
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            x1, y1, x2, y2 = inside((seen["x1"], seen["y1"], seen["x2"], seen["y2"]))
            mask[y1:y2, x1:x2] = 1
            rle, area = encode(mask)
            yield {
                "mask_id": row_id(self._result("masks"), seen["detection_id"]), "detection_id": seen["detection_id"],
                "frame_number": seen["frame_number"], "timestamp": seen["timestamp"], "height": HEIGHT, "width": WIDTH, "rle": rle,
                "area": area, "predicted_iou": 0.9, "stability": 0.95,
            }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
        ends = dict(zip(self.sampled, [*(self.seconds[n] for n in self.sampled[1:]), self.seconds[-1] + 0.04], strict=True))
        steps = [
            {"frame": n, **{name: row[name] for name in names}, "seconds": ends[n] - self.seconds[n]}
            for row in self._detections()
            for n in [row["frame_number"]]
        ]
        yield {
            "track_id": "obj_001", "object_class": "product", "label": "cup", "start_frame": steps[0]["frame"],
            "end_frame": steps[-1]["frame"] + 1, "avg_confidence": 0.9, "frames": steps,
        }  # fmt: skip

    def _scenes(self) -> Iterator[dict[str, Any]]:
        for row in super()._scenes():
            ends = [*self.seconds[1:], self.seconds[-1] + 0.04]
            times = {"start_seconds": self.seconds[row["start_frame"]], "end_seconds": ends[row["end_frame"] - 1]}
            yield {**row, **times, "analysis": row["analysis"].replace("obj_002", "obj_001")}


def brought(storage: Storage, kind: str, folder: Path, text: str = Film.text, made_by: type[Film] = Film) -> tuple[str, Film]:
    """Such a clip in the library of the local user, with its results, which describe each scene by the text; its id."""
    path = write_film(kind, folder)
    taken = ingest_file(path, storage.db, storage.store, storage.settings)
    assert taken.failure is None and taken.video_id
    row = storage.db.fetch_one("SELECT sha256 FROM videos WHERE id = %s", (taken.video_id,))
    assert row is not None
    size = {"frame_count": FRAMES, "width": WIDTH, "height": HEIGHT}
    film = made_by(row["sha256"], storage.settings, **size, text=text, path=path, frames_file=folder / f"{kind}.frames")
    commit_all(storage, taken.video_id, film)
    storage.db.execute("UPDATE videos SET status = 'completed' WHERE id = %s", (taken.video_id,))
    return taken.video_id, film
