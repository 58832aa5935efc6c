"""Pictures with their times as bytes that ffmpeg reads from a pipe: Matroska with uncompressed pictures (RFC 9559).

What belongs here: that form. What does not: encoding (`encoder`).

A pipe of bare pictures has no times. Of all containers this one says the time of each picture in the fewest words. Times are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Final

import numpy as np

from reframer_pipeline.failures import InternalError
from reframer_pipeline.vision.boxes import Rgb

_NS: Final = 1_000_000_000
_UNKNOWN: Final = b"\x01" + b"\xff" * 7  # a length that is not known yet


def raw_film(pictures: Iterable[tuple[Fraction, Rgb]], lasts_s: float) -> Iterator[bytes | memoryview]:
    """The bytes, as the pictures are drawn.

    Args:
        pictures: Seconds, rising, and a picture; all of one shape.
        lasts_s: How long a picture usually lasts, and so the last one.

    Raises:
        InternalError: Pictures differ in shape.
    """
    shape: tuple[int, ...] | None = None
    for seconds, picture in pictures:
        if shape is None:
            shape = picture.shape
            yield _head(shape[1], shape[0], lasts_s)
        if picture.shape != shape:
            raise InternalError(f"Frames of one video differ in shape: {picture.shape} after {shape}.")
        time = _element(0xE7, _number(round(seconds * _NS)))
        block = b"\x81\x00\x00\x80"  # of track 1, at the cluster's own time, a key frame
        length = len(block) + picture.nbytes
        yield _id(0x1F43B675) + _length(len(time) + 9 + length) + time + _id(0xA3) + _length(length) + block  # cluster, block
        yield np.ascontiguousarray(picture).data


def _head(width: int, height: int, lasts_s: float) -> bytes:
    kind: dict[int, int | bytes] = {0x4286: 1, 0x42F7: 1, 0x42F2: 4, 0x42F3: 8, 0x4282: b"matroska", 0x4287: 4, 0x4285: 2}
    about: dict[int, int | bytes] = {0x2AD7B1: 1, 0x4D80: b"reframer", 0x5741: b"reframer"}  # times are in ns
    video = _element(0xE0, _elements({0xB0: width, 0xBA: height, 0x2EB524: b"RGB\x18"}))
    lasts = max(1, round(lasts_s * _NS))
    track = _elements({0xD7: 1, 0x73C5: 1, 0x83: 1, 0x86: b"V_UNCOMPRESSED", 0x23E383: lasts}) + video
    segment = _id(0x18538067) + _UNKNOWN
    return (
        _element(0x1A45DFA3, _elements(kind))
        + segment
        + _element(0x1549A966, _elements(about))
        + _element(0x1654AE6B, _element(0xAE, track))
    )


def _elements(values: Mapping[int, int | bytes]) -> bytes:
    return b"".join(_element(one, value if isinstance(value, bytes) else _number(value)) for one, value in values.items())


def _element(one: int, content: bytes) -> bytes:
    return _id(one) + _length(len(content)) + content


def _id(one: int) -> bytes:
    return one.to_bytes((one.bit_length() + 7) // 8, "big")


def _length(count: int) -> bytes:
    return b"\x01" + count.to_bytes(7, "big")


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")
