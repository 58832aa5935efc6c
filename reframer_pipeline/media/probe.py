"""The facts of a video: what the `metadata` stage returns.

What belongs here: the facts, the limits that a header or a list of packets can break, the notes. What does not: asking ffprobe (`headers`,
`packets`), what times mean (`timing`), which way up a picture is (`display`), decoding (`sampling`), where the facts are kept.

Only the stream that is taken for the picture is judged. What is odd about the file beside it is a note.

Frames are counted from the packets that the demuxer delivers and does not mark for discarding. Over the test files in
accepted containers that equals the number of decoded frames except where pictures are damaged or encrypted (50 packets, 49 frames; 182
and 170), or where each field has a packet: then the pictures are decoded to be counted. It costs a read of the file instead of a decode.
The `frames` stage has the last word: a row per decoded frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from reframer_pipeline.failures import (
    DamagedVideo,
    DimensionsOutOfRange,
    NoDecodableFrames,
    VideoTooLong,
)
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.media.boxes import Boxes, edit_notes, read_boxes
from reframer_pipeline.media.containers import HEAD_BYTES, recognise
from reframer_pipeline.media.display import HDR, Orientation, displayed, orientation
from reframer_pipeline.media.headers import Header, look, read_header, tone_maps
from reframer_pipeline.media.packets import check_count, count_packets, count_pictures
from reframer_pipeline.media.timing import check_promise
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


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


def probe(path: Path, settings: Settings, progress: Progress = no_progress, *, sha256: str) -> VideoMetadata:
    """Measures a video without decoding it, but where fields have packets of their own.

    Args:
        path: The file; its name plays no part.
        settings: Limits.
        progress: Told of nothing yet between two tools; then the number of packets that were read, of a total that is not known; then of
            pictures that were decoded, of packets.
        sha256: Its digest, as hex: known from the copy, not computed again.

    Raises:
        NotAVideo, NoVideoStream, UnsupportedCodec, EncryptedVideo, DimensionsOutOfRange, VideoTooLong, TooManyStreams,
        NoDecodableFrames, TruncatedVideo, DamagedVideo: As their classes say.
        MediaToolMissing, MediaToolTimeout: ffprobe is absent, or ran into a limit on this file.
    """
    with path.open("rb") as file:
        container = recognise(file.read(HEAD_BYTES))
    header = read_header(path, settings)
    progress(0, 0)
    first = look(path, header, container, settings)
    progress(0, 0)
    way = orientation(first.matrix or header.matrix)
    coded = first.size or header.size
    if not all(coded):
        raise header.refused or DamagedVideo("The header gives the picture no size.")
    width, height = displayed(coded, header.sar, way or Orientation())
    _check_size(coded, (width, height), settings)
    promised_s, time_base = header.promised_s(container, path), header.time_base
    _check_length(promised_s, settings)
    boxes = read_boxes(path) if container == "mov" else Boxes()
    if boxes.head_only:
        raise NoDecodableFrames("The file is only the head of a stream (an initialisation segment); the pictures are in other files.")
    found = count_packets(path, header.opened, settings, progress)
    if first.fields:
        found = count_pictures(path, header.opened, settings, progress, packets=found)
    check_count(found.count, settings)
    _check_length(found.seconds(time_base), settings)
    fps = found.rate(time_base, header.rate)
    check_promise(found, time_base, promised_s, fps)
    transfer = first.transfer or header.transfer
    mapped = transfer if transfer in HDR and header.is_yuv and tone_maps() else None
    return VideoMetadata(
        container=header.container,
        codec=header.codec,
        pix_fmt=header.pix_fmt,
        width=width,
        height=height,
        coded_width=coded[0],
        coded_height=coded[1],
        rotation=way.rotation if way else 0,
        sar_num=header.sar.numerator,
        sar_den=header.sar.denominator,
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
        stream_index=header.picture["index"],
        has_audio=header.has_audio,
        mirrored=bool(way and way.mirrored),
        tone_mapped_from=mapped,
        notes=tuple(_notes(header, boxes, way, transfer, mapped)),
    )


def _check_size(coded: tuple[int, int], displayed: tuple[int, int], settings: Settings) -> None:
    if min(displayed) < settings.min_side:
        raise DimensionsOutOfRange(f"The picture is {displayed[0]}x{displayed[1]} pixels; each side needs at least {settings.min_side}.")
    if max(coded[0] * coded[1], displayed[0] * displayed[1]) > settings.max_pixels:
        raise DimensionsOutOfRange(f"The picture is {displayed[0]}x{displayed[1]} pixels; {settings.max_pixels} pixels are allowed.")


def _check_length(seconds: float, settings: Settings) -> None:
    if seconds > settings.max_duration_s:
        raise VideoTooLong(f"The video lasts {seconds:.0f} s; {settings.max_duration_s:.0f} s are allowed.")


def _notes(header: Header, boxes: Boxes, way: Orientation | None, transfer: str | None, mapped: str | None) -> Iterator[str]:
    """What is odd about the file and refuses nothing."""
    for name in header.opened.elsewhere:
        yield f"Beside the picture there is a stream in {name}, which is not decoded."
    if header.opened.hidden:
        yield "Beside the picture there is something that cannot be opened, such as a sound in an unknown form."
    yield from edit_notes(boxes.edits.get(header.track, []))
    if way is None:
        yield "The display matrix turns by no quarter; the picture is left as it is stored."
    if mapped:
        yield f"HDR ({HDR[mapped]}), mapped to SDR (BT.709)."
    elif transfer in HDR:
        no_yuv = f"only YUV is, and this is {header.pix_fmt}."
        no_filter = "the installed FFmpeg lacks zscale or tonemap. Once it has them, --force computes the video again."
        yield f"HDR ({HDR[transfer]}), not mapped to SDR, so colours look dull: {no_filter if header.is_yuv else no_yuv}"
