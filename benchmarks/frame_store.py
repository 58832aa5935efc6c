"""Which container for the frame store: the comparison behind `media/frame_store.py`.

    python benchmarks/frame_store.py VIDEO [VIDEO ...] [--frames N]

For each video, takes up to N frames spread over it, writes them in each format and prints, per frame of it: milliseconds to
encode, milliseconds to read one frame at random, kilobytes, and PSNR against the decoded frame (dB; inf: lossless). One thread
each. The ratios carry over to other machines, the milliseconds do not.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from reframer_pipeline.media.probe import probe
from reframer_pipeline.settings import Settings

FULL_COLOUR = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
STILLS: dict[str, tuple[str, list[int]]] = {
    "jpeg q90 4:2:0": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]),
    "jpeg q95 4:2:0": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "jpeg q95 4:4:4": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95, *FULL_COLOUR]),
    "jpeg q98 4:4:4": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 98, *FULL_COLOUR]),
    "png level 1": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]),
    "webp q95": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 95]),
    "webp lossless": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
}
VIDEOS: dict[str, list[str]] = {
    "h264 intra crf 12": ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "1", "-pix_fmt", "yuv444p"],
    "h264 rgb lossless": ["-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0", "-g", "1"],
    "ffv1 intra": ["-c:v", "ffv1", "-level", "3", "-g", "1", "-pix_fmt", "gbrp"],
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("videos", nargs="+", type=Path)
    arguments.add_argument("--frames", type=int, default=12)
    options = arguments.parse_args()
    cv2.setNumThreads(1)
    for video in options.videos:
        with tempfile.TemporaryDirectory() as folder:
            frames = decoded(video, options.frames)
            height, width = frames[0].shape[:2]
            print(f"\n{video.name}: {len(frames)} frames of {width}x{height}\n{'':20}{'encode ms':>10}{'read ms':>9}{'kB':>8}{'PSNR':>7}")
            for name, still in STILLS.items():
                report(name, *measure_stills(frames, Path(folder) / "store.zip", *still), frames)
            for name, words in VIDEOS.items():
                report(name, *measure_video(frames, Path(folder) / "store.mkv", words), frames)


def decoded(video: Path, count: int) -> list[np.ndarray]:
    """Frames spread over the video, (H, W, 3) RGB, without the store between."""
    metadata = probe(video, Settings(), sha256="0" * 64)
    stride = max(1, metadata.frame_count // count)
    command = ["ffmpeg", "-v", "error", "-i", f"file:{video}", "-map", f"0:{metadata.stream_index}"]
    command += ["-vf", f"select=not(mod(n\\,{stride})),scale={metadata.width}:{metadata.height},format=rgb24"]
    command += ["-fps_mode", "passthrough", "-frames:v", str(count), "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, metadata.height, metadata.width, 3))


def measure_stills(frames: list[np.ndarray], path: Path, suffix: str, options: list[int]) -> tuple[float, float, float, list[np.ndarray]]:
    started = time.perf_counter()
    with zipfile.ZipFile(path, "w") as archive:
        for number, frame in enumerate(frames):
            archive.writestr(f"{number}{suffix}", cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)[1].tobytes())
    encode_s = time.perf_counter() - started
    with zipfile.ZipFile(path) as archive:

        def read(number: int) -> np.ndarray:
            return np.asarray(cv2.imdecode(np.frombuffer(archive.read(f"{number}{suffix}"), np.uint8), cv2.IMREAD_COLOR_RGB))

        read_s, back = reads(frames, read)
    return encode_s, read_s, path.stat().st_size, back


def measure_video(frames: list[np.ndarray], path: Path, words: list[str]) -> tuple[float, float, float, list[np.ndarray]]:
    height, width = frames[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "1"]
    started = time.perf_counter()
    command = ["ffmpeg", "-v", "error", "-y", *raw, "-i", "-", "-threads", "1", *words, str(path)]
    subprocess.run(command, input=b"".join(map(np.ndarray.tobytes, frames)), check=True)
    encode_s = time.perf_counter() - started

    def read(number: int) -> np.ndarray:
        seek = ["ffmpeg", "-v", "error", "-threads", "1", "-ss", str(number), "-i", str(path), "-frames:v", "1", *raw[:4], "-"]
        return np.frombuffer(subprocess.run(seek, check=True, capture_output=True).stdout, np.uint8).reshape(height, width, 3)

    read_s, back = reads(frames, read)
    return encode_s, read_s, path.stat().st_size, back


def reads(frames: list[np.ndarray], read: Callable[[int], np.ndarray]) -> tuple[float, list[np.ndarray]]:
    order = np.random.default_rng(0).permutation(len(frames))
    started = time.perf_counter()
    back = {int(number): read(int(number)) for number in order}
    return time.perf_counter() - started, [back[number] for number in range(len(frames))]


def report(name: str, encode_s: float, read_s: float, size: float, back: list[np.ndarray], frames: list[np.ndarray]) -> None:
    error = float(np.mean([np.mean((a.astype(np.float32) - b) ** 2) for a, b in zip(frames, back, strict=True)]))
    psnr = 10 * np.log10(255**2 / error) if error else float("inf")
    count = len(frames)
    print(f"{name:20}{encode_s / count * 1e3:10.1f}{read_s / count * 1e3:9.1f}{size / count / 1e3:8.0f}{psnr:7.1f}", flush=True)


if __name__ == "__main__":
    main()
