"""The command lines for ffprobe and ffmpeg, composed by ffmpeg-python and never run by it.

What belongs here: every option that reaches the two programs, and why. What does not: running them (`runner`), reading
their answers (`probe`, `sampling`).

Each command opens exactly one local file (`file:`), as mov/mp4 or AVI and nothing else: a playlist that calls itself .avi
cannot lead to another file or host. Codecs are whitelisted, so that the hundreds of rarely used decoders are out of reach.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

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
    "index,codec_name,codec_type,pix_fmt,width,height,sample_aspect_ratio,avg_frame_rate,time_base,duration_ts,nb_frames,"
    "disposition:stream_disposition=default,attached_pic:stream_side_data=rotation:format=format_name,nb_streams"
)


def decoder_threads() -> int:
    """Threads one decode may use: more than four only adds memory to a pipeline that is bound elsewhere."""
    return min(4, os.cpu_count() or 1)


def _guards(settings: Settings) -> dict[str, Any]:
    """Input options that hold for every command."""
    return {
        "protocol_whitelist": "file,pipe",
        "format_whitelist": "mov,avi",
        "max_pixels": settings.max_pixels,
        "max_streams": settings.max_streams,
    }


def _ffprobe(path: Path, settings: Settings, **wanted: Any) -> list[str]:
    # ffmpeg-python composes ffprobe's lines only inside its own unguarded `probe`; this is the part of it that composes.
    from ffmpeg._utils import convert_kwargs_to_cmd_line_args

    options = {
        **_guards(settings),
        "v": "error",
        # by kind of stream: ffprobe ends with an error when any stream's decoder is refused
        "codec_whitelist:v": VIDEO_DECODERS,
        "codec_whitelist:a": AUDIO_DECODERS,
        "codec_whitelist:s": SUBTITLE_DECODERS,
        **wanted,
    }
    return ["ffprobe", *convert_kwargs_to_cmd_line_args(options), f"file:{path.absolute()}"]


def headers(path: Path, settings: Settings) -> list[str]:
    """ffprobe: what the header says of each stream, as JSON."""
    return _ffprobe(path, settings, show_entries=f"stream={_STREAM_FIELDS}", of="json")


def packets(path: Path, stream_index: int, settings: Settings) -> list[str]:
    """ffprobe: one line `key=value|…` per packet of one stream, in file order, nothing decoded but the first few."""
    entries = "packet=pts,dts,duration,flags:packet_side_data=side_data_type"
    return _ffprobe(path, settings, select_streams=stream_index, show_entries=entries, of="compact=p=0")


def decode(
    path: Path, stream_index: int, settings: Settings, *, size: tuple[int, int], small: tuple[int, int], fds: tuple[int, int]
) -> list[str]:
    """ffmpeg: one decode, three outputs, no frame invented or dropped.

    Standard output carries every frame at the `small` size as bgr24. `fds[0]` carries one line per source frame with its
    number and container pts, `fds[1]` every `vid_stride`-th frame as rgb24 at `size`: upright (ffmpeg applies the display
    matrix itself) and with square pixels.

    Args:
        path: The video.
        stream_index: Which stream.
        settings: `vid_stride` and the limits.
        size: Displayed width and height.
        small: Width and height of the copy that is compared from frame to frame.
        fds: Descriptor numbers, in the child, for the lines and for the kept frames.
    """
    import ffmpeg

    source = ffmpeg.input(
        f"file:{path.absolute()}",
        **_guards(settings),
        codec_whitelist=VIDEO_DECODERS,  # here no sound is opened, so none need be allowed
        threads=decoder_threads(),
        copyts=None,  # else the first pts is moved to zero
    )
    branches = source[str(stream_index)].split()
    kept = (
        branches[0]
        .filter("select", f"not(mod(n,{settings.vid_stride}))")
        .filter("scale", *size, flags="bicubic+accurate_rnd+full_chroma_int")
        .filter("setsar", 1)
        .filter("format", "rgb24")
    )
    compared = (
        branches[1]
        .filter("scale", *small, flags="area+accurate_rnd+bitexact")  # else scores are the processor's: up to 3.4 apart, the cut is at 27
        .filter("format", "bgr24")
        .filter("metadata", mode="add", key="n", value=1)  # `print` skips frames without any entry
        .filter("metadata", mode="print", file=f"pipe:{fds[0]}", direct=1)
    )
    raw = {"format": "rawvideo", "vcodec": "rawvideo", "fps_mode": "passthrough", "enc_time_base": -1}
    outputs = ffmpeg.merge_outputs(ffmpeg.output(compared, "pipe:1", **raw), ffmpeg.output(kept, f"pipe:{fds[1]}", **raw))
    command: list[str] = outputs.global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-filter_complex_threads", "1").compile()
    return command
