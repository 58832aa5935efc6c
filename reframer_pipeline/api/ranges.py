"""Files and objects of the store as answers, whole or a range of their bytes (RFC 9110, section 14): what players ask for.

What belongs here: reading the header Range, and sending what it names a piece at a time, from whatever store it is. What does not: which
object, and who may have it. Of several ranges in one request none is taken, as the standard allows: the answer is the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any, BinaryIO, Final

from starlette.requests import Request
from starlette.responses import Response

from reframer_pipeline.api.paging import NOT_MODIFIED, unchanged
from reframer_pipeline.api.problems import problem
from reframer_pipeline.api.streaming import Streamed
from reframer_pipeline.failures import RangeBeyondEnd

PIECE: Final = 256 * 1024  # bytes that are held of an answer
_RANGE: Final = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The whole.", "content": {"video/mp4": BINARY, "video/x-msvideo": BINARY}},
    206: {"description": "A range of its bytes.", "content": {"video/mp4": BINARY, "video/x-msvideo": BINARY}},
    **NOT_MODIFIED,
}


def sent(request: Request, opened: Callable[[], BinaryIO], name: str, media_type: str, **headers: str) -> Response:
    """The answer with a file, or the problem that the range begins behind its end.

    Args:
        request: Its headers Range, If-Range and If-None-Match count.
        opened: Opens it. It is closed when the answer has ended, or cannot be given.
        name: Of its content: the same for the same bytes alone.
        media_type: Of its content.
        headers: More of them, with `_` for `-`.

    Raises:
        OSError, ReframerError: As `opened`. Later, an answer that was begun breaks off.
    """
    told = {"ETag": f'"{name}"', "Accept-Ranges": "bytes", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if answer := unchanged(request, told):
        return answer
    with ExitStack() as held:
        file = held.enter_context(opened())
        size = file.seek(0, 2)
        wanted = _wanted(request, told["ETag"], size)
        first, end = wanted or (0, size)
        if wanted and first >= end:
            return problem(RangeBeyondEnd(f"There are {size} bytes."), {**told, "Content-Range": f"bytes */{size}"})
        told["Content-Length"] = str(end - first)
        if wanted:
            told["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        answer = Streamed(_pieces(file, first, end), told, media_type, 206 if wanted else 200)
        held.pop_all()  # the pieces close it now
    return answer


def _wanted(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole. Nothing lies between them where the range cannot be had."""
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None or found[1] == found[2] == "" or request.headers.get("If-Range", etag) != etag:
        return None
    if not found[1]:
        return (max(0, size - int(found[2])), size) if int(found[2]) else (size, size)
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None  # no range at all
    return first, min(last + 1, size)


def _pieces(file: BinaryIO, first: int, end: int) -> Generator[bytes]:
    with file:
        file.seek(first)
        while first < end:
            piece = file.read(min(PIECE, end - first))
            if not piece:
                raise OSError("The object is shorter than it was when it was opened.")
            first += len(piece)
            yield piece
