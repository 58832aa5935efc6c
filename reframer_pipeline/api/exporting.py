"""Routes of exports: results in the formats of other programs, as a download.

What belongs here: HTTP. What does not: formats, and how files become one (`exports`). A download is streamed while it is made, of the
results that are published when it begins, or of the set that is asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from reframer_pipeline.api.access import Caller, Reader
from reframer_pipeline.api.holding import Long
from reframer_pipeline.api.paging import NOT_MODIFIED, Asked, tag, unchanged
from reframer_pipeline.api.searching import FILTERS, Kind, wanted_of
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.api.sets import Chosen
from reframer_pipeline.api.shapes import asking
from reframer_pipeline.api.streaming import Streamed
from reframer_pipeline.exports.formats import FORMATS, named
from reframer_pipeline.exports.packing import download
from reframer_pipeline.exports.videos import videos_of
from reframer_pipeline.failures import NothingThere, RequestInvalid
from reframer_pipeline.reading import library
from reframer_pipeline.reading.deliverables import made_of
from reframer_pipeline.reading.library import Seen
from reframer_pipeline.reading.search import videos_with

router = APIRouter(tags=["exports"])
MOST: Final = 500  # videos in one export

_SAID: Final = "; ".join(f"`{one.name}`, {one.says}" for one in FORMATS.values())
_FORM: Final[dict[str, Any]] = {"alias": "format", "description": f"What to make: {_SAID}.", "json_schema_extra": {"enum": list(FORMATS)}}
Form = Annotated[str, Query(**_FORM)]
Tracks = Annotated[
    list[str] | None,
    Query(alias="track_id", max_length=MOST, description="Only these tracks and the elements that stand for them; give it several times."),
]
ExportAsked = asking(
    "ExportAsked",
    FILTERS,
    base=Asked,
    form=(str, Field(**_FORM)),
    video_ids=(list[str], Field([], alias="video_id", max_length=MOST, description="Which videos; give it several times.")),
    kind=(Kind | None, Field(None, alias="in", description=f"Instead: the videos in which this search has hits, {MOST} at most.")),
)
_TYPES: Final = sorted({"application/zip", *(one.media_type for one in FORMATS.values())})
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file, or a zip of several.", "content": {one: {} for one in _TYPES}},
    **NOT_MODIFIED,
}


@router.get("/videos/{video_id}/export", dependencies=[Long], responses=_ANSWERS, response_class=Response)
def export_video(request: Request, seen: Chosen, served: Served, form: Form, tracks: Tracks = None) -> Response:
    """A video's results in the format of another program, whole or of some tracks."""
    return _download(request, served, form, [seen], tracks or ())


def export_videos(request: Request, served: Served, who: Reader, asked: Any) -> Response:
    """Results of several videos in one download: of those that are named, or in which a search has hits."""
    return _download(request, served, asked.form, [library.see(served.db, who.user_id, one) for one in _chosen(served, who, asked)])


export_videos.__annotations__["asked"] = Annotated[ExportAsked, Query()]
router.add_api_route("/export", export_videos, dependencies=[Long], responses=_ANSWERS, response_class=Response)


def _chosen(served: Services, who: Caller, asked: Any) -> list[str]:
    """The ids of the videos.

    Raises:
        RequestInvalid: Neither ids nor a search are named, or both, or it has hits in too many.
        NothingThere: It has none.
    """
    searches = any(getattr(asked, name) is not None for name in ("kind", *FILTERS))
    if searches == bool(asked.video_ids) or (searches and asked.kind is None):
        raise RequestInvalid("An export is of the videos that are named, or of those that a search finds.", "Give `video_id` or `in`.")
    if not searches:
        return list(dict.fromkeys(asked.video_ids))
    found = videos_with(served.db, asked.kind, wanted_of(asked), who.user_id, MOST + 1)
    if not found:
        raise NothingThere("The search has no hits.", "Loosen the search.")
    if len(found) > MOST:
        raise RequestInvalid(f"The search has hits in more than {MOST} videos.", "Narrow the search, or name videos by `video_id`.")
    return found


def _download(request: Request, served: Services, form: str, seen: list[Seen], tracks: Collection[str] = ()) -> Response:
    chosen = {one.video_id: (one.filename, one.published(rows=False)) for one in seen}
    sets, wanted = [(result_id, filename) for filename, result_id in chosen.values()], named(form)
    kept = made_of(served.db, sets) if wanted.with_kept else []
    headers = tag(request, " ".join([*(f"{result_id} {filename}" for result_id, filename in sets), *(one.id for one in kept)]))
    if answer := unchanged(request, headers):
        return answer
    videos = [video.of_tracks(tracks) for video in videos_of(served.storage, chosen)]
    made = download(wanted, videos)
    headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(made.filename)}"
    return Streamed(made.chunks, headers, made.media_type)
