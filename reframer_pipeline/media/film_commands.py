"""The command lines of what editors take away: frames of a range, and films with a matte.

What belongs here: every option of these, and why. What does not: the guards that hold for every command (`commands`), running them
(`runner`).

A film's pictures keep the source's times, also where its rate varies. A pipe of raw pictures has no times, so the reader, besides pictures,
writes a *clock*: fragmented QuickTime with a fragment for each frame, of pictures that nobody looks at. Who makes mattes puts each one
where that frame's pixels are, and hands all other bytes on. The writer finds mattes in it that have the source's times, and pairs them with
the source's own pictures, sound and colours. Both pass frames through the same filters (`_timed`), so their times agree.

A frame of the clock has two bytes a pixel (UYVY): every second one is luma, 0 to 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reframer_pipeline.media.commands import AUDIO_DECODERS, decoder_threads, guards
from reframer_pipeline.media.display import Filter
from reframer_pipeline.media.filters import rising, through
from reframer_pipeline.media.parts import Part
from reframer_pipeline.settings import Settings

_FRAGMENTS: Final = "empty_moov+frag_every_frame+default_base_moof"
_QUIET: Final = ("-nostdin", "-hide_banner", "-loglevel", "error", "-filter_complex_threads", "1")
_RANGE_10: Final = (64, 940)  # black and white of video with 10 bits (ITU-R BT.709)
_RANGE_8: Final = (16, 235)


@dataclass(frozen=True)
class Film:
    """How a film is written.

    Attributes:
        options: FFmpeg's, of codec and container.
        pictures: Filters of the source's pictures; none: the matte is alone.
        tags: Colour tags, of FFmpeg's `setparams`.
        alpha: The pixel format with alpha; None: the matte is the picture.
        sound: Seconds of the container's time from which on, and until which, the first sound comes along.
    """

    options: dict[str, Any]
    pictures: Sequence[Filter] | None
    tags: dict[str, str]
    alpha: str | None
    sound: tuple[float, float] | None


def frames(part: Part, settings: Settings, *, shown: Sequence[Filter], clock: int | None) -> list[str]:
    """ffmpeg: every frame of a range on standard output, as rgb24, and the clock.

    Args:
        part: The range.
        settings: The limits.
        shown: Filters that make a stored picture one that is shown.
        clock: Descriptor number of the clock; None: there is none.
    """
    import ffmpeg

    picture = part.pictures(part.opened(settings))
    raw = {"vcodec": "rawvideo", "fps_mode": "passthrough"}
    if clock is None:
        return _composed(ffmpeg.output(through(picture, shown), "pipe:1", f="rawvideo", **raw))
    branches = picture.split()
    width, height = part.size
    blank = _timed(branches[1], part).filter("scale", width, height, flags="neighbor").filter("format", "uyvy422")
    fragments = {**raw, **_times(part, "mov"), "movflags": _FRAGMENTS, "f": "mov"}
    pictures = ffmpeg.output(through(branches[0], shown), "pipe:1", f="rawvideo", **raw)
    return _composed(ffmpeg.merge_outputs(pictures, ffmpeg.output(blank, f"pipe:{clock}", **fragments)))


def film(part: Part, settings: Settings, film: Film, target: Path) -> list[str]:
    """ffmpeg: a film, of a clock with mattes on standard input.

    Args:
        part: The range of the source.
        settings: The limits.
        film: How it is written.
        target: The file to write.
    """
    import ffmpeg

    # the clock has got the source's display matrix, and mattes are upright
    clock = ffmpeg.input("pipe:0", f="mov", codec_whitelist="rawvideo", copyts=None, noautorotate=None)
    source = part.opened(settings, sound=film.sound is not None) if film.pictures is not None or film.sound else None
    streams = [_pictures(clock, source, part, film)]
    if film.sound and source is not None:
        start, end = film.sound
        heard = source["a:0"].filter("atrim", start=start, end=end).filter("asetpts", f"PTS-{start}/TB")
        streams.append(heard.filter("aresample", **{"async": 1, "first_pts": 0}))
    options = {
        **film.options,
        **_times(part, film.options["f"]),
        "fps_mode": "passthrough",
        "threads": decoder_threads(),
        "map_metadata": -1,
        "map_chapters": -1,
    }
    return _composed(ffmpeg.output(*streams, f"file:{target.absolute()}", **options).overwrite_output())


def hearing(path: Path, settings: Settings) -> list[str]:
    """ffmpeg: the first sound, decoded for nobody, to know whether it can be."""
    import ffmpeg

    sound = ffmpeg.input(f"file:{path.absolute()}", **guards(settings), codec_whitelist=AUDIO_DECODERS)["a:0"]
    return _composed(ffmpeg.output(sound, "pipe:1", f="null"))


def _pictures(clock: Any, source: Any, part: Part, film: Film) -> Any:
    """The film's pictures: the matte as alpha of pictures or of white, or as the picture."""
    import ffmpeg

    deep = film.alpha is None or film.alpha.endswith("10le")
    black, white = _RANGE_10 if deep else _RANGE_8
    neutral, most = (512, 1020) if deep else (128, 255)  # swscale takes 8 bits to 10 by two zeros
    matte = clock.filter("format", "yuv422p10le" if deep else "yuv422p").filter("setsar", 1)
    if film.alpha is None:
        grey = matte.filter("lutyuv", y=f"round({black}+val*{white - black}/{most})", u=neutral, v=neutral)
        return grey.filter("setparams", **film.tags)
    if film.pictures is None:
        branches = matte.split()
        white_only, matte = branches[0].filter("lutyuv", y=white, u=neutral, v=neutral), branches[1]
        shown = white_only.filter("format", film.alpha.replace("yuva", "yuv"))
    else:
        shown = through(_timed(part.pictures(source), part), film.pictures)
    alpha = matte.filter("lutyuv", y=f"round(val*1023/{most})" if deep else "val").filter("extractplanes", "y")
    planes = {"map0p": 0, "map1p": 1, "map2p": 2, "map3s": 1, "map3p": 0}
    return ffmpeg.filter([shown, alpha], "mergeplanes", format=film.alpha, **planes).filter("setparams", **film.tags)


def _timed(stream: Any, part: Part) -> Any:
    """From 0 on, and rising, in the source's own units."""
    return rising(stream.filter("settb", f"{part.time_base}"), part.step)


def _times(part: Part, container: str) -> dict[str, Any]:
    """Options that keep the source's times: encoders would take a unit for each frame of an even rate."""
    base = part.time_base
    scale = {"video_track_timescale": base.denominator} if container == "mov" else {}  # WebM has milliseconds
    return {"enc_time_base:v": f"{base.numerator}:{base.denominator}", **scale}


def _composed(output: Any) -> list[str]:
    command: list[str] = output.global_args(*_QUIET).compile()
    return command
