"""Routes of pictures: frames, masks, tracks, poster, sheet, and the annotated video.

What belongs here: HTTP. What does not: choosing and drawing (`reading.pictures`, `reading.sheets`, `reading.previews`), keeping what was
drawn (`drawings`).

A frame that was not looked at is answered with the nearest that was; Content-Location says which that is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.responses import Response

from reframer_pipeline.api import ranges
from reframer_pipeline.api.access import Caller, Reader
from reframer_pipeline.api.holding import Long
from reframer_pipeline.api.paging import NOT_MODIFIED, tag, unchanged
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.api.sets import ID, Chosen, address
from reframer_pipeline.api.shapes import Plain
from reframer_pipeline.failures import RequestInvalid
from reframer_pipeline.reading import library, pictures
from reframer_pipeline.reading.library import Seen
from reframer_pipeline.reading.pictures import OVERLAYS, Overlay, Picture
from reframer_pipeline.reading.previews import write_preview
from reframer_pipeline.reading.sheets import results_of, sheet

router = APIRouter(tags=["pictures"])
JPEG, PNG, MP4 = "image/jpeg", "image/png", "video/mp4"
_NEAREST: Final = {"Content-Location": {"description": "The frame that is shown.", "schema": {"type": "string"}}}
DetectionId = Annotated[str, InPath(pattern=ID)]
TrackId = Annotated[str, InPath(max_length=100, examples=["obj_001"])]
Number = Annotated[int, InPath(ge=0, lt=2**31)]
Wanted = Annotated[str | None, Query(description="Any of boxes, masks and ids, with commas between them.", examples=["boxes,masks,ids"])]


class Mask(BaseModel):
    """A mask as run lengths."""

    detection_id: str
    frame_number: int
    size: list[int] = Field(description="Height and width of the picture, pixels.", examples=[[720, 1280]])
    counts: list[int] = Field(description="COCO run lengths, down the columns, zeros first.", examples=[[3, 5, 10]])
    area: int = Field(description="Pixels set.")


def _binary(media_type: str, **headers: Any) -> dict[int | str, dict[str, Any]]:
    """How the description names what is no JSON."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": "The picture.", "content": content, "headers": headers}, **NOT_MODIFIED}


class _Set:
    """The set of results that is asked for, and whether the client has what was made of it."""

    def __init__(self, request: Request, seen: Seen, rows: bool = False) -> None:
        self.video_id, self.result_id = seen.video_id, seen.published(rows)
        self.headers = tag(request, self.result_id)
        self.answer = unchanged(request, self.headers)


@router.get("/videos/{video_id}/frames/{number}.jpg", response_class=Response, responses=_binary(JPEG, **_NEAREST))
def frame(request: Request, seen: Chosen, number: Number, served: Served, overlay: Wanted = None) -> Response:
    """A frame: plain, as it was looked at, or with what was found drawn in."""
    shown = _overlays(overlay)
    one = _Set(request, seen, rows=bool(shown))
    if one.answer:
        return one.answer
    found = pictures.drawn_frame(served.storage, one.result_id, number, shown) if shown else None
    return _picture(request, one, found or pictures.frame(served.storage, one.result_id, number))


@router.get("/videos/{video_id}/masks/{detection_id}.png", response_class=Response, responses=_binary(PNG))
def mask_picture(request: Request, seen: Chosen, detection_id: DetectionId, served: Served) -> Response:
    """The mask of a sighting, of the frame's size: white belongs to it."""
    one = _Set(request, seen, rows=True)
    if one.answer:
        return one.answer
    return Response(pictures.mask_png(pictures.mask(served.db, one.result_id, detection_id)), 200, one.headers, PNG)


@router.get("/videos/{video_id}/masks/{detection_id}.json", response_model=Mask, responses=NOT_MODIFIED)
def mask(request: Request, seen: Chosen, detection_id: DetectionId, served: Served) -> Response:
    """The mask of a sighting as run lengths: pycocotools takes `size` and `counts` as they are."""
    one = _Set(request, seen, rows=True)
    if one.answer:
        return one.answer
    row = pictures.mask(served.db, one.result_id, detection_id)
    said = Mask(
        detection_id=detection_id,
        frame_number=row["frame_number"],
        size=[row["frame_height"], row["frame_width"]],
        counts=[int(run) for run in row["mask_rle"].split(",")],
        area=row["mask_area_pixels"],
    )
    return Plain(said.model_dump(), headers=one.headers)


@router.get("/videos/{video_id}/tracks/{track_id}.jpg", response_class=Response, responses=_binary(JPEG, **_NEAREST))
def track(request: Request, seen: Chosen, track_id: TrackId, served: Served) -> Response:
    """The best look at a track, cut out of its frame."""
    one = _Set(request, seen, rows=True)
    return one.answer or _picture(request, one, pictures.track(served.storage, one.result_id, track_id))


@router.get("/videos/{video_id}/poster.jpg", response_class=Response, responses=_binary(JPEG, **_NEAREST))
def poster(request: Request, seen: Chosen, served: Served) -> Response:
    """A small picture that stands for the video: the middle of its most important scene."""
    one = _Set(request, seen)
    return one.answer or _picture(request, one, pictures.poster(served.storage, one.result_id))


@router.get("/videos/{video_id}/sheet.jpg", dependencies=[Long], response_class=Response, responses=_binary(JPEG))
async def contact_sheet(request: Request, seen: Chosen, served: Served, who: Reader) -> Response:
    """Twelve frames with all that was found, as one picture. If it is not ready within 20 seconds: 503, and Retry-After."""

    def draw(result_id: str, path: Path) -> None:
        path.write_bytes(sheet(results_of(served.storage, result_id)))

    return await _drawn(request, seen, served, who, "jpg", JPEG, draw)


@router.get(
    "/videos/{video_id}/annotated.mp4",
    dependencies=[Long],
    response_class=Response,
    responses=_binary(MP4) | {206: {"description": "A range."}},
)
async def annotated(request: Request, seen: Chosen, served: Served, who: Reader) -> Response:
    """The video with all that was found drawn in, every frame and the sound; ranges of bytes are answered.

    It is drawn when it is first asked for, which takes a decode and an encode of the video. If it is not ready within 20 seconds: 503,
    and Retry-After.
    """

    def draw(result_id: str, path: Path) -> None:
        write_preview(served.storage, results_of(served.storage, result_id), path)

    return await _drawn(request, seen, served, who, "mp4", MP4, draw)


async def _drawn(
    request: Request, seen: Seen, served: Services, who: Caller, ending: str, media_type: str, draw: Callable[[str, Path], None]
) -> Response:
    one = _Set(request, seen)
    if one.answer:
        return one.answer

    def drawn(part: Path) -> None:
        draw(one.result_id, part)
        library.demand_set(served.db, one.video_id, one.result_id)  # nothing is kept of what was deleted meanwhile

    path = await served.drawings.get(f"{one.video_id}-{one.result_id}.{ending}", drawn, who.key_id)
    return await run_in_threadpool(
        ranges.sent, request, lambda: path.open("rb"), one.headers["ETag"].removeprefix("W/").strip('"'), media_type
    )


def _picture(request: Request, one: _Set, found: Picture) -> Response:
    shown = address(request, one.video_id, one.result_id, f"frames/{found.frame_number}.jpg")
    return Response(found.jpeg, 200, {**one.headers, "Content-Location": shown}, JPEG)


def _overlays(text: str | None) -> list[Overlay]:
    names = text.split(",") if text else []
    if strange := set(names) - set(OVERLAYS):
        raise RequestInvalid(f"overlay takes boxes, masks and ids, not {', '.join(sorted(strange))}.")
    return [one for one in OVERLAYS if one in names]
