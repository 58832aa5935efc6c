"""What people may wish for: a matte or a reframed video, in their words.

What belongs here: the two wishes as values that come through JSON, and what they mean for a video. What does not: keeping what is made
(`keeping`), the words of the command line (`cli`). A wish names tracks, scenes and elements of one set of results; the order that
it becomes is of exactly these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from reframer_pipeline.corrections.events import TrackId, Words
from reframer_pipeline.editing import writing
from reframer_pipeline.editing.matte import order as matte
from reframer_pipeline.editing.matte.making import published, settings_of
from reframer_pipeline.editing.reframe import order as reframe
from reframer_pipeline.editing.reframe.plan import Wishes
from reframer_pipeline.editing.reframe.window import Ratio
from reframer_pipeline.failures import RequestInvalid, WeightsMissing
from reframer_pipeline.results.deliverable import Wanted
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.vision import weights

MOST: Final = 100  # tracks or elements in one wish
_TYPES: Final = {
    ".mov": "video/quicktime", ".webm": "video/webm", ".zip": "application/zip", ".mp4": "video/mp4", ".json": "application/json",
    ".otio": "application/json", ".sendcmd": "text/plain", ".txt": "text/plain",
}  # fmt: skip
MEDIA_TYPES: Final = sorted(set(_TYPES.values()))
Element = Annotated[
    str,
    Field(
        pattern=r"^[1-9][0-9]{0,5}\.[1-9][0-9]{0,5}$", max_length=13, description="SCENE.PLACE, both from 1: an element.", examples=["2.1"]
    ),
]
Scene = Annotated[int, Field(ge=1, le=2**31 - 1)]


class _Wish(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MatteWish(_Wish):
    """A matte of tracks, elements, or all tracks of a scene: which pixels are theirs, in every frame."""

    kind: Literal["matte"] = "matte"
    tracks: list[TrackId] = Field([], max_length=MOST, description="Tracks, whose union it is.")
    elements: list[Element] = Field([], max_length=MOST, description="Elements, whose tracks are taken.")
    scene: Scene | None = Field(None, description="Only its frames; alone, all tracks in it.")
    form: writing.Form = Field(
        "prores", description="`prores` and `webm`: a film with alpha; `luma`: a grey film; `png`: a zip of pictures."
    )
    cutout: bool = Field(False, description="The picture with the matte as alpha, not the matte alone. Not for `luma`.")
    soften: float = Field(0, ge=0, le=200, description="Pixels from nothing to all at edges.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not (self.tracks or self.elements or self.scene):
            raise ValueError("name what to cut out: tracks, elements or a scene")
        if self.cutout and self.form == "luma":
            raise ValueError("a luma matte has no picture: cutout goes with prores, webm and png")
        return self


class ReframeWish(_Wish):
    """The video in another ratio, cut so that what matters stays in view."""

    kind: Literal["reframe"] = "reframe"
    ratio: str = Field(max_length=20, pattern=r"^[0-9.]+[:x/][0-9.]+$", description="Width to height.", examples=["9:16"])
    tracks: list[TrackId] = Field([], max_length=MOST, description="What must stay in view; without it and a label, all that was found.")
    label: Words | None = Field(None, description="The same by label or class.", examples=["cup"])
    letterbox: bool = Field(False, description="Show the whole picture with bars where the subjects do not fit. Not for `sendcmd`.")
    scene: Scene | None = Field(None, description="Only this scene.")
    form: reframe.Form = Field(
        "mp4", description="`mp4`: the clip with sound. Keyframes: `json`, `otio`, `sendcmd` for FFmpeg, `ae` for After Effects."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.letterbox and self.form == "sendcmd":
            raise ValueError("sendcmd moves a window and draws no bars: letterbox goes with the other forms")
        return self


AnyWish = MatteWish | ReframeWish
_ANY: Final[TypeAdapter[AnyWish]] = TypeAdapter(Annotated[AnyWish, Field(discriminator="kind")])


def read(values: Mapping[str, Any]) -> AnyWish:
    """A wish from JSON values, `kind` among them.

    Raises:
        RequestInvalid: It is none.
    """
    try:
        return _ANY.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RequestInvalid(f"The wish does not fit: {place}: {first['msg']}.", "docs/results-api.md says what may be wished.") from error


def resolve(storage: Storage, video_id: str, filename: str, wish: AnyWish, result_id: str | None = None) -> Wanted:
    """What a wish means for a set of results.

    Args:
        storage: Where they are.
        video_id: The video.
        filename: What who wishes calls it.
        wish: The wish.
        result_id: The video's set that it names things of; None: the one that is published now.

    Raises:
        NotPublished, UnknownVideo: There are no results.
        ResultsGone: There is no such set, or it is kept no more.
        NothingThere: No such track, scene, label or element; or they have no frame in common.
        RatioImpossible: The ratio leaves no picture.
    """
    results = published(storage, video_id, result_id)
    told = wish.model_dump(exclude={"kind"}, exclude_defaults=True)
    if isinstance(wish, MatteWish):
        order = _matte_order(storage, video_id, results, wish)
        name = f"matte-{_tracks(order.tracks)}" + ("-cutout" if wish.cutout else "")
        suffix = writing.SUFFIXES[wish.form] or ".zip"
        return Wanted(
            video_id, results["scenes"].result_id, "matte", order.key, told, asdict(order), name + suffix, _TYPES[suffix]
        )  # fmt: skip
    wishes = Wishes(Ratio.read(wish.ratio), frozenset(wish.tracks), wish.label, wish.letterbox, wish.scene)
    reframed = reframe.order_of(results, filename, wishes, wish.form)
    name, suffix = f"reframed-{re.sub('[:x/]', 'x', reframed.ratio)}", reframe.SUFFIXES[wish.form]
    return Wanted(
        video_id, results["scenes"].result_id, "reframe", reframed.key, told, asdict(reframed), name + suffix, _TYPES[suffix],
        reframed.filename or None,
    )  # fmt: skip


def _matte_order(storage: Storage, video_id: str, results: matte.Stored, wish: MatteWish) -> matte.MatteOrder:
    settings = settings_of(storage, video_id)
    try:
        digest = weights.digest(settings, "segmenter")
    except WeightsMissing:  # as on a server that computes nothing: that of the masks, which whoever makes it has, or says so
        digest = str(results["masks"].manifest.components["weights"])
    elements = [(int(scene), int(place)) for scene, _, place in (one.partition(".") for one in wish.elements)]
    wanted = matte.Wanted(wish.tracks, elements, wish.scene)
    return matte.order_of(results, settings, wanted, writing.Shape(wish.form, wish.cutout), soften=wish.soften, segmenter=digest)


def _tracks(tracks: tuple[str, ...]) -> str:
    return "-".join(tracks) if len(tracks) <= 3 else f"{len(tracks)}-tracks"
