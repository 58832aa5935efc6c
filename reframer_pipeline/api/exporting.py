"""Routes of exports: results in the formats of other programs, as a download.

What belongs here: HTTP. What does not: formats, and how files become one (`exports`). A download is streamed while it is made, of the
results that are published when it begins.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from reframer_pipeline.api.access import Reader
from reframer_pipeline.api.paging import NOT_MODIFIED, tag, unchanged
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.exports.formats import FORMATS, named
from reframer_pipeline.exports.packing import download
from reframer_pipeline.exports.videos import published_videos
from reframer_pipeline.reading import library
from reframer_pipeline.reading.library import Seen

router = APIRouter(tags=["exports"])
MOST: Final = 500  # videos in one export

_SAID: Final = "; ".join(f"`{one.name}`, {one.says}" for one in FORMATS.values())
Form = Annotated[str, Query(alias="format", description=f"What to make: {_SAID}.", json_schema_extra={"enum": list(FORMATS)})]
Ids = Annotated[list[str], Query(alias="video_id", min_length=1, max_length=MOST, description="Which videos; give it several times.")]
Tracks = Annotated[
    list[str] | None,
    Query(alias="track_id", max_length=MOST, description="Only these tracks and the elements that stand for them; give it several times."),
]
_TYPES: Final = sorted({"application/zip", *(one.media_type for one in FORMATS.values())})
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file, or a zip of several.", "content": {one: {} for one in _TYPES}},
    **NOT_MODIFIED,
}


@router.get("/videos/{video_id}/export", responses=_ANSWERS, response_class=Response)
def export_video(request: Request, video_id: str, served: Served, who: Reader, form: Form, tracks: Tracks = None) -> Response:
    """A video's results in the format of another program, whole or of some tracks."""
    return _download(request, served, form, [library.see(served.db, who.user_id, video_id)], tracks or ())


@router.get("/export", responses=_ANSWERS, response_class=Response)
def export_videos(request: Request, served: Served, who: Reader, form: Form, video_ids: Ids) -> Response:
    """Results of several videos in one download, such as those that a search has found."""
    return _download(request, served, form, [library.see(served.db, who.user_id, one) for one in dict.fromkeys(video_ids)])


def _download(request: Request, served: Services, form: str, seen: list[Seen], tracks: Collection[str] = ()) -> Response:
    headers = tag(request, " ".join(f"{one.published(rows=False)} {one.filename}" for one in seen))
    if answer := unchanged(request, headers):
        return answer
    names = {one.video_id: one.filename for one in seen}
    videos = [video.of_tracks(tracks) for video in published_videos(served.storage, list(names), names)]
    made = download(named(form), videos)
    headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(made.filename)}"
    return StreamingResponse(made.chunks, headers=headers, media_type=made.media_type)
