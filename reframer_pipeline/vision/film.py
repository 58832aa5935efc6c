"""A film from pictures with times and a sound: mp4, WebM or GIF.

What belongs here: the forms of file, and their command lines. What does not: what is drawn (`reading.previews`), feeding ffmpeg
(`encoder`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

from reframer_pipeline import scratch
from reframer_pipeline.vision.boxes import Rgb
from reframer_pipeline.vision.encoder import ENCODER, END_S, MAX_SIDE, composed, feed, ffmpeg_tool
from reframer_pipeline.vision.raw_film import raw_film

FilmKind = Literal["mp4", "webm", "gif"]


@dataclass(frozen=True)
class Form:
    """A kind of file for films.

    Attributes:
        options: ffmpeg's.
        sound: The same for sound; None where it has none.
        tick_s: What its times are rounded to; None: to whatever the source's are.
        nearest_s: Least distance of two pictures; one that comes sooner is left out.
        longest_side: Of its pictures, pixels.
        palette: Whether it has a palette; the options are then those of a film that is kept on the way.
    """

    options: Mapping[str, str | int]
    sound: Mapping[str, str | int] | None
    tick_s: Fraction | None = None
    nearest_s: Fraction = Fraction(0)
    longest_side: int = MAX_SIDE
    palette: bool = False


_VIDEO: Final[dict[str, str | int]] = {
    "pix_fmt": "yuv420p", "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"
}  # fmt: skip
FORMS: Final[Mapping[FilmKind, Form]] = {
    "mp4": Form({"f": "mp4", **ENCODER, **_VIDEO, "crf": 20}, {"acodec": "aac", "b:a": "192k"}),
    "webm": Form(
        {
            "f": "webm",
            "vcodec": "libvpx-vp9",
            "deadline": "realtime",
            "cpu-used": 6,
            "row-mt": 1,
            "crf": 30,
            "b:v": 0,
            "threads": 2,
            "avoid_negative_ts": "disabled",
            **_VIDEO,
        },
        {"acodec": "libopus", "b:a": "128k"},
        Fraction(1, 1000),
    ),
    # Browsers play what is shorter than 2/100 s at a tenth of the speed.
    "gif": Form(
        {"f": "matroska", "vcodec": "libx264", "preset": "ultrafast", "crf": 12, "pix_fmt": "yuv444p", "threads": 2},
        None,
        Fraction(1, 100),
        Fraction(2, 100),
        480,
        palette=True,
    ),
}


def encode_film(
    pictures: Iterable[tuple[Fraction, Rgb]],
    out_path: Path,
    form: Form,
    *,
    tick_s: Fraction,
    lasts_s: float,
    place: Path,
    sound: Path | None = None,
    comment: str = "",
) -> None:
    """Encode pictures at their own times, beside a sound.

    Args:
        pictures: Seconds, rising by a tick at least, and RGB of one shape and even sides; drawn one at a time.
        out_path: File to write; it appears when it is whole.
        form: Of the file.
        tick_s: What the times are multiples of.
        lasts_s: How long a picture usually lasts.
        place: A folder for files on their way.
        sound: A FLAC file of ours that begins with the first picture, or None.
        comment: For whoever looks at the file's own words.

    Raises:
        MediaToolMissing: ffmpeg is not installed.
        OutputNotWritable: The disk is full.
        InternalError: ffmpeg refused; the message holds what it said.
    """
    ffmpeg, tick_s = ffmpeg_tool(), form.tick_s or tick_s
    fed = raw_film(_far_enough(pictures, form), lasts_s)
    with scratch.appearing(out_path) as part:
        if not form.palette:
            feed(_film_command(ffmpeg, part, form, tick_s, sound if form.sound else None, comment), fed)
            return
        # The colours of a GIF are known when all pictures have been seen: so they are kept, and read twice.
        draft, colours = place / "draft.mkv", place / "colours.png"
        taken = feed(_film_command(ffmpeg, draft, form, tick_s, None, ""), fed)
        for command in _palette_commands(ffmpeg, draft, colours, part, comment):
            feed(command, (), END_S + taken)
        draft.unlink()


def _far_enough(pictures: Iterable[tuple[Fraction, Rgb]], form: Form) -> Iterator[tuple[Fraction, Rgb]]:
    last: Fraction | None = None
    for seconds, picture in pictures:
        if last is None or seconds - last >= max(form.nearest_s, form.tick_s or 0):
            last = seconds
            yield seconds, picture


def _film_command(ffmpeg: str, part: Path, form: Form, tick_s: Fraction, sound: Path | None, comment: str) -> list[str]:
    import ffmpeg as compose

    pictures = compose.input("pipe:0", format="matroska", codec_whitelist="rawvideo")
    shown = pictures.filter("scale", out_color_matrix="bt709", out_range="tv", flags="bicubic+accurate_rnd+full_chroma_int")
    streams = [shown.filter("format", form.options["pix_fmt"])]
    options = {**form.options, "fps_mode": "passthrough", "enc_time_base:v": f"{tick_s.numerator}:{tick_s.denominator}"}
    if sound:
        streams.append(compose.input(f"file:{sound}", format="flac", codec_whitelist="flac")["a:0"])
        options |= form.sound or {}
    return composed(ffmpeg, compose.output(*streams, f"file:{part}", map_metadata=-1, **options, **_about(comment)))


def _palette_commands(ffmpeg: str, draft: Path, colours: Path, part: Path, comment: str) -> Iterator[list[str]]:
    import ffmpeg as compose

    def read() -> Any:
        return compose.input(f"file:{draft}", format="matroska", codec_whitelist="libx264,h264")

    yield composed(ffmpeg, read().filter("palettegen", stats_mode="diff").output(f"file:{colours}", f="image2", update=1))
    painted = compose.filter([read(), compose.input(f"file:{colours}")], "paletteuse", dither="bayer", bayer_scale=3, diff_mode="rectangle")
    timed = {"fps_mode": "passthrough", "enc_time_base": "1:100", "map_metadata": -1}
    yield composed(ffmpeg, painted.output(f"file:{part}", f="gif", **timed, **_about(comment)))


def _about(comment: str) -> dict[str, str]:
    return {"metadata": f"comment={comment}"} if comment else {}
