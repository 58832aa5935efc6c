"""The facts of a video: what the `metadata` stage returns.

What belongs here: asking ffprobe, judging its answers, the limits that a header or a list of packets can break. What does not: what times
mean (`timing`), which way up a picture is (`display`), decoding (`sampling`), command lines (`commands`), where the facts are kept.

Only the stream that is taken for the picture is judged. What is odd about the file beside it is a note.

Frames are counted from the packets that the demuxer delivers and does not mark for discarding. Over the test files in
accepted containers that equals the number of decoded frames except where pictures are damaged or encrypted (50 packets, 49 frames; 182
and 170), or where each field has a packet: then the pictures are decoded to be counted. It costs a read of the file instead of a decode.
The `frames` stage has the last word: a row per decoded frame.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.failures import (
    DamagedVideo,
    DimensionsOutOfRange,
    NoDecodableFrames,
    NoVideoStream,
    TooManyStreams,
    UnsupportedCodec,
    VideoTooLong,
)
from reframer_pipeline.media import commands
from reframer_pipeline.media.boxes import Boxes, edit_notes, read_boxes, riff_is_whole
from reframer_pipeline.media.commands import Opened
from reframer_pipeline.media.containers import HEAD_BYTES, Container, recognise
from reframer_pipeline.media.display import HDR, Orientation, displayed, orientation
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.packets import check_count, count_packets, count_pictures
from reframer_pipeline.media.refusals import refusal, refused_decoders
from reframer_pipeline.media.runner import run_guarded
from reframer_pipeline.media.timing import check_promise
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

_A_LOOK: Final = Limits(stall_s=60, wall_s=60, cpu_s=60, memory_bytes=4_000_000_000)  # at FFmpeg itself, with no file


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
    # Facts that results made by code version 1 do not have.
    mirrored: bool = False
    tone_mapped_from: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def orientation(self) -> Orientation:
        """How the stored picture is turned."""
        return Orientation(self.rotation, self.mirrored)

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

        return pa.RecordBatch.from_pylist([{**asdict(self), "notes": list(self.notes)}], schema=schemas.METADATA)

    @classmethod
    def from_batch(cls, batch: pa.RecordBatch) -> VideoMetadata:
        """From the one row of a batch; columns that are not of `schemas.METADATA` (the identity) are passed over."""
        (row,) = batch.to_pylist()
        found = {name: row[name] for name in cls.__dataclass_fields__ if name in row}
        return cls(**{**found, "notes": tuple(found.get("notes") or ())})


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
    answer, elsewhere = _headers(path, settings)
    streams = answer.get("streams", [])
    stream = _main_stream(streams)
    opened = Opened(stream["index"], elsewhere)
    first = _look(path, opened, settings)
    way = orientation(first.matrix or _matrix(stream))
    sar = _fraction(stream.get("sample_aspect_ratio", "").replace(":", "/")) or Fraction(1)
    coded = first.size or (int(stream.get("width") or 0), int(stream.get("height") or 0))
    width, height = displayed(coded, sar, way or Orientation())
    _check_size(coded, (width, height), settings)
    time_base = Fraction(stream["time_base"])
    promised_s = _promised_s(stream, container, path)
    _check_length(promised_s, settings)
    boxes = read_boxes(path) if container == "mov" else Boxes()
    if boxes.head_only:
        raise NoDecodableFrames("The file is only the head of a stream (an initialisation segment); the pictures are in other files.")
    found = count_packets(path, opened, settings)
    if first.fields:
        found = count_pictures(path, opened, settings, packets=found)
    check_count(found.count, settings)
    _check_length(found.seconds(time_base), settings)
    fps = found.rate(time_base, _fraction(stream.get("avg_frame_rate", "")))
    check_promise(found, time_base, promised_s, fps)
    transfer = first.transfer or stream.get("color_transfer")
    mapped = transfer if transfer in HDR and (stream.get("pix_fmt") or "").startswith("yuv") and tone_maps() else None
    return VideoMetadata(
        container=answer["format"]["format_name"],
        codec=stream["codec_name"],
        pix_fmt=stream.get("pix_fmt"),
        width=width,
        height=height,
        coded_width=coded[0],
        coded_height=coded[1],
        rotation=way.rotation if way else 0,
        sar_num=sar.numerator,
        sar_den=sar.denominator,
        fps_num=fps.numerator,
        fps_den=fps.denominator,
        variable_frame_rate=found.variable,
        duration_seconds=found.seconds(time_base),
        frame_count=found.count,
        time_base_num=time_base.numerator,
        time_base_den=time_base.denominator,
        start_pts=found.start_pts,
        size_bytes=path.stat().st_size,
        sha256=sha256,
        stream_index=stream["index"],
        has_audio=any(other.get("codec_type") == "audio" for other in streams),
        mirrored=bool(way and way.mirrored),
        tone_mapped_from=mapped,
        notes=(
            *(f"Beside the picture there is a stream in {name}, which is not opened." for name in elsewhere),
            *edit_notes(boxes.edits.get(int(stream.get("id", "0"), 16), [])),
            *(() if way else ("The display matrix turns by no quarter; the picture is left as it is stored.",)),
            *_colours(transfer, mapped),
        ),
    )


# --- what the header says


def _headers(path: Path, settings: Settings) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What ffprobe says of the file, and which decoders off the list its streams want."""
    elsewhere: tuple[str, ...] = ()
    while True:
        done = run_guarded(commands.headers(path, Opened(None, elsewhere), settings), Limits.of(settings))
        if not done.returncode:
            break
        more = refused_decoders(done.stderr) - set(elsewhere)
        if not more or len(elsewhere) >= settings.max_streams:
            raise refusal(done.stderr) or DamagedVideo("The file begins like a video, but its header cannot be read.")
        elsewhere += tuple(sorted(more))
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer.get("format", {}).get("nb_streams", 0) > settings.max_streams:
        raise TooManyStreams(f"The file holds {answer['format']['nb_streams']} streams; {settings.max_streams} are allowed.")
    return answer, elsewhere


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


def _promised_s(stream: dict[str, Any], container: Container, path: Path) -> float:
    """Seconds of picture that the header promises, from time 0; 0 where it promises none.

    For AVI that is its number of frames: the duration that ffprobe reports shrinks with the file. An AVI that was written to
    a pipe has a placeholder there (2**30 by FFmpeg), and a duration that is a guess. An AVI that is all there promises nothing
    more: its frames may stand for pictures that were dropped (chunks of no bytes).
    """
    if container == "mov":
        return float(int(stream.get("duration_ts", 0)) * Fraction(stream["time_base"]))
    frames, fps = int(stream.get("nb_frames", 0)), _fraction(stream.get("avg_frame_rate", ""))
    return float(frames / fps) if fps and frames < 1 << 30 and not riff_is_whole(path) else 0.0


def _fraction(text: str) -> Fraction | None:
    """A positive fraction, or None for 0/0, 0/1, N/A, nothing and nonsense."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _matrix(holder: dict[str, Any]) -> str | None:
    """The display matrix of a stream or a frame, as ffprobe prints it."""
    return next((entry["displaymatrix"] for entry in holder.get("side_data_list", []) if "displaymatrix" in entry), None)


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


# --- what the first pictures say


@dataclass(frozen=True)
class _First:
    """What the first pictures say, over which their codec decides and not the container.

    Attributes:
        size: Width and height as stored; None if there is no picture among the first packets.
        matrix: A display matrix that stands in the stream itself, over which players forget the container's.
        transfer: The transfer function.
        fields: Whether packets are fields: the pictures are interlaced, and clearly fewer than packets.
    """

    size: tuple[int, int] | None = None
    matrix: str | None = None
    transfer: str | None = None
    fields: bool = False


def _look(path: Path, stream: Opened, settings: Settings) -> _First:
    done = run_guarded(commands.look(path, stream, settings), Limits.of(settings, units=commands.LOOK_PACKETS))
    if done.returncode and refused_decoders(done.stderr):
        raise refusal(done.stderr) or UnsupportedCodec("The picture's codec is not accepted.")
    seen = json.loads(done.stdout or "{}").get("packets_and_frames", [])
    packets = sum(one["type"] == "packet" and "D" not in one.get("flags", "") for one in seen)
    frames = [one for one in seen if one["type"] == "frame"]
    if not frames:
        return _First()
    return _First(
        size=(frames[0]["width"], frames[0]["height"]),
        matrix=_matrix(frames[0]),
        transfer=frames[0].get("color_transfer"),
        fields=len(frames) * 4 <= packets * 3 and all(one.get("interlaced_frame") for one in frames),
    )


# --- what is said, and refuses nothing


def _colours(transfer: str | None, mapped: str | None) -> list[str]:
    if transfer not in HDR:
        return []
    if mapped:
        return [f"HDR ({HDR[transfer]}), mapped to SDR (BT.709)."]
    return [f"HDR ({HDR[transfer]}), not mapped to SDR, which the installed FFmpeg cannot. Colours look dull."]


@functools.cache
def tone_maps() -> bool:
    """Whether the installed FFmpeg can map HDR to SDR."""
    names = {line.split()[1] for line in run_guarded(commands.filters(), _A_LOOK).stdout.decode().splitlines() if len(line.split()) > 1}
    return {"zscale", "tonemap"} <= names
