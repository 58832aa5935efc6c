"""The command lines for ffprobe and ffmpeg, composed by ffmpeg-python and never run by it.

What belongs here: every option that reaches the two programs, and why. What does not: running them (`runner`), reading
their answers (`probe`, `sampling`).

Each command opens exactly one local file (`file:`; with zeros where `Opened.hidden` says so), as mov/mp4 or AVI and nothing else: a
playlist that calls itself .avi cannot lead to another file or host. Codecs are whitelisted: the
hundreds of rarely used decoders are given no data (`Opened.elsewhere`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reframer_pipeline.media.containers import Container
from reframer_pipeline.media.display import Filter
from reframer_pipeline.media.filters import rising, through
from reframer_pipeline.settings import Settings

VIDEO_DECODERS: Final = (
    "h264,hevc,mpeg4,msmpeg4,msmpeg4v1,msmpeg4v2,mpeg1video,mpeg2video,h263,flv,av1,libdav1d,libaom-av1,vp8,vp9,libvpx-vp9,"
    "mjpeg,prores,dnxhd,dvvideo,vc1,wmv1,wmv2,wmv3,cinepak,svq1,svq3,rpza,qtrle,ffv1,huffyuv,ffvhuff,utvideo,rawvideo,v210,png"
)
AUDIO_DECODERS: Final = (
    "aac,aac_latm,mp1,mp1float,mp2,mp2float,mp3,mp3float,ac3,ac3_fixed,eac3,dca,truehd,mlp,opus,libopus,vorbis,libvorbis,flac,alac,"
    "amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,wmav1,wmav2,wmapro,qdm2,qdmc,mace3,mace6,gsm,gsm_ms,adpcm_ms,adpcm_ima_wav,"
    "adpcm_ima_qt,pcm_s8,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_f64be,pcm_alaw,pcm_mulaw"
)
SUBTITLE_DECODERS: Final = "mov_text,dvdsub,xsub,cc_dec,text,srt,subrip,ass,webvtt"

_STREAM_FIELDS: Final = (
    "index,id,codec_name,codec_type,pix_fmt,width,height,sample_aspect_ratio,avg_frame_rate,time_base,duration_ts,nb_frames,"
    "color_transfer,color_space,color_primaries,color_range,disposition:stream_disposition=default,attached_pic:stream_side_data=displaymatrix:format=format_name,nb_streams"
)
_FRAME_FIELDS: Final = "width,height,interlaced_frame,color_transfer:frame_side_data=displaymatrix"
_TICKS: Final = 90_000  # a second, of a proxy's times: as fine as times in films are
LOOK_PACKETS: Final = 16  # what the first pictures are taken from, to see what no header says


@dataclass(frozen=True)
class Opened:
    """A stream, and what must be allowed so that ffprobe opens the file it is in.

    Attributes:
        index: Of the stream; None while none has been chosen.
        elsewhere: Decoders off the list that streams beside it want. ffprobe gives up if it cannot open the decoder of every stream, so
            these are opened: they read what the uploader's header holds for them, within the fence, and are given no data.
        hidden: Where names of four bytes stand that ffprobe must not see, since it cannot open what they stand for; rising.
    """

    index: int | None = None
    elsewhere: tuple[str, ...] = ()
    hidden: tuple[int, ...] = ()

    def source(self, path: Path) -> str:
        """The file as FFmpeg's protocols name it, zeros in place of what is hidden."""
        whole = f"file:{path.absolute()}"
        if not self.hidden:
            return whole
        starts, ends = [0, *(at + 4 for at in self.hidden)], [*self.hidden, path.stat().st_size]
        parts = [f"subfile,,start,{start},end,{end},,:{whole}" for start, end in zip(starts, ends, strict=True)]
        return "concat:" + "|subfile,,start,0,end,4,,:file:/dev/zero|".join(parts)


def decoder_threads() -> int:
    """Threads one decode may use: more than four only adds memory to a pipeline that is bound elsewhere."""
    return min(4, os.cpu_count() or 1)


def guards(settings: Settings) -> dict[str, Any]:
    """Input options that hold for every command."""
    return {
        "protocol_whitelist": "file,pipe",
        "format_whitelist": "mov,avi",
        "max_pixels": settings.max_pixels,
        "max_streams": settings.max_streams,
    }


def _ffprobe(path: Path, stream: Opened, settings: Settings, **wanted: Any) -> list[str]:
    # ffmpeg-python composes ffprobe's lines only inside its own unguarded `probe`; this is the part of it that composes.
    from ffmpeg._utils import convert_kwargs_to_cmd_line_args

    elsewhere = ",".join((VIDEO_DECODERS, AUDIO_DECODERS, SUBTITLE_DECODERS, *stream.elsewhere))
    options = {
        **guards(settings),
        **({"protocol_whitelist": "file,pipe,concat,subfile"} if stream.hidden else {}),
        "v": "error",
        # Without a kind of stream this binds the demuxer, too: what looks into data to find out facts uses no other decoder.
        "codec_whitelist": ",".join((VIDEO_DECODERS, AUDIO_DECODERS, SUBTITLE_DECODERS)),
        **{f"codec_whitelist:{kind}": elsewhere for kind in ("v", "a", "s")},
        **wanted,
    }
    # of the options that fit a stream, the last one holds
    chosen = [] if stream.index is None else [f"-codec_whitelist:{stream.index}", VIDEO_DECODERS, "-select_streams", str(stream.index)]
    return ["ffprobe", *convert_kwargs_to_cmd_line_args(options), *chosen, stream.source(path)]


def headers(path: Path, stream: Opened, settings: Settings) -> list[str]:
    """ffprobe: what the header says of each stream, as JSON."""
    return _ffprobe(path, stream, settings, show_entries=f"stream={_STREAM_FIELDS}", of="json")


def look(path: Path, stream: Opened, settings: Settings, container: Container) -> list[str]:
    """ffprobe: the first `LOOK_PACKETS` packets of a stream and the pictures in them, as JSON.

    Edit lists do not count: pictures before the part that is shown tell the same, and would be passed over.
    """
    whole = {"ignore_editlist": 1} if container == "mov" else {}
    entries = f"packet=flags:frame={_FRAME_FIELDS}"
    return _ffprobe(path, stream, settings, read_intervals=f"%+#{LOOK_PACKETS}", show_entries=entries, of="json", **whole)


def packets(path: Path, stream: Opened, settings: Settings) -> list[str]:
    """ffprobe: one line `key=value|…` per packet of a stream, in file order, nothing decoded but the first few."""
    return _ffprobe(path, stream, settings, show_entries="packet=pts,dts,duration,flags:packet_side_data=side_data_type", of="compact=p=0")


def pictures(path: Path, stream: Opened, settings: Settings) -> list[str]:
    """ffprobe: one line `key=value|…` per picture of a stream, all of it decoded."""
    return _ffprobe(path, stream, settings, show_entries="frame=best_effort_timestamp", of="compact=p=0", threads=decoder_threads())


def opened(path: Path, settings: Settings, *, sound: bool, **options: Any) -> Any:
    """A video as ffmpeg-python's input, opened as every video is.

    Args:
        path: The video.
        settings: The limits.
        sound: Whether its sound is decoded, too.
        options: More options of the input.
    """
    import ffmpeg

    return ffmpeg.input(
        f"file:{path.absolute()}",
        **guards(settings),
        codec_whitelist=f"{VIDEO_DECODERS},{AUDIO_DECODERS}" if sound else VIDEO_DECODERS,  # what is not opened need not be allowed
        threads=decoder_threads(),
        noautorotate=None,  # `display` turns, by the facts
        # Filters are not rebuilt where the picture's size changes within the file: they would count from zero again. The scaler, which
        # comes first, takes any size.
        reinit_filter=0,
        **options,
    )


def filters() -> list[str]:
    """ffmpeg: the filters that it has, a line each."""
    return ["ffmpeg", "-hide_banner", "-filters"]


def decode(
    path: Path,
    stream_index: int,
    settings: Settings,
    *,
    looked_at: str,
    kept: Sequence[Filter],
    compared: Sequence[Filter],
    fds: tuple[int, int],
) -> list[str]:
    """ffmpeg: one decode, three outputs, no frame invented or dropped.

    Standard output carries every frame through the filters `compared`, as bgr24. `fds[0]` carries one line per source frame with its
    number and container pts, `fds[1]` the frames that are looked at, through the filters `kept`, as gbrp: planes of green, blue and red.

    Args:
        path: The video.
        stream_index: Which stream.
        settings: The limits.
        looked_at: Which frames are looked at, as an expression of FFmpeg's `select`.
        kept: Filters of the pictures that are looked at; they end in RGB.
        compared: Filters of the copies that are compared from frame to frame.
        fds: Descriptor numbers, in the child, for the lines and for the kept frames.
    """
    import ffmpeg

    source = opened(path, settings, sound=False, copyts=None)  # copyts: else the first pts is moved to zero
    branches = source[str(stream_index)].split()
    few = through(branches[0].filter("select", looked_at), kept).filter("format", "gbrp")
    every = (
        through(branches[1], compared)
        .filter("format", "bgr24")
        .filter("metadata", mode="add", key="n", value=1)  # `print` skips frames without any entry
        .filter("metadata", mode="print", file=f"pipe:{fds[0]}", direct=1)
    )
    raw = {"format": "rawvideo", "vcodec": "rawvideo", "fps_mode": "passthrough", "enc_time_base": -1}
    outputs = ffmpeg.merge_outputs(ffmpeg.output(every, "pipe:1", **raw), ffmpeg.output(few, f"pipe:{fds[1]}", **raw))
    command: list[str] = outputs.global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-filter_complex_threads", "1").compile()
    return command


def proxy(
    path: Path,
    stream_index: int,
    settings: Settings,
    *,
    shown: Sequence[Filter],
    start_s: float,
    step_s: float,
    sound: bool,
    target: Path,
) -> list[str]:
    """ffmpeg: a copy that every browser can play, with every frame at its time; standard output tells how far it is.

    The first frame is at 0. Times are kept to 1/90000 s. Where time stands still or steps back, as in damaged files, a frame follows the
    one before by that much; one without a time follows by `step_s`. There are no B-frames, so it begins at 0 without an edit list.

    Args:
        path: The video.
        stream_index: Which stream.
        settings: The limits.
        shown: Filters that make a stored picture one that is shown, of even sides.
        start_s: Time of the first frame in the container, seconds.
        step_s: How long a frame usually lasts, seconds.
        sound: Whether the first sound comes along.
        target: The file to write.
    """
    import ffmpeg

    source = opened(path, settings, sound=sound, copyts=None)
    timed = rising(source[str(stream_index)].filter("settb", f"1/{_TICKS}"), max(1, round(step_s * _TICKS)))
    streams = [through(timed, shown)]
    if sound:
        heard = source["a:0"].filter("atrim", start=start_s).filter("asetpts", f"PTS-{start_s}/TB")
        streams.append(heard.filter("aresample", **{"async": 1, "first_pts": 0}))
    options = {
        "vcodec": "libx264", "preset": "veryfast", "crf": 20, "profile:v": "high", "pix_fmt": "yuv420p", "bf": 0,
        "g": 250, "force_key_frames": "expr:gte(t,n_forced)",  # one a second, so that seeking is quick
        "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv",
        "fps_mode": "passthrough", "enc_time_base": f"1:{_TICKS}", "video_track_timescale": _TICKS,
        "acodec": "aac", "b:a": "128k", "ac": 2, "ar": 48_000,
        "threads": decoder_threads(), "map_metadata": -1, "map_chapters": -1, "movflags": "+faststart", "f": "mp4", "progress": "pipe:1",
    }  # fmt: skip
    if not sound:
        options = {name: value for name, value in options.items() if name not in ("acodec", "b:a", "ac", "ar")}
    made = ffmpeg.output(*streams, f"file:{target.absolute()}", **options).overwrite_output()
    command: list[str] = made.global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-filter_complex_threads", "1").compile()
    return command
