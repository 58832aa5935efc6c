"""Small videos that the tests make with ffmpeg, so that they mean something without the shared media."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.probe import VideoMetadata, probe
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.settings import Settings

# Frame N is evenly grey with a luma of 16 + 4 N, so that a picture says which frame it is.
NUMBERED = "color=black:s={size}:r={rate},geq=lum='16+4*N':cb=128:cr=128"


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", *map(str, arguments)], check=True)


def numbered(target: Path, *, frames: int = 20, rate: str = "25", size: str = "64x48", filters: str = "null", options: str = "") -> Path:
    """A clip of numbered frames; `filters` and `options` are ffmpeg's, separated as on its command line."""
    source = NUMBERED.format(size=size, rate=rate) + f",trim=end_frame={frames},{filters}"
    codec = ["-c:v", "mpeg4", "-q:v", "2"] if target.suffix == ".avi" else ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "10"]
    ffmpeg("-f", "lavfi", "-i", source, *codec, "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", *options.split(), target)
    return target


def corners(target: Path) -> Path:
    """96x64: red top left, green top right, blue bottom left, white bottom right."""
    boxes = ",".join(
        f"drawbox=x={x}:y={y}:w=48:h=32:color={color}:t=fill"
        for x, y, color in ((0, 0, "red"), (48, 0, "lime"), (0, 32, "blue"), (48, 32, "white"))
    )
    source = f"color=black:s=96x64:r=25:d=0.2,format=rgb24,{boxes}"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-crf", "5", "-pix_fmt", "yuv444p", target)
    return target


def numbered_jpeg(number: int) -> bytes:
    """A numbered picture of 64x48 alone."""
    import cv2
    import numpy as np

    grey = round((4 * number) * 255 / 219)
    return bytes(cv2.imencode(".jpg", np.full((48, 64, 3), grey, np.uint8))[1])


def avi(
    target: Path, chunks: list[bytes], *, codec: bytes = b"MJPG", rate: tuple[int, int] = (25, 1), size: tuple[int, int] = (64, 48)
) -> Path:
    """An AVI whose picture chunks are these bytes, at a rate, without an index; ffmpeg writes no fields, damage or empty chunks."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    width, height = size
    head = struct.pack("<14I", 1_000_000 * rate[1] // rate[0], 0, 0, 0x10, len(chunks), 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = struct.pack("<4s4sIHHIIIIIIIIHHHH", b"vids", codec, 0, 0, 0, 0, rate[1], rate[0], 0, len(chunks), 0, 0, 0, 0, 0, width, height)
    form = struct.pack("<IIIHH4sIIIII", 40, width, height, 1, 24, codec, width * height * 3, 0, 0, 0, 0)
    headers = b"hdrl" + chunk(b"avih", head) + chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", form))
    movie = b"movi" + b"".join(chunk(b"00dc", data) for data in chunks)
    target.write_bytes(chunk(b"RIFF", b"AVI " + chunk(b"LIST", headers) + chunk(b"LIST", movie)))
    return target


def edited(video: Path, edits: list[tuple[float, float | None, float]]) -> Path:
    """Puts an edit list into an mp4 of one track: seconds shown, second of the media (None: nothing is shown), speed.

    The boxes of such a file lie behind its media, so none of the media moves.
    """
    data = bytearray(video.read_bytes())

    def u32(at: int) -> int:
        return int(struct.unpack_from(">I", data, at)[0])

    moov, trak, edts = (data.rindex(kind) - 4 for kind in (b"moov", b"trak", b"edts"))
    units, media = u32(data.rindex(b"mvhd") + 16), u32(data.rindex(b"mdhd") + 16)
    entries = b"".join(
        struct.pack(">Iii", round(shown * units), -1 if start is None else round(start * media), round(speed * 65536))
        for shown, start, speed in edits
    )
    box = struct.pack(">I4sI4sII", 24 + len(entries), b"edts", 16 + len(entries), b"elst", 0, len(edits)) + entries
    grown = len(box) - u32(edts)
    for at in (moov, trak):
        struct.pack_into(">I", data, at, u32(at) + grown)
    data[edts : edts + u32(edts)] = box
    video.write_bytes(data)
    return video


def absolute(fragmented: Path, seconds: int) -> Path:
    """Moves the fragments of an mp4, and its list of them, to a later time, as in a recording of a live stream."""
    data = bytearray(fragmented.read_bytes())
    (scale,) = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)
    for kind, offset in ((b"tfdt", 8), (b"sidx", 16)):
        at = data.find(kind)
        while at >= 0:
            form = ">Q" if data[at + 4] else ">I"
            struct.pack_into(form, data, at + offset, struct.unpack_from(form, data, at + offset)[0] + seconds * scale)
            at = data.find(kind, at + 1)
    fragmented.write_bytes(data)
    return fragmented


def fields(frames: int) -> list[bytes]:
    """Numbered frames of 64x64 in H.264, two fields each, as access units of a field: intra alone, samples as they are (I_PCM).

    No encoder here writes separate fields, cameras do (PAFF).
    """

    def ue(number: int) -> str:
        bits = f"{number + 1:b}"
        return "0" * (len(bits) - 1) + bits

    def unit(header: int, bits: str) -> bytes:
        whole = bits + "1"
        whole += "0" * (-len(whole) % 8)
        return b"\0\0\0\1" + bytes([header]) + int(whole, 2).to_bytes(len(whole) // 8, "big")

    # main profile, level 3, frame numbers of 4 bits, order is that of decoding, 1 reference, 4 blocks wide, 2 high in a field, fields
    sps = unit(0x67, f"{77:08b}{0:08b}{30:08b}" + ue(0) + ue(0) + ue(2) + ue(1) + "0" + ue(3) + ue(1) + "0" + "0" + "1" + "0" + "0")
    # no arithmetic coding, one slice group, deblocking as the slice says
    pps = unit(0x68, ue(0) + ue(0) + "0" + "0" + ue(0) + ue(0) + ue(0) + "0" + "00" + ue(0) + ue(0) + ue(0) + "1" + "0" + "0")
    units = []
    for number in range(frames):
        samples = bytes([16 + 4 * number % 200]) * 256 + bytes([128]) * 128
        for bottom in (0, 1):
            first = number == bottom == 0
            head = ue(0) + ue(7) + ue(0) + f"{number % 16:04b}" + "1" + str(bottom) + (ue(0) + "00" if first else "0") + ue(0) + ue(1)
            block = "".join(f"{byte:08b}" for byte in samples)
            bits = head
            for _ in range(8):
                bits += ue(25)
                bits += "0" * (-len(bits) % 8) + block
            units.append((sps + pps if first else b"") + unit(0x65 if first else 0x61, bits))
    return units


def turn(video: Path, matrix: tuple[float, float, float, float]) -> Path:
    """Writes the display matrix (a, b, c, d) into the track header of an mp4: `-metadata rotate` is gone from newer FFmpegs."""
    data = bytearray(video.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * 65536) for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    video.write_bytes(data)
    return video


def facts(video: Path, settings: Settings | None = None) -> VideoMetadata:
    return probe(video, settings or Settings(), sha256="0" * 64)


def sampled(video: Path, store: Path, settings: Settings | None = None) -> tuple[VideoMetadata, list[dict[str, Any]], FrameStore]:
    """Facts, rows and opened frame store of a video."""
    settings = settings or Settings()
    metadata = facts(video, settings)
    rows = [row for batch in sample_frames(video, metadata, settings, store) for row in batch.to_pylist()]
    return metadata, rows, FrameStore(store.open("rb"))


def ffprobe_pts(video: Path, stream_index: int) -> list[str]:
    """What ffprobe itself says of each decoded frame: its pts, as text (N/A where it has none)."""
    entries = ["-show_entries", "frame=best_effort_timestamp", "-of", "compact=p=0:nk=1", "-threads", "2"]
    command = ["ffprobe", "-v", "error", "-select_streams", str(stream_index), *entries, f"file:{video}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [line.split("|")[0] for line in lines]


def hdr(target: Path, rgb: tuple[int, int, int], transfer: str, *, white: float = 203, more: str = "lossless=1") -> Path:
    """A clip of one colour of SDR (BT.709), written as HDR in BT.2020 with SDR's white at `white` cd/m2, as ITU-R BT.2408 has it.

    Args:
        target: The file.
        rgb: The colour, of 8 bits.
        transfer: smpte2084 (PQ, SMPTE ST 2084) or arib-std-b67 (HLG, ITU-R BT.2100, for a display of 1000 cd/m2).
        white: Light of white.
        more: Other options of x265.
    """
    import numpy as np

    linear = (np.array(rgb) / 255) ** 2.4
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # ITU-R BT.2087
    light = to_2020 @ linear * white
    if transfer == "smpte2084":
        power = (light / 10_000) ** 0.1593017578125
        coded = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        scene = light / 1000
        scene = scene * max(float(np.dot([0.2627, 0.678, 0.0593], scene)), 1e-6) ** (1 / 1.2 - 1)
        coded = np.where(scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073)
    luma = float(np.dot([0.2627, 0.678, 0.0593], coded))
    planes = (64 + 876 * luma, 512 + 896 * (coded[2] - luma) / 1.8814, 512 + 896 * (coded[0] - luma) / 1.4746)
    sizes = (64 * 64, 32 * 32, 32 * 32)
    picture = b"".join(np.full(size, round(plane), "<u2").tobytes() for size, plane in zip(sizes, planes, strict=True))
    (target.parent / "hdr.yuv").write_bytes(picture * 6)
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", "64x64", "-r", "25", "-i", target.parent / "hdr.yuv"]
    tags = f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:{more}"
    ffmpeg(*raw, "-c:v", "libx265", "-x265-params", tags, target)
    return target
