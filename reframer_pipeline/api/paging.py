"""Pages and what clients keep of them: cursors, and tags by which they ask whether anything is new.

What belongs here: how both are written and read again. What does not: what is on a page (`reading`). A cursor is opaque, belongs to one
list with the same filters, and says where its next page begins. It opens nothing: who may see the list is asked each time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from importlib import metadata
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from reframer_pipeline.failures import RequestInvalid

CURSOR_CHARACTERS: Final = 1_000
_MARK: Final = 9  # bytes
_NOT_THE_LIST: Final = {"cursor", "limit"}
NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "As the client has it: its If-None-Match has the ETag."}}


class Paged(BaseModel):
    """What every list may be asked. What it does not know is refused: a filter with a slip in its name would let everything through."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    limit: int = Field(100, ge=1, le=2_000, description="Length of the page.")
    cursor: str | None = Field(None, max_length=CURSOR_CHARACTERS, description="`next` of the page before; the filters stay the same.")


def cursor(request: Request, place: list[Any]) -> str:
    """The cursor of this request's list that begins after a place: any JSON values."""
    said = json.dumps(place, separators=(",", ":"), default=str).encode()
    return base64.urlsafe_b64encode(_mark(request, said) + said).decode().rstrip("=")


def place(request: Request, cursor: str | None) -> list[Any] | None:
    """What a cursor says; None without one.

    Raises:
        RequestInvalid: It is damaged, or of another list.
    """
    if cursor is None:
        return None
    try:
        whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        whole = b""
    said = whole[_MARK:]
    if not said or whole[:_MARK] != _mark(request, said):
        raise RequestInvalid("The cursor is none of this list's.", "Take `next` of the page before, with the same filters.")
    return _values(said)


def _values(said: bytes) -> list[Any]:
    """Of a cursor that somebody may have made up."""
    try:
        values = json.loads(said)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not all(isinstance(one, str | int | float) for one in values):
        raise RequestInvalid("The cursor is none of this list's.", "Take `next` of the page before, with the same filters.")
    return values


def tag(request: Request, result_id: str) -> dict[str, str]:
    """The header that names what is answered: by what it was made from, and what was asked."""
    asked = f"{metadata.version('reframer_pipeline')} {result_id} {_path(request)}?{request.url.query}"
    return {"ETag": f'W/"{hashlib.blake2s(asked.encode(), digest_size=12).hexdigest()}"'}


def unchanged(request: Request, headers: dict[str, str]) -> Response | None:
    """The answer 304, if the client has what these headers name."""
    known = {one.strip().removeprefix("W/") for one in request.headers.get("If-None-Match", "").split(",")}
    return Response(status_code=304, headers=headers) if known & {headers["ETag"].removeprefix("W/"), "*"} else None


def _mark(request: Request, said: bytes) -> bytes:
    """By which a cursor of this list is known."""
    asked = sorted((name, value) for name, value in request.query_params.multi_items() if name not in _NOT_THE_LIST)
    return hashlib.blake2s(json.dumps([_path(request), asked]).encode() + said, digest_size=_MARK).digest()


def _path(request: Request) -> str:
    """The path without what the application is mounted under: a list is the same with `/v1` and without."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))
