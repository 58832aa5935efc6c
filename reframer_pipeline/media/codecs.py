"""What a browser is told of a file before it says whether it can play it: a media type with `codecs` (RFC 6381).

What belongs here: that type, from the boxes of an mp4 or mov; None for a file that browsers do not play, or do not play as we read it.
What does not: reading boxes (`boxes`), whether a certain browser has the codec, which only it knows.

A browser shows the first track of pictures. Where ours is another one, or where an edit list has more than one part or plays a part at
another speed, pictures and overlay would not belong together, so there is no type and the proxy is shown. Sound is not named: a browser
that lacks its codec shows the pictures all the same.
"""

from __future__ import annotations

from typing import Final

from reframer_pipeline.media.boxes import Boxes, Pictures

_TIERS: Final = ("L", "H")


def media_type(boxes: Boxes, stream_index: int) -> str | None:
    """The type of a file whose pictures are those of this stream, such as `video/mp4; codecs="avc1.640028"`."""
    first = boxes.pictures[0] if boxes.pictures else None
    if first is None or first.place != stream_index or not _is_plain(first):
        return None
    name, setup = first.setup
    known = {"avcC": _h264, "hvcC": _hevc, "av1C": _av1, "vpcC": _vp9}.get(name)
    codec = known(first.format, setup) if known and len(setup) >= _LEAST[name] else None
    return codec and f'video/mp4; codecs="{codec}"'


def _is_plain(pictures: Pictures) -> bool:
    shown = [edit for edit in pictures.edits if not edit.empty]
    return len(shown) <= 1 and all(edit.rate == 1 for edit in shown) and not any(edit.empty for edit in pictures.edits[1:])


# Bytes that each must have.
_LEAST: Final = {"avcC": 4, "hvcC": 13, "av1C": 3, "vpcC": 7}


def _h264(form: str, setup: bytes) -> str | None:
    """Profile, constraints and level (RFC 6381, section 3.3)."""
    return f"{form}.{setup[1:4].hex().upper()}" if form in ("avc1", "avc3") else None


def _hevc(form: str, setup: bytes) -> str | None:
    """ISO/IEC 14496-15, annex E.3: profile, compatibility with its bits turned round, tier and level, constraints."""
    if form not in ("hvc1", "hev1"):
        return None
    space = ("", "A", "B", "C")[setup[1] >> 6]
    compatible = int(f"{int.from_bytes(setup[2:6], 'big'):032b}"[::-1], 2)
    constraints = "".join(f".{byte:X}" for byte in setup[6:12].rstrip(b"\0"))
    return f"{form}.{space}{setup[1] & 31}.{compatible:X}.{_TIERS[setup[1] >> 5 & 1]}{setup[12]}{constraints}"


def _av1(form: str, setup: bytes) -> str | None:
    """AV1 in ISO BMFF, section 5: profile, level and tier, bits."""
    bits = 12 if setup[2] >> 5 & 1 else 10 if setup[2] >> 6 & 1 else 8
    return f"av01.{setup[1] >> 5}.{setup[1] & 31:02}{'MH'[setup[2] >> 7]}.{bits:02}" if form == "av01" else None


def _vp9(form: str, setup: bytes) -> str | None:
    """VP codec in ISO BMFF: profile, level, bits."""
    return f"{form}.{setup[4]:02}.{setup[5]:02}.{setup[6] >> 4:02}" if form in ("vp08", "vp09") else None
