"""Pages and what clients keep of them: cursors, and tags by which they ask whether anything is new.

What belongs here: how both are written and read again. What does not: what is on a page (`reading`). A cursor is opaque, belongs to one
list with the same filters, and says where its next page begins. It opens nothing: who may see the list is asked each time. Anybody can make
one up, so each kind says what its places are made of, and nothing else is read.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import metadata
from types import GenericAlias
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from reframer_pipeline.api.access import TICKET
from reframer_pipeline.failures import RequestInvalid

CURSOR_CHARACTERS: Final = 1_000
PAGE_CHARACTERS: Final = 4_000_000  # of the rows on a page, which is whole in memory
_MARK: Final = 9  # bytes
_NOT_THE_LIST: Final = {"cursor", "limit"}
# What a place may be made of: each is a value that Postgres can compare with its column.
Uuid = Annotated[UUID, AfterValidator(str)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Whole = Annotated[int, Field(ge=0, lt=2**31)]
Number = Whole | float  # an integer stays one: a column of integers is looked up along its index
Moment = AwareDatetime
NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "As the client has it: its If-None-Match has the ETag."}}


class Asked(BaseModel):
    """The parameters of a request. What it does not know is refused: a filter with a slip in its name would let everything through."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Paged(Asked):
    """What every list may be asked."""

    limit: int = Field(100, ge=1, le=2_000, description="Length of the page.")
    cursor: str | None = Field(None, max_length=CURSOR_CHARACTERS, description="`next` of the page before; the filters stay the same.")


class Cursor:
    """A kind of cursor.

    Args:
        kinds: What a place of its list is made of: `Uuid`, `Text`, `Whole`, `Number`, `Moment`.
    """

    def __init__(self, *kinds: Any) -> None:
        place: Any = GenericAlias(tuple, kinds)
        self._places: TypeAdapter[tuple[Any, ...]] = TypeAdapter(place, config=ConfigDict(strict=True, allow_inf_nan=False))

    def write(self, request: Request, place: Sequence[Any]) -> str:
        """The cursor of this request's list that begins after a place."""
        said = json.dumps(place, separators=(",", ":"), default=str, ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(_mark(request, said) + said).decode().rstrip("=")

    def read(self, request: Request, cursor: str | None) -> tuple[Any, ...]:
        """The place that a cursor says; empty without one.

        Raises:
            RequestInvalid: It is damaged, of another list, or made up.
        """
        if cursor is None:
            return ()
        try:
            whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            said = whole[_MARK:]
            if whole[:_MARK] == _mark(request, said):
                return self._places.validate_json(said)
        except ValueError:  # as pydantic's and base64's are
            pass
        raise RequestInvalid("The cursor is none of this list's.", "Take `next` of the page before, with the same filters.")


def tag(request: Request, result_id: str) -> dict[str, str]:
    """The header that names what is answered: by what it was made from, and what was asked, whoever asks."""
    wanted = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != TICKET])
    asked = f"{metadata.version('reframer_pipeline')} {result_id} {_path(request)}?{wanted}"
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
