"""Routes of films: the uploaded file, the copy that every browser can play, and when each frame is shown.

What belongs here: HTTP. What does not: what is known of a file (`reading.films`), sending a part of it (`ranges`).
"""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from reframer_pipeline.api import ranges
from reframer_pipeline.api.access import Reader
from reframer_pipeline.api.jobs import JobFailure
from reframer_pipeline.api.paging import NOT_MODIFIED, tag, unchanged
from reframer_pipeline.api.services import Served
from reframer_pipeline.api.sets import Chosen
from reframer_pipeline.api.streaming import Streamed
from reframer_pipeline.failures import NothingThere
from reframer_pipeline.reading import films, library
from reframer_pipeline.results import proxies
from reframer_pipeline.store.objects import video_key

router = APIRouter(tags=["films"])


class Times(BaseModel):
    """When frames are shown."""

    seconds: list[float] = Field(
        description="Of every frame, since the first; the place is the frame's number.", examples=[[0, 0.04, 0.08]]
    )
    sampled: list[int] = Field(description="Numbers of the frames that were looked at.", examples=[[0, 5, 10]])


class Copy(BaseModel):
    """How a video's copy for browsers stands: H.264, upright, of square pixels, every frame at its time, at most 1280 pixels long."""

    state: proxies.State
    progress: float = Field(description="From 0 to 1.", examples=[0.4])
    failure: JobFailure | None = Field(description="Why it could not be made.")
    address: str = Field(description="Where it is once it is ready.")


class Film(BaseModel):
    """How to play a video."""

    type: str | None = Field(
        description="What to ask `canPlayType` of. Null: not yet measured, or nothing that a browser shows as it was measured.",
        examples=['video/mp4; codecs="avc1.640028"'],
    )
    original: str = Field(description="Address of the uploaded file.")
    start_seconds: float = Field(description="The original's media time at its first frame: taken away, it gives `times`. The proxy has 0.")
    proxy: Copy


@router.get("/videos/{video_id}/film")
def film(request: Request, video_id: str, seen: Chosen, served: Served) -> Film:
    """How to play a video: what its file is, and how its copy for browsers stands."""
    found = films.film(served.storage, seen)
    copy = _copy(request, video_id, proxies.look(served.db, video_id))
    return Film(type=found.type, original=f"{_address(request, video_id)}/original", start_seconds=found.start_seconds, proxy=copy)


@router.get("/videos/{video_id}/original", responses=ranges.ANSWERS, response_class=Response)
def original(request: Request, video_id: str, served: Served, who: Reader) -> Response:
    """The file as it was uploaded; ranges of bytes are answered."""
    seen = library.see(served.db, who.user_id, video_id)
    sha256, media_type = films.original(served.storage, seen)
    named = f"inline; filename*=UTF-8''{quote(seen.filename, safe='')}"
    return ranges.sent(request, partial(served.storage.store.open_object, video_key(sha256)), sha256, media_type, Content_Disposition=named)


@router.get("/videos/{video_id}/times", response_model=Times, responses=NOT_MODIFIED)
def times(request: Request, seen: Chosen, served: Served) -> Response:
    """When each frame is shown, in seconds since the first, and which frames were looked at."""
    result_id = seen.published(rows=False)
    headers = tag(request, result_id)
    if answer := unchanged(request, headers):
        return answer
    return Streamed((piece.encode() for piece in films.times(served.storage, result_id)), headers, "application/json")


@router.post(
    "/videos/{video_id}/proxy", status_code=202, response_model=Copy, responses={200: {"description": "It is ready.", "model": Copy}}
)
def make_proxy(request: Request, response: Response, video_id: str, served: Served, who: Reader) -> Copy:
    """Begin to make the copy for browsers, if there is none. `film` says how far it is. One that failed is tried again."""
    seen = library.see(served.db, who.user_id, video_id)
    stands = proxies.look(served.db, video_id)
    if stands.key is not None and not served.storage.store.exists(stands.key):
        proxies.lost(served.db, video_id, stands.key)
        stands = proxies.Proxy()
    if stands.state in ("none", "failed"):
        served.copying.begin(video_id, films.demand_facts(served.storage, seen))
        stands = proxies.look(served.db, video_id)
    response.status_code = 200 if stands.state == "ready" else 202
    return _copy(request, video_id, stands)


@router.get("/videos/{video_id}/proxy.mp4", responses=ranges.ANSWERS, response_class=Response)
def proxy(request: Request, video_id: str, served: Served, who: Reader) -> Response:
    """The copy for browsers; ranges of bytes are answered. It must have been asked for before."""
    library.see(served.db, who.user_id, video_id)
    key = proxies.look(served.db, video_id).key
    if key is None:
        raise NothingThere(
            "There is no copy of this video for browsers.", "Ask for one: POST …/proxy, and wait until `film` says it is ready."
        )
    proxies.used(served.db, video_id)
    return ranges.sent(request, partial(served.storage.store.open_object, key), key.rpartition("/")[2], "video/mp4")


def _address(request: Request, video_id: str) -> str:
    return f"{request.scope.get('root_path', '')}/videos/{video_id}"


def _copy(request: Request, video_id: str, stands: proxies.Proxy) -> Copy:
    code, message, remedy = stands.failure or ("", "", "")
    failure = JobFailure(code=code, message=message, remedy=remedy) if stands.failure else None
    return Copy(state=stands.state, progress=stands.progress, failure=failure, address=f"{_address(request, video_id)}/proxy.mp4")
