"""Videos whose facts and frames were really measured, for tests of what players are told; everything else about them is made up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from reframer_pipeline.handover import StageOutput
from reframer_pipeline.media.probe import probe
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline_tests.factories import FPS, Maker, commit_all

STEP = 8  # of luma, from a numbered picture to the next
DARKEST = 30


@dataclass(frozen=True)
class Filmed(Maker):
    """Results of a real file, whose pictures show nothing."""

    path: Path = Path()

    def output(self, stage: str, scratch: Path, batch_rows: int = 7) -> StageOutput:
        if stage not in ("metadata", "frames"):
            return super().output(stage, scratch, batch_rows)
        facts = probe(self.path, self.settings, sha256=self.sha256)
        if stage == "metadata":
            return StageOutput(stage, iter([facts.to_batch()]), None)
        scratch.mkdir(parents=True, exist_ok=True)
        attachment = scratch / f"filmed-{self.sha256[:8]}.frames"
        return StageOutput(stage, self._drawn(sample_frames(self.path, facts, self.settings, attachment)), attachment)

    @staticmethod
    def _drawn(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    def _detections(self) -> Iterator[dict[str, Any]]:
        return iter(())

    def _scenes(self) -> Iterator[dict[str, Any]]:
        analysis = {
            "scene_number": 1, "start_frame": 0, "end_frame": self.frame_count, "description": "Light.", "importance": 1,
            "scene_type": "none", "replaceable_elements": [], "tracks": [],
        }  # fmt: skip
        end = self.frame_count / FPS
        span = {"start_frame": 0, "end_frame": self.frame_count, "start_seconds": 0.0, "end_seconds": end}
        yield {"scene_number": 1, **span, "describer": "local", "analysis": json.dumps(analysis)}


def film(storage: Storage, path: Path, email: str) -> str:
    """Somebody brings a file, and it is computed; the video's id."""
    result = ingest_file(path, storage.db, storage.store, storage.settings, user_email=email)
    assert result.video_id is not None
    (row,) = storage.db.fetch("SELECT sha256 FROM videos WHERE id = %s", (result.video_id,))
    facts = probe(path, storage.settings, sha256=row["sha256"])
    maker = Filmed(row["sha256"], storage.settings, frame_count=facts.frame_count, width=facts.width, height=facts.height, path=path)
    commit_all(storage, result.video_id, maker)
    storage.db.execute("UPDATE videos SET status = 'completed' WHERE id = %s", (result.video_id,))
    return result.video_id


def ffmpeg(*words: str | Path) -> None:
    """Make a file."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True, timeout=400)


def numbered(path: Path, *options: str, frames: int = 24, sound: str | None = None, times: str = "N/25/TB", size: str = "256x128") -> Path:
    """A clip whose pictures say their number by their light: `DARKEST`, and `STEP` more with each.

    Args:
        path: Where to; the ending says which container.
        options: For the encoder and the file.
        frames: How many.
        sound: An option like `-itsoffset 0.4` for its sound; empty for sound from the beginning; None for no sound.
        times: When each is shown, as an expression of `setpts`.
        size: Of its pictures.
    """
    light = f"color=black:size={size}:rate=25,geq=lum='{DARKEST}+{STEP}*N':cb=128:cr=128,settb=1/50000,setpts='{times}'"
    heard = [] if sound is None else [*sound.split(), "-f", "lavfi", "-i", "sine=440:duration=1"]
    coded = [] if "-c:v" in options else ["-c:v", "libx264", "-crf", "12", "-bf", "3", "-g", "12"]
    inputs = ["-f", "lavfi", "-i", light, *heard]
    kept = ["-fps_mode", "vfr", "-enc_time_base", "1:50000", "-pix_fmt", "yuv420p", "-frames:v", str(frames)]
    ffmpeg(*inputs, *coded, *kept, *options, path)
    return path


def number_of(red: float) -> int:
    """Which picture this is, by what a screen shows of it, 0 to 255."""
    return round((red / 255 * 219 + 16 - DARKEST) / STEP)


def shown_times(path: Path) -> list[float]:
    """When each frame of a file is shown, in seconds, as ffprobe decodes it."""
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "frame=best_effort_timestamp_time",
        "-of",
        "csv=p=0",
        str(path),
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=400).stdout.split()
    return [float(line.strip(",")) for line in lines]


def described(path: Path) -> dict[str, Any]:
    """What ffprobe says of a file: `streams` and `format`."""
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=400).stdout)
    return found
