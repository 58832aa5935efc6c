"""The facts of a video: what the `metadata` stage returns.

What belongs here: judging ffprobe's answers, counting, the limits that a header or a list of packets can break. What does
not: decoding (`sampling`), command lines (`commands`), choosing where the facts are kept.

Frames are counted from the packets that the demuxer delivers and does not mark for discarding. Over the test files in
accepted containers that equals the number of decoded frames except where pictures are damaged or encrypted (50 packets, 49 frames; 182
and 170); it costs a read of the file instead of a decode. The `frames` stage has the last word: a row per decoded frame.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.failures import (
    DamagedVideo,
    DimensionsOutOfRange,
    NoVideoStream,
    TooManyStreams,
    TruncatedVideo,
    UnsupportedCodec,
    VideoTooLong,
)
from reframer_pipeline.media import commands
from reframer_pipeline.media.containers import HEAD_BYTES, Container, recognise
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.packets import PacketSummary, summarise
from reframer_pipeline.media.refusals import refusal
from reframer_pipeline.media.runner import run_guarded
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


# Where a file counts as cut off: less than this share of its span, and more than so many frames missing. Edit lists and the
# last frame's length make whole files differ by a few frames (webcam_vfr_paper.mov: 0.9 %).
WHOLE: Final = 0.95
FEW_FRAMES: Final = 5


@dataclass(frozen=True)
class VideoMetadata:
    """One row of `schemas.METADATA`, column by column; the units and conventions are written there."""

    container: str
    codec: str
    pix_fmt: str | None
    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int
    sar_num: int
    sar_den: int
    fps_num: int
    fps_den: int
    variable_frame_rate: bool
    duration_seconds: float
    frame_count: int
    time_base_num: int
    time_base_den: int
    start_pts: int | None
    size_bytes: int
    sha256: str
    stream_index: int
    has_audio: bool

    @property
    def fps(self) -> Fraction:
        """Average frames a second, exact."""
        return Fraction(self.fps_num, self.fps_den)

    @property
    def time_base(self) -> Fraction:
        """Seconds of one pts unit, exact."""
        return Fraction(self.time_base_num, self.time_base_den)

    def to_batch(self) -> pa.RecordBatch:
        """The row as `schemas.METADATA`."""
        import pyarrow as pa

        from reframer_pipeline import schemas

        return pa.RecordBatch.from_pylist([asdict(self)], schema=schemas.METADATA)

    @classmethod
    def from_batch(cls, batch: pa.RecordBatch) -> VideoMetadata:
        """From the one row of a batch; columns that are not of `schemas.METADATA` (the identity) are passed over."""
        (row,) = batch.to_pylist()
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


def probe(path: Path, settings: Settings, *, sha256: str) -> VideoMetadata:
    """Measures a video without decoding it.

    Args:
        path: The file; its name plays no part.
        settings: Limits.
        sha256: Its digest, as hex: known from the copy, not computed again.

    Raises:
        NotAVideo, NoVideoStream, UnsupportedCodec, EncryptedVideo, DimensionsOutOfRange, VideoTooLong, TooManyStreams,
        NoDecodableFrames, TruncatedVideo, DamagedVideo: As their classes say.
        MediaToolMissing, MediaToolTimeout: ffprobe is absent, or ran into a limit on this file.
    """
    with path.open("rb") as file:
        container = recognise(file.read(HEAD_BYTES))
    answer = _headers(path, settings)
    streams = answer.get("streams", [])
    stream = _main_stream(streams)
    time_base = Fraction(stream["time_base"])
    rotation = _rotation(stream)
    sar = _fraction(stream.get("sample_aspect_ratio", "").replace(":", "/")) or Fraction(1)
    coded = (int(stream.get("width") or 0), int(stream.get("height") or 0))
    width, height = _displayed(coded, sar, rotation)
    _check_size(coded, (width, height), settings)
    declared_s = _declared_s(stream, container)
    _check_length(declared_s, settings)
    summary = summarise(path, stream["index"], settings)
    duration_s = float(summary.span * time_base)
    _check_length(duration_s, settings)
    fps = _fraction(stream.get("avg_frame_rate", "")) or _derived_fps(summary, time_base)
    _check_whole(duration_s, declared_s, fps)
    return VideoMetadata(
        container=answer["format"]["format_name"],
        codec=stream["codec_name"],
        pix_fmt=stream.get("pix_fmt"),
        width=width,
        height=height,
        coded_width=coded[0],
        coded_height=coded[1],
        rotation=rotation,
        sar_num=sar.numerator,
        sar_den=sar.denominator,
        fps_num=fps.numerator,
        fps_den=fps.denominator,
        variable_frame_rate=summary.variable,
        duration_seconds=duration_s,
        frame_count=summary.count,
        time_base_num=time_base.numerator,
        time_base_den=time_base.denominator,
        start_pts=summary.start_pts,
        size_bytes=path.stat().st_size,
        sha256=sha256,
        stream_index=stream["index"],
        has_audio=any(other.get("codec_type") == "audio" for other in streams),
    )


# --- what the header says


def _headers(path: Path, settings: Settings) -> dict[str, Any]:
    done = run_guarded(commands.headers(path, settings), Limits.of(settings))
    if done.returncode:
        raise refusal(done.stderr) or DamagedVideo("The file begins like a video, but its header cannot be read.")
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer.get("format", {}).get("nb_streams", 0) > settings.max_streams:
        raise TooManyStreams(f"The file holds {answer['format']['nb_streams']} streams; {settings.max_streams} are allowed.")
    return answer


def _main_stream(streams: list[dict[str, Any]]) -> dict[str, Any]:
    """The first picture marked as default, else the first; cover art is no picture.

    Containers list the main picture first; where several are marked default (nasa_multistream.mp4), players show the first.
    """
    pictures = [s for s in streams if s.get("codec_type") == "video" and not s.get("disposition", {}).get("attached_pic")]
    if not pictures:
        raise NoVideoStream("The file holds no moving picture.")
    stream = next((s for s in pictures if s.get("disposition", {}).get("default")), pictures[0])
    if stream.get("codec_name") in (None, "unknown", "none"):
        raise UnsupportedCodec("The picture's codec is unknown.")
    return stream


def _declared_s(stream: dict[str, Any], container: Container) -> float:
    """Seconds of picture that the header declares; 0 where it declares none.

    For AVI that is its number of frames: the duration that ffprobe reports shrinks with the file. An AVI that was written to
    a pipe has a placeholder there (2**30 by FFmpeg), and a duration that is a guess.
    """
    if container == "mov":
        return float(int(stream.get("duration_ts", 0)) * Fraction(stream["time_base"]))
    frames, fps = int(stream.get("nb_frames", 0)), _fraction(stream.get("avg_frame_rate", ""))
    return float(frames / fps) if fps and frames < 1 << 30 else 0.0


def _fraction(text: str) -> Fraction | None:
    """A positive fraction, or None for 0/0, 0/1, N/A, nothing and nonsense."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _rotation(stream: dict[str, Any]) -> int:
    """Degrees counter-clockwise: 0, 90, 180 or 270. Other angles and garbage count as 0, as they swap no sides."""
    for entry in stream.get("side_data_list", []):
        angle = entry.get("rotation")
        if isinstance(angle, int | float) and abs(angle) <= 360 and angle % 90 == 0:
            return int(angle) % 360
    return 0


def _displayed(coded: tuple[int, int], sar: Fraction, rotation: int) -> tuple[int, int]:
    """Width and height in square pixels, upright: the width is stretched or narrowed, then the sides swap."""
    width, height = max(1, round(coded[0] * sar)), coded[1]
    return (height, width) if rotation in (90, 270) else (width, height)


def _check_size(coded: tuple[int, int], displayed: tuple[int, int], settings: Settings) -> None:
    if not coded[0] or not coded[1]:
        raise DamagedVideo("The header gives the picture no size.")
    if min(displayed) < settings.min_side:
        raise DimensionsOutOfRange(f"The picture is {displayed[0]}x{displayed[1]} pixels; each side needs at least {settings.min_side}.")
    if max(coded[0] * coded[1], displayed[0] * displayed[1]) > settings.max_pixels:
        raise DimensionsOutOfRange(f"The picture is {displayed[0]}x{displayed[1]} pixels; {settings.max_pixels} pixels are allowed.")


def _check_length(seconds: float, settings: Settings) -> None:
    if seconds > settings.max_duration_s:
        raise VideoTooLong(f"The video lasts {seconds:.0f} s; {settings.max_duration_s:.0f} s are allowed.")


def _derived_fps(summary: PacketSummary, time_base: Fraction) -> Fraction:
    """Frames over their span, where the header has no average rate."""
    return Fraction(summary.count) / (summary.span * time_base) if summary.span > 0 else Fraction(1)


def _check_whole(found_s: float, declared_s: float, fps: Fraction) -> None:
    """Refuses a file that holds clearly less picture than its header declares."""
    if found_s < WHOLE * declared_s and (declared_s - found_s) * fps > FEW_FRAMES:
        raise TruncatedVideo(f"The header promises {declared_s:.2f} s of picture, the file holds {found_s:.2f} s.")
