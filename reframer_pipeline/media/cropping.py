"""A clip cut from a video: a window that moves as it is told, every frame at its time, with its sound.

What belongs here: the command line and running it. What does not: where the window goes (`editing.reframe`), how a picture is shown
(`display`).

It is H.264 with 8 bits in mp4, upright, of square pixels. Colours stay as they are, with their tags, but for HDR, which is mapped to SDR as
everywhere, and for pictures that are not YUV; both become BT.709. Times are those of the source less its first frame's, to the tick of the
source's own clock. The sound is copied if the clip is the whole video and mp4 takes it; else it is AAC. Of sound with a
number of channels that AAC lacks the first two are kept. What cannot be decoded is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from reframer_pipeline.failures import DamagedVideo, MediaToolTimeout
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.media.commands import decoder_threads
from reframer_pipeline.media.display import Filter, Size, as_shown
from reframer_pipeline.media.entry import entered
from reframer_pipeline.media.filters import rising, through
from reframer_pipeline.media.parts import Part, part_of
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.proxy import encoded, make_upright
from reframer_pipeline.media.refusals import refusal
from reframer_pipeline.settings import Settings

_SCALING: Final = "bicubic+accurate_rnd+full_chroma_int"
_BT709: Final = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
Sound = Literal["copied", "encoded", "first two channels", "none"]


@dataclass(frozen=True)
class Cut:
    """What is cut.

    Attributes:
        size: Width and height of the window, even.
        at: Its left and upper edge at the first frame.
        moves: Files of commands for FFmpeg's `sendcmd`, one at least in each, in seconds since the first frame of the clip.
        frames: Source frames, half-open.
        seconds: Times of the first of them and of the end, since the video's first frame.
        bars: Whether some frames are shown whole, with bars: those before which a command says `overlay enable 1`, until one says 0.
        pts: Of the video's frames, from the frames result; None: decoding begins at the video's beginning.
    """

    size: Size
    at: tuple[int, int]
    moves: Sequence[Path]
    frames: tuple[int, int]
    seconds: tuple[float, float]
    bars: bool = False
    pts: npt.NDArray[np.int64] | None = None


def make_cut(path: Path, metadata: VideoMetadata, settings: Settings, cut: Cut, target: Path, progress: Progress = no_progress) -> Sound:
    """Write the clip.

    Args:
        path: The video.
        metadata: Its facts.
        settings: The limits; the file may have `max_store_mb`.
        cut: What is cut.
        target: The file to write.
        progress: Told the number of encoded frames, and how many there will be.

    Returns:
        What became of the sound.

    Raises:
        NoDecodableFrames, DamagedVideo: As their classes say.
        MediaToolMissing, MediaToolTimeout: ffmpeg is absent, or ran into a limit on this file.
    """
    count, messages = cut.frames[1] - cut.frames[0], ""
    part = part_of(path, metadata, *cut.frames)
    part = part if cut.pts is None else entered(part, metadata, cut.pts, settings)
    whole = cut.frames[0] == 0 and cut.frames[1] >= metadata.frame_count
    ways: list[Sound] = [*(["copied"] if whole else []), "encoded", "first two channels", "none"] if metadata.has_audio else ["none"]  # type: ignore[list-item]
    for sound in ways:
        command = _command(part, metadata, settings, cut, target, sound)
        made, messages = encoded(command, settings, count, progress, cut.frames[0], reads=[path, *cut.moves], target=target)
        if made:
            make_upright(target)
            return sound
        if "sendcmd" in messages:  # which says nothing of memory when it has none
            raise MediaToolTimeout(
                "The window's movements need more memory than ffmpeg may use.", "Raise REFRAMER_MEMORY_MB, or cut scenes alone."
            )
    raise refusal(messages, codecs=False) or DamagedVideo("The video cannot be cut.")


def _command(part: Part, metadata: VideoMetadata, settings: Settings, cut: Cut, target: Path, sound: Sound) -> list[str]:
    import ffmpeg

    start_s = float((metadata.start_pts or 0) * metadata.time_base)
    # moving time before anything sees it moves pictures and copied sound alike; who enters later copies none, and has the container's time
    moved: dict[str, Any] = {} if part.entry else {"itsoffset": f"{-start_s:.9f}"}
    source = part.opened(settings, sound=sound != "none", **moved)
    pictures = rising(part.pictures(source), part.step)
    own = not metadata.tone_mapped_from and (metadata.pix_fmt or "").startswith("yuv")
    streams = [_windowed(through(pictures, _shown(metadata, own)), metadata, cut, own)]
    options: dict[str, Any] = {
        "vcodec": "libx264", "preset": "medium", "crf": 18, "pix_fmt": "yuv420p", **({} if own else _BT709),
        "fps_mode": "passthrough", "enc_time_base": -1,
        "threads": decoder_threads(), "map_metadata": -1, "map_chapters": -1, "movflags": "+faststart", "f": "mp4", "progress": "pipe:1",
    }  # fmt: skip
    if sound == "copied":
        streams.append(source["a:0"])
        options |= {"acodec": "copy"}
    elif sound != "none":
        begins, ends = (seconds + (start_s if part.entry else 0) for seconds in cut.seconds)
        heard = source["a:0"].filter("atrim", start=begins, end=ends).filter("asetpts", f"PTS-{begins:.9f}/TB")
        if sound == "first two channels":  # of a number that AAC has no layout for, so that nobody knows how to mix them
            heard = heard.filter("pan", args="stereo|c0=c0|c1=c1")
        streams.append(heard.filter("aresample", **{"async": 1, "first_pts": 0}))
        options |= {"acodec": "aac", "b:a": "192k"}
    made = ffmpeg.output(*streams, f"file:{target.absolute()}", **options).overwrite_output()
    command: list[str] = made.global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-filter_complex_threads", "1").compile()
    return command


def _shown(metadata: VideoMetadata, own: bool) -> list[Filter]:
    """The picture as it is shown, with chroma for every pixel, so that it can be cut at any."""
    size, way = (metadata.width, metadata.height), metadata.orientation
    if not own:
        return as_shown(size, way, metadata.tone_mapped_from, _SCALING)
    return [("scale", way.turned(size), {"flags": _SCALING}), ("format", ("yuv444p",), {}), *way.filters(), ("setsar", (1,), {})]


def _windowed(shown: Any, metadata: VideoMetadata, cut: Cut, own: bool) -> Any:
    """The window, and over it the whole picture where that is wanted. Each frame is through all filters before the next one comes."""
    width, height = cut.size
    video: list[Filter] = [] if own else [("scale", (), {"out_color_matrix": "bt709", "out_range": "tv"})]
    last: list[Filter] = [*video, ("format", ("yuv420p",), {})]
    window: list[Filter] = [("crop", (width, height, *cut.at), {"exact": 1}), *last]
    moved = through(shown, [("sendcmd", (), {"f": str(moves)}) for moves in cut.moves])
    if not cut.bars:
        return through(moved, window)
    scale = min(width / metadata.width, height / metadata.height)
    fitted = [max(2, min(2 * round(side * scale / 2), most)) for side, most in ((metadata.width, width), (metadata.height, height))]
    bars: list[Filter] = [("scale", tuple(fitted), {"flags": _SCALING}), ("pad", (width, height, -1, -1), {}), *last]
    branches = moved.split()
    return through(branches[0], window).overlay(through(branches[1], bars), enable=0)
