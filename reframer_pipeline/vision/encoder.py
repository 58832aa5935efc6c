"""A video from pictures.

What belongs here: the encoder. What does not: what is drawn (`overlay`, `drawing`, `demo`). The input are our own pictures through a pipe
and never an upload, so ffmpeg runs here without the guards of `media.runner`, which reads hostile files and offers no input pipe.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline import scratch
from reframer_pipeline.failures import InternalError, MediaToolMissing
from reframer_pipeline.media.timing import differ
from reframer_pipeline.vision.boxes import Rgb

END_S = 120  # for ffmpeg to finish the file after the last frame
MAX_SIDE = 1280
FEWEST_FPS, MOST_FPS = 1.0, 60.0
VARIABLE_FPS: Final = 30.0  # of pictures at uneven times
MOST_FRAMES: Final = 20_000  # of pictures at uneven times, which would be repeated without end over a long pause; then fewer a second
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
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise MediaToolMissing("ffmpeg is not installed.")
    out_path.parent.mkdir(parents=True, exist_ok=True)
    with scratch.appearing(out_path) as part:
        command = _command(ffmpeg, first, part, min(MOST_FPS, max(FEWEST_FPS, fps)), max_side, {**ENCODER, "crf": crf, **x264})
        return _encode(command, chain([first], frames), first.shape)


def pace(seconds: npt.NDArray[np.float64], step: float, tick: float) -> tuple[float, list[int]]:
    """How to show pictures at their times in a video of constant rate.

    Args:
        seconds: `(n,)` times of the pictures, never falling; at least one.
        step: Usual distance of two of them; the last one is shown for as long.
        tick: What the times were rounded to.

    Returns:
        Frames a second, and for how many frames each picture is shown: one, where the distances are even. Of several within one frame
        only the last is shown, and of all at least the last.
    """
    ends = np.append(seconds, seconds[-1:] + step) - seconds[:1]
    if differ([*np.diff(seconds), step], step, tick):
        fps = min(VARIABLE_FPS, MOST_FRAMES / max(float(ends[-1]), 1.0))
    else:
        ends = np.linspace(0, ends[-1], len(ends))  # as they were before they were rounded
        fps = 1 / float(ends[1])
    fps = min(MOST_FPS, max(FEWEST_FPS, fps))
    shown = np.diff(np.floor(ends * fps + 0.5).astype(int))
    shown[-1:] = np.maximum(shown[-1:], 1)
    return fps, shown.tolist()


def _command(ffmpeg: str, first: Rgb, part: Path, fps: float | Fraction, max_side: int, encoder: Mapping[str, str | int]) -> list[str]:
    import ffmpeg as compose

    height, width = first.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    size = [max(2, round(side * scale / 2) * 2) for side in (width, height)]  # yuv420p wants even sides
    source = compose.input("pipe:0", format="rawvideo", pix_fmt="rgb24", video_size=(width, height), framerate=fps)
    pictures = source if size == [width, height] else source.filter("scale", *size)
    output = pictures.output(f"file:{part}", format="mp4", **encoder)
    line: list[str] = output.global_args("-v", "error", "-nostats").compile(cmd=ffmpeg, overwrite_output=True)
    return line


def _encode(command: list[str], images: Iterable[Rgb], shape: tuple[int, ...]) -> int:
    count = 0
    with tempfile.TemporaryFile() as messages, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=messages) as process:
        assert process.stdin is not None
        try:
            for image in images:
                if image.shape != shape:
                    raise InternalError(f"Frames of one video differ in shape: {image.shape} after {shape}.")
                process.stdin.write(np.ascontiguousarray(image).data)
                count += 1
            process.stdin.close()
            status = process.wait(END_S)
        except BrokenPipeError:
            status = process.wait(END_S)  # it gave up; its message says why
        except BaseException:
            process.kill()
            raise
        if status:
            raise InternalError(f"ffmpeg could not write the video: {_said(messages)}")
    return count


def _said(messages: IO[bytes]) -> str:
    messages.seek(0)
    return messages.read(2000).decode(errors="replace").strip()
