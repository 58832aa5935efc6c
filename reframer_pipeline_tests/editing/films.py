"""Small sources for films, and what ffprobe and FFmpeg say of what was written."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from reframer_pipeline_tests.media.made import ffmpeg, numbered

UNEVEN = "settb=1/600,setpts='40*N+15*mod(N*N,3)'"  # ticks: 0, 55, 95, 120, 175, 215, ...


def heard(target: Path, **wanted: Any) -> Path:
    """A numbered clip with a tone."""
    silent = numbered(target.with_name(f"silent-{target.name}"), **wanted)
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"]
    ffmpeg("-i", silent, *tone, "-c:v", "copy", "-c:a", "aac", "-shortest", target)
    return target


def uneven(target: Path) -> Path:
    """Twenty numbered frames, each for a time of its own."""
    return numbered(target, filters=UNEVEN, options="-enc_time_base 1:600 -video_track_timescale 600")


def tagged(target: Path) -> Path:
    """A numbered clip with colour tags that are not the usual ones."""
    tags = "-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m -color_range tv"
    return numbered(target, filters="setparams=colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m", options=tags)


def streams(film: Path) -> dict[str, dict[str, Any]]:
    """ffprobe's facts by kind of stream."""
    said = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", film], capture_output=True, check=True).stdout
    return {one["codec_type"]: one for one in json.loads(said)["streams"]}


def ticks(film: Path) -> list[int]:
    """The times of its pictures."""
    entries = ["-select_streams", "v:0", "-show_entries", "packet=pts", "-of", "default=nk=1:nw=1"]
    said = subprocess.run(["ffprobe", "-v", "error", *entries, film], capture_output=True, check=True, text=True).stdout
    return sorted(int(line) for line in said.split())


def planes(film: Path, size: tuple[int, int], form: str) -> np.ndarray:
    """All pictures, decoded: `(n, 4, height, width)`, luma, chroma and alpha in 0 to 255; of `luma` one plane."""
    width, height = size
    decoder = ["-c:v", "libvpx-vp9"] if form == "webm" else []
    wanted, count, most = ("gray16le", 1, 65535) if form == "luma" else ("yuva444p16le", 4, 65535)
    command = ["ffmpeg", "-v", "error", *decoder, "-i", film, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", wanted, "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, "<u2").reshape(-1, count, height, width) * (255 / most)
