"""Which container a file is, by its first bytes and never by its name.

What belongs here: magic numbers, accepted and merely known. What does not: opening the file with a demuxer (`probe`).
"""

from __future__ import annotations

from typing import Final, Literal

from reframer_pipeline.failures import NotAVideo

HEAD_BYTES: Final = 4096
DECIDING_BYTES: Final = 12  # from so many on, more of them change the words of a refusal, and never whether there is one
Container = Literal["mov", "avi"]  # the demuxers' names; mov reads mp4 too

# Boxes that a QuickTime or ISO base media file may begin with. Old QuickTime files have no ftyp.
_FIRST_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"uuid")
_IMAGE_BRANDS: Final = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"crx ")
_KNOWN: Final = (
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"\x00\x00\x01\xba", "an MPEG program stream"),
    (0, b"\x00\x00\x01\xb3", "an MPEG video stream"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (0, b"OggS", "Ogg"),
    (0, b"GIF8", "a GIF"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"ID3", "MP3 audio"),
    (0, b"fLaC", "FLAC audio"),
    (8, b"WAVE", "WAVE audio"),
    (8, b"WEBP", "a WebP image"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"ffconcat", "a list of other files"),
    (0, b"#EXTM3U", "a playlist"),
    (0, b"\x00\x05\x16\x07", "a companion file of macOS (AppleDouble) that holds no picture"),
    (0, b"<", "a text document"),
)


def recognise(head: bytes, name: str = "The file") -> Container:
    """The accepted container whose beginning this is.

    Args:
        head: The file's first bytes, `HEAD_BYTES` or all of a shorter file.
        name: What the message calls the file.

    Raises:
        NotAVideo: None of mp4, mov, avi; the message says what it is instead, where that is plain.
    """
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    if head[4:8] in _FIRST_BOXES and head[8:12] not in _IMAGE_BRANDS:
        return "mov"
    raise NotAVideo(f"{name} is {_guess(head)}, not mp4, mov or avi.")


def _guess(head: bytes) -> str:
    if not head:
        return "empty"
    for offset, magic, what in _KNOWN:
        if head[offset : offset + len(magic)] == magic:
            return what
    if head[4:8] == b"ftyp":
        return "a still image"
    if head[4:8] in (b"moof", b"sidx"):
        return "a piece of a stream without its head"
    if head[:1] == b"\x47" and (len(head) < 189 or head[188:189] == b"\x47"):
        return "an MPEG transport stream"
    if b"\x00" not in head and all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return "text"
    return "no known video container"
