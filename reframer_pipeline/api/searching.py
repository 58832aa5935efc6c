"""The routes of search: over all of one's videos, and which labels there are to search for.

What belongs here: HTTP, and how a search is put into words, here, for exports and on the command line. What does not: what can be
searched, and how (`reading.search`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, create_model
from starlette.responses import Response

from reframer_pipeline.api.access import Reader
from reframer_pipeline.api.paging import PAGE_CHARACTERS, Asked, Cursor, Number, Uuid
from reframer_pipeline.api.services import Served
from reframer_pipeline.api.sets import address
from reframer_pipeline.api.shapes import ASKED, KEYS, ROWS, Plain, asking
from reframer_pipeline.failures import RequestInvalid
from reframer_pipeline.reading.labels import labels
from reframer_pipeline.reading.search import SEARCHED, search

router = APIRouter(tags=["search"])


def _hit(kind: str) -> type[BaseModel]:
    more: dict[str, Any] = {
        "in": (Literal[kind], Field(description="The table that the rest is a row of.")),
        "filename": (str, Field(description="The video, as this person calls it.", examples=["clip.mp4"])),
        "picture": (str, Field(description="A picture that shows it: an address below this API.")),
    }
    return create_model(f"{ROWS[kind].__name__}Hit", __base__=ROWS[kind], **more)


_HIT: Final[Any] = Annotated[_hit("tracks") | _hit("scenes") | _hit("elements"), Field(discriminator="in")]
Hits = create_model(
    "Hits",
    hits=(list[_HIT], Field()),
    next=(str | None, Field(description="`cursor` of the next page; null after the last.")),
)
FILTERS: Final = list(dict.fromkeys(name for one in SEARCHED.values() for name in one.asked))
_SORTS: Final = tuple(dict.fromkeys(name for one in SEARCHED.values() for name in one.orders))
_CURSORS: Final = {  # figures that hits are sorted by, the set, the key of a row
    (kind, name): Cursor(*[Number] * len(order.by), Uuid, *(KEYS[name] for name in one.table.key))
    for kind, one in SEARCHED.items()
    for name, order in one.orders.items()
}
Kind = Literal["tracks", "scenes", "elements"]
_KIND: Final = (Kind, Field(alias="in", description="What is searched."))
VideosAsked = asking("VideosAsked", FILTERS, base=Asked, kind=_KIND)  # a search for videos alone
SearchAsked = asking(
    "SearchAsked",
    FILTERS,
    kind=_KIND,
    sort=(Literal[_SORTS] | None, Field(None, description="The order; the first of what is searched by default.")),
)


def wanted_of(asked: Any) -> dict[str, Any]:
    """What a search is to find, by its names in `reading.search`.

    Raises:
        RequestInvalid: What is searched cannot be searched by this.
    """
    wanted = {name: value for name in FILTERS if (value := getattr(asked, name)) is not None}
    can = SEARCHED[asked.kind].asked
    if strange := [name for name in wanted if name not in can]:
        raise RequestInvalid(f"{asked.kind} cannot be searched by {_said(strange)}.", f"They can by {_said(can)}.")
    return wanted


def _said(names: Iterable[str]) -> str:
    return ", ".join(ASKED[name][1].alias or name for name in names)


def find(request: Request, served: Served, who: Reader, asked: Any) -> Response:
    """Tracks, scenes or elements of all one's videos, with the times to jump to."""
    searched, wanted = SEARCHED[asked.kind], wanted_of(asked)
    order = asked.sort or next(iter(searched.orders))
    if order not in searched.orders:
        raise RequestInvalid(f"{asked.kind} cannot be sorted by {order}.", f"They can by {', '.join(searched.orders)}.")
    cursor = _CURSORS[asked.kind, order]
    after = cursor.read(request, asked.cursor)
    found, more = search(served.db, who.user_id, asked.kind, wanted, order, asked.limit, after, PAGE_CHARACTERS)
    following = cursor.write(request, found[-1]["place"]) if more else None
    hits = [{"in": asked.kind, **hit, "picture": _picture(request, asked.kind, hit)} for hit in found]
    for hit in hits:
        del hit["place"]
    return Plain({"hits": hits, "next": following})


find.__annotations__["asked"] = Annotated[SearchAsked, Query()]
router.add_api_route("/search", find, name="find", response_model=Hits)


class LabelCount(BaseModel):
    """A label, and how often it is there."""

    label: str = Field(examples=["bottle"])
    hits: int = Field(description="Tracks or elements that have it.", examples=[12])
    videos: int = Field(description="Videos that have one of these.", examples=[3])


class Labels(BaseModel):
    """Labels, those of most videos first."""

    labels: list[LabelCount]


class LabelsAsked(Asked):
    """Which labels."""

    kind: Literal["tracks", "elements"] = Field("tracks", alias="in", description="What has them.")
    limit: int = Field(200, ge=1, le=2000, description="How many at most.")


@router.get("/labels", name="labels", response_model=Labels)
def list_labels(served: Served, who: Reader, asked: Annotated[LabelsAsked, Query()]) -> Response:
    """The labels in one's newest 2,000 videos, those of most videos first: what a search for one can be asked."""
    return Plain({"labels": labels(served.db, who.user_id, asked.kind, asked.limit)})


def _picture(request: Request, kind: str, hit: dict[str, Any]) -> str:
    """A track's best look, an element's first track, the middle of a scene; of an element without a track the video's poster."""
    tracks = [hit["track_id"]] if kind == "tracks" else hit.get("track_ids", [])
    path = "poster.jpg"
    if tracks:
        path = f"tracks/{tracks[0]}.jpg"
    elif kind == "scenes":
        path = f"frames/{(hit['start_frame'] + hit['end_frame']) // 2}.jpg"
    return address(request, hit["video_id"], hit["result_id"], path)
