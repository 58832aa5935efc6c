"""The frame store: one file per video that holds the sampled frames, readable by frame number in any order.

What belongs here: writing and reading that file. What does not: choosing frames (`sampling`), where the file is kept.

It is an ordinary ZIP of JPEG files, `00000015.jpg` for frame 15, stored without a second compression: any tool opens it,
its directory gives random access on any seekable file, local or remote, and the reader fetches the frames it is asked for only.

Compared by `benchmarks/frame_store.py` on one busy core, per frame of 1280x720 (dog_woman.mp4) and 1080x1920 (iphone_hevc…):

| format              | encode ms   | random read ms | kB         | PSNR dB     |
|---------------------|-------------|----------------|------------|-------------|
| JPEG q95 4:4:4      | 12 / 13     | 16 / 17        | 361 / 437  | 44.3 / 48.0 |
| JPEG q95 4:2:0      | 7 / 9       | 12 / 13        | 307 / 376  | 42.4 / 45.9 |
| PNG level 1         | 110 / 184   | 42 / 75        | 1144 / 1776 | lossless   |
| WebP lossless       | 798 / 1993  | 16 / 50        | 576 / 851  | lossless    |
| WebP q95            | 177 / 265   | 32 / 44        | 241 / 213  | 43.3 / 45.1 |
| H.264 intra, crf 12 | 72 / 199    | 475 / 868      | 365 / 737  | 45.8 / 49.6 |
| FFV1                | 85 / 312    | 247 / 391      | 539 / 788  | lossless    |

(The video formats read through a process per frame.) Lossless costs 7 to 150 times the encoding, and up to four times the
bytes, for differences far below what the first compression of an upload left; 4:4:4 keeps the colour edges that masks follow.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from reframer_pipeline.failures import FrameStoreTooLarge, ObjectMissing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUALITY: Final = 95
SUFFIX: Final = ".jpg"
# What zipfile raises on bytes that are no longer those that were written: unknown methods, encryption, impossible lengths and names.
_DAMAGED: Final = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error, zlib.error)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # a fixed date: the same frames give the same bytes


class FrameStoreWriter:
    """Writes a frame store; the file appears under its name when the `with` block ends without an error.

    Args:
        path: Where the file is to be. Until it is whole it lies beside, with `.part` appended.
        max_bytes: Largest size.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._max_bytes = max_bytes
        self._bytes = 0

    def __enter__(self) -> FrameStoreWriter:
        self._zip = zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED, allowZip64=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with contextlib.suppress(OSError) if kind else contextlib.nullcontext():
            self._zip.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def add(self, frame_number: int, bgr: NDArray[np.uint8]) -> None:
        """Adds a frame of shape (H, W, 3), BGR as OpenCV takes it. Raises FrameStoreTooLarge over `max_bytes`."""
        encoded = _encode(bgr)
        self._bytes += len(encoded)
        if self._bytes > self._max_bytes:
            raise FrameStoreTooLarge(f"The sampled frames need more than {self._max_bytes // 1_000_000} MB.")
        self._zip.writestr(zipfile.ZipInfo(f"{frame_number:08d}{SUFFIX}", _EPOCH), encoded)


class FrameStore:
    """Reads a frame store from any seekable binary file, which it closes with itself."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
            self._names = {int(name.removesuffix(SUFFIX)): name for name in self._zip.namelist()}
        except _DAMAGED:
            file.close()
            raise ObjectMissing("The frame store is not whole.") from None
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> FrameStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the reader and the file."""
        self._zip.close()
        self._file.close()

    @property
    def frame_numbers(self) -> list[int]:
        """The frames it holds, ascending."""
        return sorted(self._names)

    def read(self, frame_number: int) -> NDArray[np.uint8]:
        """One frame, (H, W, 3) RGB. Raises ObjectMissing for a frame that was not sampled, or a damaged store."""
        return decode(self.jpeg(frame_number))

    def jpeg(self, frame_number: int) -> bytes:
        """One frame as it is kept. Raises as `read` does."""
        try:
            return self._zip.read(self._names[frame_number])
        except KeyError:
            raise ObjectMissing(f"Frame {frame_number} is not in the frame store.") from None
        except _DAMAGED:
            raise ObjectMissing(f"Frame {frame_number} of the frame store is damaged.") from None

    def thumbnail(self, frame_number: int, pixels: int) -> NDArray[np.uint8]:
        """One frame, RGB, shrunk to about so many pixels if it has more. Raises as `read` does."""
        return decode_small(self.jpeg(frame_number), pixels)

    def groups(self, size: int) -> Iterator[list[tuple[int, NDArray[np.uint8]]]]:
        """All frames in order, `size` at a time (the last group may be smaller), as (frame number, frame)."""
        numbers = self.frame_numbers
        for start in range(0, len(numbers), size):
            yield [(number, self.read(number)) for number in numbers[start : start + size]]


def encode(rgb: NDArray[np.uint8]) -> bytes:
    """JPEG of an RGB frame, full colour resolution."""
    import cv2

    return _encode(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def _encode(bgr: NDArray[np.uint8]) -> bytes:
    import cv2

    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, encoded = cv2.imencode(SUFFIX, bgr, quality)
    assert done
    return encoded.tobytes()


def decode(encoded: bytes) -> NDArray[np.uint8]:
    """RGB frame of a JPEG. Raises ObjectMissing where it is none."""
    import cv2
    import numpy as np

    rgb = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    if rgb is None:
        raise ObjectMissing("A frame of the frame store is damaged.")
    return rgb


def decode_small(encoded: bytes, pixels: int) -> NDArray[np.uint8]:
    """RGB frame of a JPEG, shrunk to about so many pixels if it has more; the decoder does most of it, so a large one costs little more.

    Raises ObjectMissing where it is none.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            scale = min(1.0, math.sqrt(pixels / (picture.width * picture.height)))
            size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
            picture.draft("RGB", size)
            return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, ValueError):
        raise ObjectMissing("A frame of the frame store is damaged.") from None
