"""A video from pictures.

What belongs here: pictures at a constant rate, and feeding ffmpeg. What does not: films with times and sound (`film`), what is drawn. The
input are our own pictures through a pipe, and sound that the guarded runner has decoded, never an upload, so ffmpeg runs here without the
guards of `media.runner`, which reads hostile files and offers no input pipe.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from reframer_pipeline import scratch
from reframer_pipeline.failures import InternalError, MediaToolMissing, OutputNotWritable
from reframer_pipeline.vision.boxes import Rgb

END_S = 120  # for ffmpeg to finish the file after the last frame
MAX_SIDE = 1280
FEWEST_FPS, MOST_FPS = 1.0, 60.0
ENCODER: Final[dict[str, str | int]] = {
    "vcodec": "libx264",
    "preset": "veryfast",
    "pix_fmt": "yuv420p",
    "movflags": "+faststart",
    "threads": 2,
}


def encode_video(
    images: Iterable[Rgb], out_path: Path, fps: float | Fraction, *, max_side: int = MAX_SIDE, crf: int = 23, **x264: str | int
) -> int:
    """Encode pictures as H.264 in mp4 (yuv420p, faststart: plays in browsers).

    Args:
        images: Frames of equal shape, RGB; drawn one at a time.
        out_path: File to write; it appears when it is whole.
        fps: Frames a second. Kept within 1 and 60.
        max_side: Larger frames are scaled down to this longer side.
        crf: Constant rate factor of x264, lower is better and larger.
        x264: Other options of the encoder, such as its preset.

    Returns:
        Number of frames written; 0 (and no file) if there were none.

    Raises:
        MediaToolMissing: ffmpeg is not installed.
        InternalError: ffmpeg refused; the message holds what it said.
    """
    frames = iter(images)
    first = next(frames, None)
    if first is None:
        return 0
    ffmpeg = ffmpeg_tool()
    out_path.parent.mkdir(parents=True, exist_ok=True)
    with scratch.appearing(out_path) as part:
        command = _command(ffmpeg, first, part, min(MOST_FPS, max(FEWEST_FPS, fps)), max_side, {**ENCODER, "crf": crf, **x264})
        return feed(command, _bytes_of(chain([first], frames), first.shape))


def _command(ffmpeg: str, first: Rgb, part: Path, fps: float | Fraction, max_side: int, encoder: Mapping[str, str | int]) -> list[str]:
    import ffmpeg as compose

    height, width = first.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    size = [max(2, round(side * scale / 2) * 2) for side in (width, height)]  # yuv420p wants even sides
    source = compose.input("pipe:0", format="rawvideo", pix_fmt="rgb24", video_size=(width, height), framerate=fps)
    pictures = source if size == [width, height] else source.filter("scale", *size)
    return composed(ffmpeg, pictures.output(f"file:{part}", format="mp4", **encoder))


def _bytes_of(images: Iterable[Rgb], shape: tuple[int, ...]) -> Iterator[memoryview]:
    for image in images:
        if image.shape != shape:
            raise InternalError(f"Frames of one video differ in shape: {image.shape} after {shape}.")
        yield np.ascontiguousarray(image).data


def ffmpeg_tool() -> str:
    """Where ffmpeg is. Raises MediaToolMissing."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise MediaToolMissing("ffmpeg is not installed.")
    return ffmpeg


def feed(command: list[str], pieces: Iterable[bytes | memoryview], end_s: float = END_S) -> int:
    """Run ffmpeg on bytes through a pipe.

    Args:
        command: Its command line.
        pieces: The bytes, as they are drawn.
        end_s: Seconds that it may take after the last of them.

    Returns:
        How many pieces it took.

    Raises:
        OutputNotWritable: The disk is full.
        InternalError: It refused; the message holds what it said.
    """
    count = 0
    with tempfile.TemporaryFile() as messages, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=messages) as process:
        assert process.stdin is not None
        try:
            for piece in pieces:
                process.stdin.write(piece)
                count += 1
            process.stdin.close()
            status = process.wait(end_s)
        except BrokenPipeError:
            status = process.wait(end_s)  # it gave up; its message says why
        except BaseException:
            process.kill()
            raise
        said = _said(messages) if status else ""
    if "No space left on device" in said:
        raise OutputNotWritable("The video cannot be written: no space left on device.")
    if status:
        raise InternalError(f"ffmpeg could not write the video: {said}")
    return count


def _said(messages: IO[bytes]) -> str:
    messages.seek(0)
    return messages.read(2000).decode(errors="replace").strip()


def composed(ffmpeg: str, output: Any) -> list[str]:
    """The command line of what ffmpeg-python has put together."""
    line: list[str] = output.global_args("-v", "error", "-nostats").compile(cmd=ffmpeg, overwrite_output=True)
    return line
