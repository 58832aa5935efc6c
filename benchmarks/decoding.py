"""F4: sampled frames stored, with the shot scores of all: our frames stage against the ways a script has.

What belongs here: the peers, a clip as of a phone (1080x1920 with a camera's grain, 12 Mbit/s of H.264), the gate. What does not: timing
(`pairs`).

    python -m benchmarks.decoding [VIDEO]

A script finds cuts by a pass of its own, `detect(path, ContentDetector())`, as PySceneDetect's documentation says. The loops keep their
pictures in memory, which is less than we do: ours are stored as JPEG, and can be read again. One row lets the script do that, too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import ContentDetector, detect

from benchmarks.pairs import HEADER, PAIRS, Row, Side, Work, rounds, row_of, warmed
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.media.commands import decoder_threads
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.probe import probe
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.settings import Settings

SEED: Final = 1_000_004
STRIDE: Final = 5
CUT: Final = 27.0  # PySceneDetect's threshold
Pictures = dict[int, NDArray[np.uint8]]
Answer = tuple[Pictures, list[int]]  # some pixels of each sampled frame, RGB, and the frames at which shots begin


def ours(path: Path, folder: Path) -> Work:
    """The stage's own function."""
    settings = Settings(vid_stride=STRIDE)
    metadata = probe(path, settings, sha256="0" * 64)

    def work() -> tuple[Path, list[int]]:
        rows = [row for batch in sample_frames(path, metadata, settings, folder / "frames.zip") for row in batch.to_pylist()]
        return folder / "frames.zip", [row["frame_number"] for row in rows if row["content_score"] >= CUT]

    return work


def png_files(path: Path, folder: Path) -> Work:
    """ffmpeg to PNG files, and `imread`."""

    def work() -> Answer:
        for old in folder.glob("*.png"):
            old.unlink()
        chosen = ["-vf", f"select=not(mod(n\\,{STRIDE}))", "-fps_mode", "passthrough"]
        subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), *chosen, str(folder / "%06d.png")], check=True)
        files = sorted(folder.glob("*.png"))
        return {STRIDE * place: _some(cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)) for place, file in enumerate(files)}, cuts(path)

    return work


def opencv_loop(path: Path, folder: Path | None) -> Work:
    """`VideoCapture`, every frame read, every fifth kept: in memory, or as a JPEG of our quality in the folder."""

    def work() -> Answer:
        kept = {}
        video = cv2.VideoCapture(str(path))
        number = 0
        while True:
            there, frame = video.read()
            if not there:
                break
            if number % STRIDE == 0:
                kept[number] = frame
                if folder is not None:
                    cv2.imwrite(str(folder / f"{number:08}.jpg"), frame, JPEG)
                    kept[number] = _some(frame)
            number += 1
        video.release()
        return {number: _some(frame[..., ::-1]) if folder is None else frame[..., ::-1] for number, frame in kept.items()}, cuts(path)

    return work


def pyav_loop(path: Path) -> Work:
    """PyAV with its threads, every fifth frame as an array, kept in memory."""

    def work() -> Answer:
        kept = {}
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for number, frame in enumerate(container.decode(video=0)):
                if number % STRIDE == 0:
                    kept[number] = frame.to_ndarray(format="rgb24")
        return {number: _some(frame) for number, frame in kept.items()}, cuts(path)

    return work


def bare(path: Path) -> Work:
    """Decoding alone: no pictures, no scores."""
    command = ["ffmpeg", "-v", "error", "-threads", str(decoder_threads()), "-i", str(path), "-f", "null", "-"]
    return lambda: subprocess.run(command, check=True).returncode


JPEG: Final = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


def cuts(path: Path) -> list[int]:
    """Where shots begin, by a pass of its own."""
    return [first.frame_num for first, _ in detect(str(path), ContentDetector())][1:]


def _some(picture: Any) -> NDArray[np.uint8]:
    return np.array(picture[::40, ::40], np.uint8)


def alike(theirs: Answer, own: tuple[Path, list[int]]) -> str:
    """The gate: the same frames, the same cuts, and pictures that differ by no more than JPEG and two ways to enlarge colour do."""
    pictures, shots = theirs
    with FrameStore(own[0].open("rb")) as store:
        assert store.frame_numbers == sorted(pictures), "not the same frames"
        apart = max(float(np.abs(_some(store.read(number)).astype(int) - seen).mean()) for number, seen in pictures.items())
    assert own[1] == shots, f"cuts at {own[1]}, the peer's at {shots}"
    assert apart < 4, f"pictures {apart:.1f} of 255 apart"
    return f"{len(pictures)} frames, {len(shots)} cuts; pictures at most {apart:.1f} of 255 apart"


def decoded(theirs: int, own: tuple[Path, list[int]]) -> str:
    """The gate of bare decoding, which has no answer."""
    assert theirs == 0
    return "no answer to compare"


def phone_clip(path: Path, frames: int) -> None:
    """Draw small, enlarge, add grain."""
    small = path.with_name("small.mp4")
    write_clip(make_clip(SEED, width=360, height=640, n_frames=frames, shots=2), small)
    grain = "scale=1080:1920:flags=bicubic,noise=alls=7:allf=t"
    options = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "12M", "-maxrate", "14M", "-bufsize", "12M", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(small), "-vf", grain, *options, str(path)], check=True)


def rows(pairs: int = PAIRS, quick: bool = False, video: Path | None = None) -> Iterator[Row]:
    """All peers on one clip, which is drawn if none is given."""
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        folder = Path(name)
        path = video or folder / "phone.mp4"
        if video is None:
            phone_clip(path, 30 if quick else 75)
        what = f"sampled frames stored, scores included ({path.stat().st_size / 1e6:.1f} MB)"
        own = Side("ours", ours, (path, folder))
        peers: Iterable[tuple[Side, Any, str]] = (
            (Side("ffmpeg, PNG files, imread", png_files, (path, folder)), alike, "≥ 4"),
            (Side("OpenCV loop, kept in memory", opencv_loop, (path, None)), alike, "≥ 1.3"),
            (Side("OpenCV loop, stored as JPEG", opencv_loop, (path, folder)), alike, "≥ 1.3"),
            (Side("PyAV loop, kept in memory", pyav_loop, (path,)), alike, "≥ 1.3"),
            (Side("bare decoding", bare, (path,)), decoded, "≥ 0.77 by the processor"),
        )
        with warmed([own, *(peer for peer, _, _ in peers)]) as warm:
            took = rounds(warm, pairs)
        for place, (peer, gate, target) in enumerate(peers, start=1):
            yield row_of("F4", what, peer.name, [(one[place], one[0]) for one in took], gate, target)


def main() -> None:
    """Print the lines."""
    print(HEADER)
    for row in rows(video=Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
