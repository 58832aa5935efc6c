"""Routes of deliverables: asking for mattes and reframed videos, how they stand, and their files.

What belongs here: HTTP. What does not: what may be wished (`editing.wishes`), keeping (`editing.keeping`), who sees which
(`reading.deliverables`), asking Dagster for the run (`orchestration.requests.asking`).
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from pydantic import BaseModel, Field

from reframer_pipeline.api import ranges
from reframer_pipeline.api.access import Caller, Reader, Writer
from reframer_pipeline.api.holding import Long
from reframer_pipeline.api.jobs import JobFailure
from reframer_pipeline.api.paging import NOT_MODIFIED, Cursor, Moment, Paged, Uuid
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.api.sets import SetId
from reframer_pipeline.api.shapes import page_of
from reframer_pipeline.api.tracing import request_id
from reframer_pipeline.editing import keeping
from reframer_pipeline.editing.wishes import MEDIA_TYPES, AnyWish, MatteWish, ReframeWish
from reframer_pipeline.failures import DeliverableNotMade, NobodyToRun, ObjectMissing
from reframer_pipeline.orchestration.requests.asking import CLAIM_S, ask_made
from reframer_pipeline.reading import deliverables as reading
from reframer_pipeline.reading import library
from reframer_pipeline.reading.jobs import failure_of
from reframer_pipeline.reading.library import Seen
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.deliverable import Deliverable, Kind, Status
from reframer_pipeline.results.deliverables import Asker
from reframer_pipeline.users.quotas import demand_place

router = APIRouter(tags=["deliverables"])
_PLACES: Final = Cursor(Moment, Uuid)
_SAME: Final = ("video_id", "result_id", "kind", "wish", "status", "progress", "media_type", "seconds", "made_at")
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The whole.", "content": dict.fromkeys(MEDIA_TYPES, ranges.BINARY)},
    206: {"description": "A range of its bytes.", "content": dict.fromkeys(MEDIA_TYPES, ranges.BINARY)},
    **NOT_MODIFIED,
}


class Told(BaseModel):
    """A matte or a reframed video that somebody asked for, and how it stands."""

    deliverable_id: str
    video_id: str
    result_id: str = Field(description="The set of results that it is made of.")
    kind: Kind
    wish: dict[str, Any] = Field(description="What was asked for, without what is as by default.", examples=[{"tracks": ["obj_001"]}])
    status: Status = Field(description="Evicted: nobody took it for long; asked for again, it is made again.")
    progress: float = Field(description="From 0 to 1.", examples=[0.4])
    held_up_by: JobFailure | None = Field(description="Why nothing becomes of it now; it goes on when that is mended.")
    failure: JobFailure | None = Field(description="Why it could not be made.")
    filename: str = Field(description="Of the file.", examples=["clip-matte-obj_001.mov"])
    media_type: str
    bytes: int | None = Field(description="Once it is made.")
    seconds: float | None = Field(description="That making it took.")
    file: str = Field(description="Address of the file, once it is made.")
    asked_at: datetime
    made_at: datetime | None


Deliverables = page_of("deliverables", Told)
_POSTED: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_model": Told,
    "responses": {200: {"description": "It is made.", "model": Told}},
}


@router.post("/videos/{video_id}/mattes", **_POSTED)
def matte(
    request: Request, response: Response, video_id: str, wish: MatteWish, served: Served, who: Writer, later: BackgroundTasks,
    result_id: SetId = None,
) -> dict[str, Any]:  # fmt: skip
    """Ask for a matte of a set of results. Who asks for the same gets the same; what failed or was evicted is made again."""
    return _asked(request, response, video_id, wish, served, who, later, result_id)


@router.post("/videos/{video_id}/reframes", **_POSTED)
def reframe(
    request: Request, response: Response, video_id: str, wish: ReframeWish, served: Served, who: Writer, later: BackgroundTasks,
    result_id: SetId = None,
) -> dict[str, Any]:  # fmt: skip
    """Ask for the video in another ratio. Who asks for the same gets the same; what failed or was evicted is made again."""
    return _asked(request, response, video_id, wish, served, who, later, result_id)


@router.get("/videos/{video_id}/deliverables", response_model=Deliverables)
def page(request: Request, video_id: str, served: Served, who: Reader, asked: Annotated[Paged, Query()]) -> dict[str, Any]:
    """The mattes and reframed videos that were asked for of a video, the oldest wish first."""
    seen = library.see(served.db, who.user_id, video_id)
    found, more = reading.page(served.db, seen, asked.limit, _PLACES.read(request, asked.cursor))
    following = _PLACES.write(request, (found[-1].created_at, found[-1].id)) if more else None
    held_up = reading.held_up(served.db, found)
    return {"deliverables": [_told(request, one, seen, one.id in held_up) for one in found], "next": following}


@router.get("/deliverables/{deliverable_id}", response_model=Told)
def show(request: Request, deliverable_id: str, served: Served, who: Reader) -> dict[str, Any]:
    """How a matte or a reframed video stands."""
    one, seen = reading.one(served.db, who.user_id, deliverable_id)
    return _told(request, one, seen, bool(reading.held_up(served.db, [one])))


@router.get("/deliverables/{deliverable_id}/file", tags=["exports"], dependencies=[Long], responses=_FILE, response_class=Response)
def file(request: Request, deliverable_id: str, served: Served, who: Reader) -> Response:
    """The file; ranges of bytes are answered."""
    one, seen = reading.one(served.db, who.user_id, deliverable_id)
    if one.object_key is None:
        raise DeliverableNotMade(f"The {one.kind} is {one.status}.")
    named = f"attachment; filename*=UTF-8''{quote(reading.download_name(one, seen.filename), safe='')}"
    opened = partial(served.storage.store.open_object, one.object_key)
    try:
        answer = ranges.sent(request, opened, one.object_key.rpartition("/")[2], one.media_type, Content_Disposition=named)
    except ObjectMissing:
        deliverables.lost(served.db, one.id, one.object_key)
        raise DeliverableNotMade(f"The file of the {one.kind} is gone.") from None
    deliverables.used(served.db, one.id)
    return answer


@router.delete("/deliverables/{deliverable_id}", status_code=204)
def delete(deliverable_id: str, served: Served, who: Writer) -> None:
    """Delete a matte or a reframed video, for all who have the video. While it is made, that ends."""
    one, _ = reading.one(served.db, who.user_id, deliverable_id)
    deliverables.delete(served.db, served.storage.store, one.id)


def _asked(
    request: Request, response: Response, video_id: str, wish: AnyWish, served: Services, who: Caller, later: BackgroundTasks,
    result_id: str | None,
) -> dict[str, Any]:  # fmt: skip
    seen, url = library.see(served.db, who.user_id, video_id, result_id), served.settings.dagster_url
    place = partial(demand_place, key_id=who.key_id, limit=served.settings.api_jobs_at_once)
    asker = Asker(who.user_id, who.key_id, place, CLAIM_S if url else 0.0)
    one = keeping.ask(served.storage, video_id, wish, asker, seen.filename, result_id)
    if one.status == "wanted":
        later.add_task(ask_made, url, served.db, one, seen.filename, request_id())
    response.status_code = 200 if one.status == "made" else 202
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/deliverables/{one.id}"
    return _told(request, one, seen)


def _told(request: Request, one: Deliverable, seen: Seen, held_up: bool = False) -> dict[str, Any]:
    failure = failure_of(one.failure_code, one.failure_message or "") if one.failure_code else None
    nobody = failure_of(NobodyToRun.code, "") if held_up else None
    return {
        "deliverable_id": one.id,
        **{name: getattr(one, name) for name in _SAME},
        "held_up_by": nobody and JobFailure.model_validate(nobody, from_attributes=True),
        "failure": failure and JobFailure.model_validate(failure, from_attributes=True),
        "filename": reading.download_name(one, seen.filename),
        "bytes": one.object_bytes,
        "file": f"{request.scope.get('root_path', '')}/deliverables/{one.id}/file",
        "asked_at": one.wanted_at,
    }  # fmt: skip
