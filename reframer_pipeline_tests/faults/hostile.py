"""Files that try to have whoever decodes them open another file or an address, and a listener that tells whether one did.

What belongs here: making them, byte by byte where nothing else does. What does not: what must become of them (`test_media_attacks`).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reframer_pipeline_tests.media.made import avi, numbered_jpeg

MP4: Final = b"\0\0\0\x10ftypisom\0\0\0\0\n"  # what the first look takes for an mp4
AVI: Final = b"RIFF\0\0\0\0AVI \n"


@dataclass
class Listener:
    """A port of this machine, and how many came to it."""

    port: int
    came: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """An address at it."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """A listener that remembers whoever connects, and what was asked of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server.getsockname()[1])

        def serve() -> None:
            with contextlib.suppress(OSError):  # until it is closed
                while True:
                    client, _ = server.accept()
                    with client, contextlib.suppress(OSError):
                        client.settimeout(60)
                        listener.came.append(client.recv(1000))
                        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(60)


@dataclass(frozen=True)
class Lures:
    """Where attacks lead to.

    Attributes:
        secret: An mp4 of one track somewhere else, its boxes behind its media, which nobody may open.
        near: A copy of it beside the attacks that name no folder.
        url: The listener's address.
    """

    secret: Path
    near: Path
    url: str


def _playlist(where: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9.0,\n{where}\n#EXT-X-ENDLIST\n".encode()


def _list(where: str) -> bytes:
    return f"ffconcat version 1.0\nfile '{where}'\n".encode()


def _dash(where: str) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
        f'bandwidth="1"><BaseURL>{where}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ).encode()


def _session(where: str) -> bytes:
    port = where.rpartition(":")[2].partition("/")[0]
    return f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {port} RTP/AVP 33\r\n".encode()


def _entity(where: str) -> bytes:
    """XML that wants a file read while it is parsed, as timed text."""
    return f'<?xml version="1.0"?><!DOCTYPE tt [<!ENTITY x SYSTEM "{where}">]><tt xmlns="http://www.w3.org/ns/ttml">&x;</tt>'.encode()


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an mp4 or mov."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def alias(path: str) -> bytes:
    """A data reference by QuickTime's alias record, to a path: relative to the file by its last component, or absolute."""
    name = path.rpartition("/")[2].encode()[:63]
    record = bytes(50) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    full = path.encode() + b"\0" * (len(path.encode()) % 2)
    record += struct.pack(">HH", 2, len(full)) + full + struct.pack(">hH", -1, 0)
    return box(b"alis", bytes(4) + record.ljust(160, b"\0"))


def address(where: str) -> bytes:
    """A data reference by an address."""
    return box(b"url ", bytes(4) + where.encode() + b"\0")


def referring(clip: bytes, reference: bytes) -> bytes:
    """A clip of one track, its boxes behind its media, whose media is said to be elsewhere; its own is taken out."""
    data = bytearray(clip)
    at = data.rindex(b"dref") - 4
    new = box(b"dref", struct.pack(">II", 0, 1) + reference)
    (old,) = struct.unpack_from(">I", data, at)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        parent = data.rindex(kind, 0, at) - 4
        struct.pack_into(">I", data, parent, struct.unpack_from(">I", data, parent)[0] + len(new) - old)
    data[at : at + old] = new
    media = data.index(b"mdat")
    return bytes(data[: media - 4] + data[data.rindex(b"moov") - 4 :])


def _reference_movie(where: str) -> bytes:
    """A QuickTime movie that holds nothing but addresses of others."""
    reference = box(b"rdrf", bytes(4) + b"url " + struct.pack(">I", len(where) + 1) + where.encode() + b"\0")
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", box(b"rmda", reference)))


def _subtitles(target: Path, inside: bytes) -> None:
    """An AVI with pictures, and a subtitle track (GAB2) that is a file of its own: FFmpeg once opened playlists there (CVE-2017-9993)."""
    avi(target, [numbered_jpeg(number) for number in range(5)])
    data = target.read_bytes()
    gab2 = b"GAB2\0" + struct.pack("<HIHHI", 2, 2, 0, 4, len(inside)) + inside
    head = struct.pack("<4s4sIHHIIIIIIIIHHHH", b"txts", b"\0\0\0\0", 0, 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    stream = chunk(b"LIST", b"strl" + chunk(b"strh", head) + chunk(b"strf", b""))
    headers, movie = data.index(b"hdrl"), data.index(b"movi")
    (length,) = struct.unpack_from("<I", data, headers - 4)
    listed = data[headers : headers + length] + stream
    at = listed.index(b"avih") + 8 + 24  # how many streams there are
    listed = listed[:at] + struct.pack("<I", 2) + listed[at + 4 :]
    pictures = data[movie + 4 :]
    target.write_bytes(chunk(b"RIFF", b"AVI " + chunk(b"LIST", listed) + chunk(b"LIST", b"movi" + chunk(b"01tx", gab2) + pictures)))


Maker = Callable[[str, bytes], bytes]  # a file's bytes, of where it leads to and of a clip
_TEXTS: Final[dict[str, tuple[str, Maker]]] = {
    "playlist.mp4": ("any", lambda where, clip: _playlist(where)),
    "playlist.avi": ("any", lambda where, clip: _playlist(where)),
    "playlist behind an mp4.mp4": ("any", lambda where, clip: MP4 + _playlist(where)),
    "playlist behind an avi.avi": ("any", lambda where, clip: AVI + _playlist(where)),
    "playlist behind a clip.mp4": ("any", lambda where, clip: clip[:100] + b"\n" + _playlist(where)),
    "list.mp4": ("any", lambda where, clip: _list(where)),
    "list.avi": ("any", lambda where, clip: _list(where)),
    "list behind an avi.avi": ("any", lambda where, clip: AVI + _list(where)),
    "dash.mp4": ("any", lambda where, clip: _dash(where)),
    "dash behind an mp4.mp4": ("any", lambda where, clip: MP4 + _dash(where)),
    "entity.mp4": ("any", lambda where, clip: _entity(where)),
    "entity behind an mp4.mp4": ("any", lambda where, clip: MP4 + _entity(where)),
    "session.mp4": ("url", lambda where, clip: _session(where)),
    "redirect.mp4": ("url", lambda where, clip: f"RTSPtext\r\n{where}\r\n".encode()),
    "reference by address.mov": ("any", lambda where, clip: referring(clip, address(where))),
    "reference by alias.mov": ("file", lambda where, clip: referring(clip, alias(where))),
    "reference movie.mov": ("any", lambda where, clip: _reference_movie(where)),
    "subtitle index.mp4": ("file", lambda where, clip: f"# VobSub index file, v7\nid: en, index: 0\n# {where}\n".encode()),
}
_SUBTITLES: Final = ("subtitle playlist.avi", "subtitle list.avi")


def attacks(folder: Path, lures: Lures) -> dict[str, Path]:
    """Makes every attack there is, by name: what it is, and whether it leads to a file or an address."""
    made: dict[str, Path] = {}
    clip = lures.secret.read_bytes()  # so that where its media lies is right for whoever takes the secret for it
    for kind, where in (("file", str(lures.secret)), ("near", str(lures.near)), ("url", f"{lures.url}/x.mp4")):
        place = lures.near.parent if kind == "near" else folder / kind
        place.mkdir(exist_ok=True)
        for name, (leads, make) in _TEXTS.items():
            fits = leads in ("any", "url" if kind == "url" else "file")
            if fits and (kind != "near" or name.startswith(("playlist", "list", "reference by alias"))):
                named = lures.near.name if kind == "near" and "alias" not in name else where
                (place / name).write_bytes(make(named, clip))
                made[f"{name} to {kind}"] = place / name
        for name in _SUBTITLES:
            _subtitles(place / name, (_playlist if "playlist" in name else _list)(lures.near.name if kind == "near" else where))
            made[f"{name} to {kind}"] = place / name
    return made
