"""Mattes and cutouts as files: films with alpha, a grey film, pictures.

What belongs here: the forms, and writing frame after frame. What does not: command lines (`media.film_commands`), where mattes come from
(`matte`), when a file takes its name (`reading.outputs`).

| form | matte alone | cutout |
|---|---|---|
| prores | white, the matte as alpha: ProRes 4444 | the source's picture, the matte as alpha |
| webm | the same in VP9 | the same |
| luma | the matte as a grey picture: ProRes 422 HQ | |
| png | the matte as a grey picture a frame | red, green, blue, alpha |

Alpha is straight: a cutout's pixels are the source's own, also where alpha is 0. PNG has the matte exactly, the others within what their
codec loses. Films have the source's times; WebM rounds them to milliseconds.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from reframer_pipeline.editing.source import SourceFrame
from reframer_pipeline.failures import InternalError, OutputNotWritable
from reframer_pipeline.media import film_commands
from reframer_pipeline.media.display import Filter, as_shown
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.film_commands import Film
from reframer_pipeline.media.headers import read_header
from reframer_pipeline.media.parts import Part
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.proxy import make_upright
from reframer_pipeline.media.replay import patient
from reframer_pipeline.media.runner import GuardedProcess
from reframer_pipeline.settings import Settings

Form = Literal["prores", "webm", "png", "luma"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
SUFFIXES: Final[dict[Form, str]] = {"prores": ".mov", "webm": ".webm", "luma": ".mov", "png": ""}
NAME_DIGITS: Final = 8  # of a picture's number
Matte = npt.NDArray[np.uint8]
"""`(height, width)`: 0 is none of it, 255 all."""

_ENCODING: Final = 8  # times the CPU seconds of a decode: VP9 in 4K takes that long
_SCALING: Final = "bicubic+accurate_rnd+full_chroma_int"
_PRORES: Final = {"f": "mov", "vcodec": "prores_ks", "vendor": "apl0", "acodec": "pcm_s16le"}
_OPTIONS: Final[dict[Form, dict[str, Any]]] = {
    "prores": {**_PRORES, "profile:v": "4444", "alpha_bits": 16, "pix_fmt": "yuva444p10le"},
    "luma": {**_PRORES, "profile:v": "hq", "pix_fmt": "yuv422p10le"},
    "webm": {
        "f": "webm", "vcodec": "libvpx-vp9", "pix_fmt": "yuva420p", "crf": 18, "b:v": 0, "deadline": "good", "cpu-used": 4, "row-mt": 1,
        "auto-alt-ref": 0, "avoid_negative_ts": "disabled", "acodec": "libopus", "b:a": "128k",
    },
}  # fmt: skip
_BT709: Final = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
# Tags that are kept, by FFmpeg's names: what cameras and editing programs write. Rarer ones are not known to every FFmpeg's `setparams`.
_TAGS: Final = (
    "bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "fcc", "bt2020", "bt2020nc", "bt2020c", "bt2020-10", "bt2020-12", "smpte2084",
    "arib-std-b67", "smpte431", "smpte432", "iec61966-2-1", "linear",
)  # fmt: skip
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # a fixed date: the same mattes give the same bytes


class Writer(Protocol):
    """Takes a range's frames in order, none left out."""

    def write(self, frame: SourceFrame, matte: Matte) -> None:
        """The next frame."""


@dataclass(frozen=True)
class Shape:
    """What is wanted of the mattes.

    Attributes:
        form: Of the file.
        cutout: Whether the source's picture is in it.
    """

    form: Form
    cutout: bool = False

    @property
    def is_film(self) -> bool:
        """Whether it is one file with times and sound."""
        return self.form != "png"


@contextlib.contextmanager
def writing(
    shape: Shape, target: Path, part: Part, metadata: VideoMetadata, settings: Settings, sound: tuple[float, float]
) -> Iterator[Writer]:
    """A writer whose file is whole when the block has ended well.

    Args:
        shape: What to write.
        target: The file; for PNG a folder that is there, or a zip by its name.
        part: The range. Its frames must come with a clock for a film.
        metadata: The video's facts.
        settings: The limits.
        sound: The range in seconds of the container's time.

    Raises:
        OutputNotWritable: There is no room for it.
        InternalError: ffmpeg cannot write it for another reason.
        MediaToolMissing, MediaToolTimeout: ffmpeg is absent, or ran into a limit.
    """
    if shape.is_film:
        heard = sound if metadata.has_audio and _is_heard(part.path, settings) else None
        command = film_commands.film(part, settings, _film_of(shape, metadata, part, settings, heard), target)
        with _film(command, part, settings, target) as film:
            yield film
        if target.suffix == ".mov":
            make_upright(target)
    elif target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            yield _Pictures(shape.cutout, lambda name, png: archive.writestr(zipfile.ZipInfo(name, _EPOCH), png))
    else:
        yield _Pictures(shape.cutout, lambda name, png: (target / name).write_bytes(png))


def picture_name(number: int) -> str:
    """What the picture of a source frame is called."""
    return f"{number:0{NAME_DIGITS}d}.png"


@dataclass(frozen=True)
class _Pictures:
    cutout: bool
    keep: Callable[[str, bytes], object]

    def write(self, frame: SourceFrame, matte: Matte) -> None:
        import cv2

        picture = np.dstack([frame.rgb[..., ::-1], matte]) if self.cutout else matte
        done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        assert done
        self.keep(picture_name(frame.number), encoded.tobytes())


@dataclass(frozen=True)
class _FilmWriter:
    process: GuardedProcess

    def write(self, frame: SourceFrame, matte: Matte) -> None:
        height, width = matte.shape
        pixels = np.full((height, frame.row_bytes), 128, np.uint8)
        pixels[:, 1 : 2 * width : 2] = matte
        if not (self.process.write(frame.clock) and self.process.write(pixels.data)):
            _demand_written(self.process)
            raise InternalError("ffmpeg stopped writing before the film's end.")


@contextlib.contextmanager
def _film(command: list[str], part: Part, settings: Settings, target: Path) -> Iterator[Writer]:
    frames, (width, height) = part.stop - part.start, part.size
    limits = replace(patient(settings, part.stop, _ENCODING, part.start), file_bytes=frames * width * height * 8 + 100_000_000)
    try:
        target.touch()
    except OSError as error:
        raise OutputNotWritable(f"The film cannot be written: {error.strerror or type(error).__name__}.") from error
    with GuardedProcess(command, limits, fed=True, reads=[part.path], writes=[target]) as process:
        yield _FilmWriter(process)
        _demand_written(process)


def _demand_written(process: GuardedProcess) -> None:
    if process.wait() != 0:
        if "No space left on device" in process.stderr:
            raise OutputNotWritable("The film cannot be written: no space left on device.")
        raise InternalError(f"ffmpeg cannot write the film: {process.stderr[:500]}")


def _film_of(shape: Shape, metadata: VideoMetadata, part: Part, settings: Settings, sound: tuple[float, float] | None) -> Film:
    alpha = None if shape.form == "luma" else _OPTIONS[shape.form]["pix_fmt"]
    if not shape.cutout:
        return Film(_without(shape.form, sound), None, {**_BT709, "range": "tv"}, alpha, sound)
    pictures, tags = _pictures(shape.form, metadata, part, settings)
    return Film(_without(shape.form, sound), pictures, {**tags, "range": "tv"}, alpha, sound)


def _without(form: Form, sound: tuple[float, float] | None) -> dict[str, Any]:
    return {name: value for name, value in _OPTIONS[form].items() if sound or name not in ("acodec", "b:a")}


def _pictures(form: Form, metadata: VideoMetadata, part: Part, settings: Settings) -> tuple[list[Filter], dict[str, str]]:
    """Filters of a cutout's pictures, and their colour tags: the source's own colours as far as the form can hold them."""
    way = metadata.orientation
    plain: Filter = ("format", (_OPTIONS[form]["pix_fmt"].replace("yuva", "yuv"),), {})
    if form == "webm" and metadata.tone_mapped_from:  # eight bits hold no HDR
        mapped = as_shown(part.size, way, metadata.tone_mapped_from, _SCALING)
        return [*mapped, ("scale", (), {"out_color_matrix": "bt709", "out_range": "tv"}), plain], _BT709
    is_yuv = (metadata.pix_fmt or "").startswith("yuv")
    matrix = {} if is_yuv else {"out_color_matrix": "bt709"}
    scaled: Filter = ("scale", way.turned(part.size), {"flags": _SCALING, "out_range": "tv", **matrix})
    tags = _tags(part.path, settings) if is_yuv else _BT709
    return [scaled, plain, *way.filters(), ("setsar", (1,), {})], tags


def _tags(path: Path, settings: Settings) -> dict[str, str]:
    """The colour tags that the header has, as `setparams` takes them."""
    said = read_header(path, settings).picture
    names = {"colorspace": "color_space", "color_primaries": "color_primaries", "color_trc": "color_transfer"}
    return {ours: said[theirs] for ours, theirs in names.items() if said.get(theirs) in _TAGS}


def _is_heard(path: Path, settings: Settings) -> bool:
    """Whether the sound can be decoded: before the mattes are made, which takes long."""
    with GuardedProcess(film_commands.hearing(path, settings), Limits.of(settings, units=3600), reads=[path]) as process:
        return process.wait() == 0
