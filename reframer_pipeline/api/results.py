"""Routes of results: one's videos, the tables of each, and all of it in one document.

What belongs here: HTTP. What does not: who sees which video (`reading.library`), rows (`reading.tables`), the document
(`reading.document`), pictures, deleting.

The first page of a table belongs to the results that are published then, unless it asks for others, and its cursor names them: all pages
after it belong to the same set, even if the video is computed anew meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from reframer_pipeline.api.access import Reader
from reframer_pipeline.api.holding import Long
from reframer_pipeline.api.paging import NOT_MODIFIED, PAGE_CHARACTERS, Cursor, Moment, Number, Paged, Text, Uuid, tag, unchanged
from reframer_pipeline.api.problems import told_of
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.api.sets import Chosen, ChosenOfJob, SetId
from reframer_pipeline.api.shapes import KEYS, ROWS, Plain, asking, page_of
from reframer_pipeline.api.streaming import Streamed
from reframer_pipeline.reading import library
from reframer_pipeline.reading.document import PARTS, document
from reframer_pipeline.reading.filters import Filter, askable
from reframer_pipeline.reading.tables import TABLES, Table, part
from reframer_pipeline.work.status import Status

router = APIRouter(tags=["results"])
CHUNK: Final = 65_536  # characters of a document that go out at once
# Of the list of videos, by what it is sorted: `sort_key`, `upload_id`.
_SORTED: Final = {"uploaded": Cursor(Moment, Uuid), "name": Cursor(Text, Uuid), "duration": Cursor(Number, Uuid)}


class Video(BaseModel):
    """A video that one sees."""

    video_id: str
    filename: str = Field(description="As this person calls it.", examples=["clip.mp4"])
    uploaded_at: datetime = Field(description="When this person brought it last.")
    status: Status
    failure_code: str | None
    failure_message: str | None
    duration: float | None = Field(description="Seconds; facts are null until they are known.", examples=[12.5])
    width: int | None = Field(description="Pixels, as displayed.", examples=[1280])
    height: int | None = Field(examples=[720])
    fps: float | None = Field(examples=[29.97])
    frame_count: int | None
    codec: str | None = Field(examples=["h264"])
    size_bytes: int
    updated_at: datetime
    result_id: str | None = Field(description="The set of results that is published; null before there is one.")
    counts: dict[str, int] = Field(description="Rows of what is published, by stage.", examples=[{"detections": 310, "scenes": 2}])
    demo_models: bool = Field(description="The demonstration models made it: of no use on real footage.")
    archived: bool = Field(description="The rows are away; whoever runs the server can load them back.")
    evicted: bool = Field(description="The pictures of frames are away.")


Videos = page_of("videos", Video)


class VideosAsked(Paged):
    """Which of one's videos."""

    status: Status | None = None
    name: str | None = Field(None, min_length=1, max_length=200, description="Its name has this in it, in whatever case.")
    sort: library.Sort = Field(library.NEWEST_FIRST, description="By what; with `-` before it the last comes first.")


@router.get("/videos", response_model=Videos)
def videos(request: Request, served: Served, who: Reader, asked: Annotated[VideosAsked, Query()]) -> Response:
    """One's videos, those brought last first unless `sort` says otherwise."""
    kind = _SORTED[asked.sort.removeprefix("-")]
    after = kind.read(request, asked.cursor)
    found, more = library.page(served.db, who.user_id, asked.limit, after, asked.status, asked.name, asked.sort, PAGE_CHARACTERS)
    following = kind.write(request, (found[-1]["sort_key"], found[-1]["upload_id"])) if more else None
    return Plain({"videos": list(map(_said, found)), "next": following})


@router.get("/videos/{video_id}", response_model=Video)
def video(video_id: str, served: Served, who: Reader) -> Response:
    """How a video stands."""
    return Plain(_said(library.one(served.db, who.user_id, video_id)))


Parts = Annotated[list[Literal["scenes", "tracks", "detections", "masks"]] | None, Query(description="Only these; all by default.")]


@router.get("/videos/{video_id}/result", dependencies=[Long], responses=NOT_MODIFIED, response_class=Plain)
def result(request: Request, seen: Chosen, served: Served, who: Reader, parts: Parts = None) -> Response:
    """All results of a video as one JSON document, in the reference's shapes. It is streamed, however long it is."""
    return _document(request, served, seen, parts, who.user_id)


@router.get("/jobs/{job_id}/result", dependencies=[Long], responses=NOT_MODIFIED, response_class=Plain)
def job_result(request: Request, seen: ChosenOfJob, served: Served, who: Reader, parts: Parts = None) -> Response:
    """The same, of a job's video."""
    return _document(request, served, seen, parts, who.user_id)


def _document(request: Request, served: Services, seen: library.Seen, parts: Collection[str] | None, user_id: str) -> Response:
    headers = tag(request, f"{seen.published()} {seen.filename}")
    if answer := unchanged(request, headers):
        return answer
    facts = {**library.one(served.db, user_id, seen.video_id), "filename": seen.filename, "result_id": seen.result_id}
    return Streamed(_chunks(document(served.storage.db, facts, parts or PARTS)), headers, "application/json")


def _chunks(pieces: Iterable[str]) -> Generator[bytes]:
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(held).encode()
            held, size = [], 0
    yield "".join(held).encode()


def _add(table: Table) -> None:
    """The route of a table: what can be asked follows from its columns."""
    filters = askable([column.name for column in table.columns])
    cursor = Cursor(Uuid, *(KEYS[name] for name in table.key))  # the set, and the key of a row

    def rows(request: Request, video_id: str, served: Served, who: Reader, asked: Any) -> Response:
        chosen, *after = cursor.read(request, asked.cursor) or (asked.result_id,)
        result_id = library.see(served.db, who.user_id, video_id, chosen).published()
        headers = tag(request, result_id)
        if answer := unchanged(request, headers):
            return answer
        wanted = Filter(**{name: getattr(asked, name) for name in filters})
        found, more = part(served.db, table, result_id, after, asked.limit, PAGE_CHARACTERS, wanted=wanted)
        following = cursor.write(request, [result_id, *(found[-1][name] for name in table.key)]) if more else None
        return Plain({"result_id": result_id, table.name: found, "next": following}, headers=headers)

    query = asking(f"{table.name.capitalize()}Asked", filters, result_id=(SetId, None))
    rows.__annotations__["asked"] = Annotated[query, Query()]
    rows.__doc__ = f"A video's {table.name}: a row is {table.says}."
    answer = page_of(table.name, ROWS[table.name], result_id=(str, Field(description="The set that the page belongs to.")))
    path = f"/videos/{{video_id}}/{table.name}"
    router.add_api_route(path, rows, name=table.name, response_model=answer, responses=NOT_MODIFIED)


for _table in TABLES.values():
    _add(_table)


def _said(row: dict[str, Any]) -> dict[str, Any]:
    told = told_of(row["failure_code"], row["failure_message"]) if row["failure_code"] else None
    return {**{name: row[name] for name in Video.model_fields}, "failure_message": told}
