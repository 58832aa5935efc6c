"""Routes of corrections by hand: what is doubtful, what of a video was corrected, correcting it, and taking that back.

What belongs here: HTTP. What does not: what a doubt is (`scenes.doubts`), what a correction is (`corrections`) and what follows from it
(`results.correcting`). Results are a
video's, whoever brought it: all who have brought the same bytes see them corrected. Whose word it was nobody else is told.
"""

from __future__ import annotations

import tempfile
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.responses import Response

from reframer_pipeline.api.access import Caller, Reader, Writer
from reframer_pipeline.api.jobs import Key
from reframer_pipeline.api.paging import NOT_MODIFIED, Cursor, Paged, Whole, tag, unchanged
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.api.sets import Chosen, SetId
from reframer_pipeline.api.shapes import Plain, page_of
from reframer_pipeline.corrections import log
from reframer_pipeline.corrections.events import AnyChange
from reframer_pipeline.corrections.log import Author
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.exports.cvat_corrections import corrections_of
from reframer_pipeline.exports.videos import videos_of
from reframer_pipeline.reading import library
from reframer_pipeline.results import correcting, doubting
from reframer_pipeline.scenes.doubts import Kind

router = APIRouter(tags=["corrections"])
FILE_BYTES: Final = 50_000_000
_IN_MEMORY: Final = 1_000_000  # of such a file; the rest is on the disk while it is read
_LOG: Final = Cursor(Whole)
_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("application/xml", "application/zip")},
    }
}
Deletions = Annotated[bool, Query(description="Take a file that lacks most tracks as well: these are deleted.")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Of the correction.")]


class Correction(BaseModel):
    """A correction that somebody made."""

    number: int = Field(description="Its place in the video's log, from 1.")
    change: AnyChange = Field(description="What was asked for, by the ids that were seen then.")
    says: str = Field(description="The same in words.", examples=["obj_003 is red mug"])
    by_you: bool = Field(description="You made it; else somebody who has the same video.")
    source: Literal["hand", "cvat"] = Field(description="`cvat`: it comes from a corrected CVAT file.")
    created_at: datetime
    undone_at: datetime | None = Field(description="Since then it does not count.")
    applied: bool | None = Field(description="Whether the published results have it; null once it was undone.")
    trouble: str | None = Field(description="Why they do not, such as that the track is not there any more.")


_LOST: Final = Field(description="Numbers of earlier corrections that have lost their match by this.")


class MadeOne(Correction):
    """A correction that was made just now."""

    no_longer_match: list[int] = _LOST


class Made(BaseModel):
    """The corrections that were made, in their order."""

    corrections: list[Correction]
    no_longer_match: list[int] = _LOST


Corrections = page_of("corrections", Correction)


class Doubt(BaseModel):
    """Something that a person should look at first. What does not apply is null."""

    number: int = Field(description="Place in the order in which to look, from 1.")
    kind: Kind
    says: str = Field(examples=["It was seen only once."])
    track_id: str | None
    other_id: str | None = Field(description="The other track of an id switch.")
    frame_number: int | None = Field(description="The frame to look at.")
    scene_number: int | None = Field(description="Of the element.")
    element_number: int | None


class Doubts(BaseModel):
    """The doubts of a set of results, at most 1,000."""

    result_id: str
    doubts: list[Doubt]


@router.get("/videos/{video_id}/doubts", responses=NOT_MODIFIED, response_model=Doubts)
def doubts(request: Request, seen: Chosen, served: Served, who: Reader) -> Response:
    """What of a video's results a person should look at first."""
    result_id = seen.published()
    headers = tag(request, f"{result_id} {doubting.CODE_VERSION}")
    if answer := unchanged(request, headers):
        return answer
    found = doubting.look(served.db, served.storage.store, result_id)
    return Plain({"result_id": result_id, "doubts": found}, headers=headers)


@router.get("/videos/{video_id}/corrections", response_model=Corrections)
def corrections(request: Request, video_id: str, served: Served, who: Reader, asked: Annotated[Paged, Query()]) -> dict[str, Any]:
    """What of a video was corrected by hand, the oldest first, also what was undone."""
    library.see(served.db, who.user_id, video_id)
    (after,) = _LOG.read(request, asked.cursor) or (0,)
    found, more = log.page(served.db, video_id, after, asked.limit)
    following = _LOG.write(request, (found[-1]["number"],)) if more else None
    return {"corrections": [_said(row, who) for row in found], "next": following}


@router.post("/videos/{video_id}/corrections", status_code=201, response_model=MadeOne)
def correct(
    video_id: str, served: Served, who: Writer, change: Annotated[AnyChange, Body()], key: Key = None, result_id: SetId = None
) -> dict[str, Any]:
    """Correct what was found. It counts from now on, also when the video is computed again. The same Idempotency-Key corrects once."""
    library.see(served.db, who.user_id, video_id)
    (made,) = correcting.correct(_place(served, video_id), [change], Author(who.user_id, idempotency_key=key), result_id)
    return {**_said(made, who), "no_longer_match": made["no_longer_match"]}


@router.post("/videos/{video_id}/cvat", status_code=201, response_model=Made, openapi_extra=_FILE, max_body_size=FILE_BYTES)
async def cvat(request: Request, video_id: str, served: Served, who: Writer, allow_deletions: Deletions = False) -> dict[str, Any]:
    """Take over what was corrected in CVAT: an export of this video as CVAT for video 1.1, the XML or the zip. All of it, or nothing."""
    seen = await run_in_threadpool(library.see, served.db, who.user_id, video_id)

    with served.receiving.one(who.key_id), tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        async for piece in request.stream():
            file.write(piece)
        file.seek(0)

        def take() -> list[Row]:
            (video,) = videos_of(served.storage, {video_id: (seen.filename, seen.published())})
            found = corrections_of(video, file, allow_deletions)  # type: ignore[arg-type]
            return correcting.correct(_place(served, video_id), found, Author(who.user_id, "cvat"), video.result_id)

        made = await run_in_threadpool(take)
    return {"corrections": [_said(row, who) for row in made], "no_longer_match": made[0]["no_longer_match"] if made else []}


@router.delete("/videos/{video_id}/corrections/{number}", status_code=204)
def undo(video_id: str, number: Number, served: Served, who: Writer) -> None:
    """Take a correction back. It stays in the log, marked as undone."""
    library.see(served.db, who.user_id, video_id)
    correcting.undo(_place(served, video_id), number, who.user_id)


def _place(served: Services, video_id: str) -> correcting.Place:
    return correcting.Place(served.db, served.storage.store, served.settings.scratch_dir, video_id)


def _said(row: Row, who: Caller) -> dict[str, Any]:
    return {**{name: row[name] for name in Correction.model_fields if name in row}, "by_you": row["user_id"] == who.user_id}
