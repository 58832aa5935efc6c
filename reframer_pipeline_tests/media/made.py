"""Small videos that the tests make with ffmpeg, so that they mean something without the shared media."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.probe import VideoMetadata, probe
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.settings import Settings

# Frame N is evenly grey with a luma of 16 + 4 N, so that a picture says which frame it is.
NUMBERED = "color=black:s={size}:r={rate},geq=lum='16+4*N':cb=128:cr=128"


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", *map(str, arguments)], check=True)


def numbered(target: Path, *, frames: int = 20, rate: str = "25", size: str = "64x48", filters: str = "null", options: str = "") -> Path:
    """A clip of numbered frames; `filters` and `options` are ffmpeg's, separated as on its command line."""
    source = NUMBERED.format(size=size, rate=rate) + f",trim=end_frame={frames},{filters}"
    codec = ["-c:v", "mpeg4", "-q:v", "2"] if target.suffix == ".avi" else ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "10"]
    ffmpeg("-f", "lavfi", "-i", source, *codec, "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", *options.split(), target)
    return target


def corners(target: Path) -> Path:
    """96x64: red top left, green top right, blue bottom left, white bottom right."""
    boxes = ",".join(
        f"drawbox=x={x}:y={y}:w=48:h=32:color={color}:t=fill"
        for x, y, color in ((0, 0, "red"), (48, 0, "lime"), (0, 32, "blue"), (48, 32, "white"))
    )
    source = f"color=black:s=96x64:r=25:d=0.2,format=rgb24,{boxes}"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-crf", "5", "-pix_fmt", "yuv444p", target)
    return target


def turn(video: Path, matrix: tuple[float, float, float, float]) -> Path:
    """Writes the display matrix (a, b, c, d) into the track header of an mp4: `-metadata rotate` is gone from newer FFmpegs."""
    data = bytearray(video.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * 65536) for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    video.write_bytes(data)
    return video


def facts(video: Path, settings: Settings | None = None) -> VideoMetadata:
    return probe(video, settings or Settings(), sha256="0" * 64)


def sampled(video: Path, store: Path, settings: Settings | None = None) -> tuple[VideoMetadata, list[dict[str, Any]], FrameStore]:
    """Facts, rows and opened frame store of a video."""
    settings = settings or Settings()
    metadata = facts(video, settings)
    rows = [row for batch in sample_frames(video, metadata, settings, store) for row in batch.to_pylist()]
    return metadata, rows, FrameStore(store.open("rb"))


def ffprobe_pts(video: Path, stream_index: int) -> list[str]:
    """What ffprobe itself says of each decoded frame: its pts, as text (N/A where it has none)."""
    entries = ["-show_entries", "frame=best_effort_timestamp", "-of", "compact=p=0:nk=1", "-threads", "2"]
    command = ["ffprobe", "-v", "error", "-select_streams", str(stream_index), *entries, f"file:{video}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [line.split("|")[0] for line in lines]
