"""Routes of films: the uploaded file, the copy that every browser can play, and when each frame is shown.

What belongs here: HTTP. What does not: what is known of a file (`reading.films`), sending a part of it (`ranges`).
"""

from __future__ import annotations

from itertools import chain
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from reframer_pipeline.api import ranges
from reframer_pipeline.api.access import Reader
from reframer_pipeline.api.paging import NOT_MODIFIED, tag, unchanged
from reframer_pipeline.api.services import Served
from reframer_pipeline.reading import films, library
from reframer_pipeline.store.objects import video_key

router = APIRouter(tags=["films"])


class Times(BaseModel):
    """When frames are shown."""

    seconds: list[float] = Field(
        description="Of every frame, since the first; the place is the frame's number.", examples=[[0, 0.04, 0.08]]
    )
    sampled: list[int] = Field(description="Numbers of the frames that were looked at.", examples=[[0, 5, 10]])


class Film(BaseModel):
    """How to play a video."""

    type: str | None = Field(
        description="What to ask `canPlayType` of. Null: not yet measured, or nothing that a browser shows as it was measured.",
        examples=['video/mp4; codecs="avc1.640028"'],
    )
    original: str = Field(description="Address of the uploaded file.")
    start_seconds: float = Field(description="The original's media time at its first frame: taken away, it gives `times`. The proxy has 0.")


@router.get("/videos/{video_id}/film")
def film(request: Request, video_id: str, served: Served, who: Reader) -> Film:
    """How to play a video: what its file is, and how its copy for browsers stands."""
    found = films.film(served.storage, library.see(served.db, who.user_id, video_id))
    address = f"{request.scope.get('root_path', '')}/videos/{video_id}"
    return Film(type=found.type, original=f"{address}/original", start_seconds=found.start_seconds)


@router.get("/videos/{video_id}/original", responses=ranges.ANSWERS, response_class=Response)
def original(request: Request, video_id: str, served: Served, who: Reader) -> Response:
    """The file as it was uploaded; ranges of bytes are answered."""
    seen = library.see(served.db, who.user_id, video_id)
    sha256, media_type = films.original(served.storage, seen)
    named = f"inline; filename*=UTF-8''{quote(seen.filename, safe='')}"
    return ranges.sent(request, served.storage.store, video_key(sha256), sha256, media_type, Content_Disposition=named)


@router.get("/videos/{video_id}/times", response_model=Times, responses=NOT_MODIFIED)
def times(request: Request, video_id: str, served: Served, who: Reader) -> Response:
    """When each frame is shown, in seconds since the first, and which frames were looked at."""
    result_id = library.see(served.db, who.user_id, video_id).published(rows=False)
    headers = tag(request, result_id)
    if answer := unchanged(request, headers):
        return answer
    pieces = (piece.encode() for piece in films.times(served.storage, result_id))
    first = next(pieces)  # what is wrong at the beginning is still told as a problem
    return StreamingResponse(chain([first], pieces), headers=headers, media_type="application/json")
