"""What ffprobe says of a file before its packets are read: the header of the picture, and what only its first pictures tell.

What belongs here: asking, choosing the picture among the streams, reading single answers. What does not: judging them and making facts of
them (`probe`), command lines (`commands`).
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from reframer_pipeline.failures import DamagedVideo, NoVideoStream, PermanentFailure, TooManyStreams, UnsupportedCodec
from reframer_pipeline.media import commands
from reframer_pipeline.media.boxes import read_boxes, riff_is_whole
from reframer_pipeline.media.commands import Opened
from reframer_pipeline.media.containers import Container
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.refusals import demuxed, refusal, refused_decoders
from reframer_pipeline.media.runner import run_guarded
from reframer_pipeline.settings import Settings

_A_LOOK: Final = Limits(stall_s=60, wall_s=60, cpu_s=60, memory_bytes=4_000_000_000)  # at FFmpeg itself, with no file


@dataclass(frozen=True)
class Header:
    """What the header says.

    Attributes:
        container: The demuxer's name.
        picture: ffprobe's answer for the stream that is taken for the picture.
        opened: That stream, for further questions.
        has_audio: Whether there is sound, in whatever codec.
        refused: What FFmpeg refused while it looked for the facts, such as a picture that is too large; such a picture has no size here.
    """

    container: str
    picture: dict[str, Any]
    opened: Opened
    has_audio: bool
    refused: PermanentFailure | None = None

    @property
    def codec(self) -> str:
        """The codec's name."""
        return str(self.picture["codec_name"])

    @property
    def pix_fmt(self) -> str | None:
        """FFmpeg's name of the pixel format."""
        return self.picture.get("pix_fmt")

    @property
    def is_yuv(self) -> bool:
        """Whether pixels are luma and chroma."""
        return (self.pix_fmt or "").startswith("yuv")

    @property
    def transfer(self) -> str | None:
        """FFmpeg's name of the transfer function."""
        return self.picture.get("color_transfer")

    @property
    def rate(self) -> Fraction | None:
        """The average rate that the header claims."""
        return fraction(self.picture.get("avg_frame_rate", ""))

    @property
    def sar(self) -> Fraction:
        """The sample aspect ratio; 1 where none is told."""
        return fraction(self.picture.get("sample_aspect_ratio", "").replace(":", "/")) or Fraction(1)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored; 0 where they are not told."""
        return int(self.picture.get("width") or 0), int(self.picture.get("height") or 0)

    @property
    def track(self) -> int:
        """The id of its track, in a container that has such."""
        return int(self.picture.get("id", "0"), 16)

    @property
    def time_base(self) -> Fraction:
        """Seconds of one unit of time."""
        return Fraction(self.picture["time_base"])

    @property
    def frames(self) -> int:
        """The number of frames that the header claims; 0 where it claims none. An AVI that was written to a pipe has a placeholder there
        (2**30 by FFmpeg).
        """
        frames = int(self.picture.get("nb_frames", 0))
        return frames if frames < 1 << 30 else 0

    @property
    def seconds(self) -> float:
        """The length that the header claims; 0 where it claims none."""
        return float(int(self.picture.get("duration_ts", 0)) * self.time_base)

    @property
    def matrix(self) -> str | None:
        """The container's display matrix."""
        return _matrix(self.picture)

    def promised_s(self, container: Container, path: Path) -> float:
        """Seconds of picture that the header promises, from time 0; 0 where it promises none.

        For AVI that is its number of frames: the duration that ffprobe reports shrinks with the file. An AVI that is all there promises
        nothing more: its frames may stand for pictures that were dropped (chunks of no bytes).
        """
        if container == "mov":
            return self.seconds
        return float(self.frames / self.rate) if self.rate and not riff_is_whole(path) else 0.0


def read_header(path: Path, settings: Settings) -> Header:
    """Asks ffprobe for the header.

    Raises:
        NotAVideo, NoVideoStream, UnsupportedCodec, TooManyStreams, TruncatedVideo, DamagedVideo: As their classes say.
    """
    answer, opened, refused = _ask(path, settings)
    streams = answer.get("streams", [])
    picture = _main_stream(streams)
    sound = any(stream.get("codec_type") == "audio" for stream in streams)
    return Header(answer["format"]["format_name"], picture, replace(opened, index=picture["index"]), sound, refused)


@dataclass(frozen=True)
class First:
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


def look(path: Path, header: Header, container: Container, settings: Settings) -> First:
    """Decodes the first few packets.

    Raises:
        UnsupportedCodec: The picture's codec is not accepted. Nothing of it has been decoded.
        DamagedVideo: ffprobe did not come to the end of its answer.
    """
    limits = Limits.of(settings, units=commands.LOOK_PACKETS)
    done = run_guarded(commands.look(path, header.opened, settings, container), limits, reads=[path])
    if done.returncode and refused_decoders(done.stderr):
        raise UnsupportedCodec(f"The codec {header.codec} is not accepted.")
    try:
        seen = json.loads(done.stdout or "{}").get("packets_and_frames", [])
    except ValueError as error:  # ffprobe died in the middle of its answer
        raise DamagedVideo("The first pictures cannot be read.") from error
    packets = sum(one["type"] == "packet" and "D" not in one.get("flags", "") for one in seen)
    frames = [one for one in seen if one["type"] == "frame"]
    if not frames:
        return First()
    return First(
        size=(frames[0]["width"], frames[0]["height"]),
        matrix=_matrix(frames[0]),
        transfer=frames[0].get("color_transfer"),
        fields=len(frames) * 4 <= packets * 3 and all(one.get("interlaced_frame") for one in frames),
    )


def _ask(path: Path, settings: Settings) -> tuple[dict[str, Any], Opened, PermanentFailure | None]:
    """What ffprobe says of the file, what it takes to have it say so, and what it refuses all the same."""
    opened = Opened()
    while True:
        done = run_guarded(commands.headers(path, opened, settings), Limits.of(settings), reads=[path])
        if not done.returncode:
            break
        more, beside = refused_decoders(done.stderr) - set(opened.elsewhere), read_boxes(path).beside
        known = refusal(done.stderr, codecs=False)
        if more and len(opened.elsewhere) < settings.max_streams:
            opened = replace(opened, elsewhere=opened.elsewhere + tuple(sorted(more)))
        elif beside and not opened.hidden and not known and demuxed(done.stderr):
            opened = replace(opened, hidden=beside)
        else:
            raise known or DamagedVideo("The file begins like a video, but its header cannot be read.")
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer.get("format", {}).get("nb_streams", 0) > settings.max_streams:
        raise TooManyStreams(f"The file holds {answer['format']['nb_streams']} streams; {settings.max_streams} are allowed.")
    return answer, opened, refusal(done.stderr, codecs=False)


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


def fraction(text: str) -> Fraction | None:
    """A positive fraction, or None for 0/0, 0/1, N/A, nothing and nonsense."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _matrix(holder: dict[str, Any]) -> str | None:
    """The display matrix of a stream or a frame, as ffprobe prints it."""
    return next((entry["displaymatrix"] for entry in holder.get("side_data_list", []) if "displaymatrix" in entry), None)


@functools.cache
def tone_maps() -> bool:
    """Whether the installed FFmpeg can map HDR to SDR."""
    names = {line.split()[1] for line in run_guarded(commands.filters(), _A_LOOK).stdout.decode().splitlines() if len(line.split()) > 1}
    return {"zscale", "tonemap"} <= names
