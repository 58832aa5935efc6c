"""What a describer is given and what it must answer.

What belongs here: the `Describer` protocol and its value types, with limits that hold for every describer, a language model
included. What does not: any particular describer (`local`), and how figures come about (`measures`).

Every text that enters these types is cleaned: JSONB refuses NUL and lone surrogates, and captions are drawn on pictures, so control
characters go too. Every number is finite: JSONB refuses NaN and infinity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reframer_pipeline.schemas import Difficulty, ObjectClass, SceneType

MAX_DESCRIPTION: Final = 2000  # characters
MAX_ELEMENT_TEXT: Final = 500
MAX_LABEL: Final = 80
MAX_ELEMENTS: Final = 100
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufffe\uffff]+")


def one_line(text: str, limit: int) -> str:
    """Text that JSONB takes and that fits on a line.

    Args:
        text: Any string, of whatever origin.
        limit: Most characters of the result.

    Returns:
        The text without control characters and lone surrogates, runs of white space as one blank, cut with an ellipsis at `limit`.
    """
    tidy = " ".join(_UNWANTED.sub(" ", text).split())
    return tidy if len(tidy) <= limit else tidy[: limit - 1].rstrip() + "…"


def _cleaned(limit: int) -> BeforeValidator:
    def clean(value: Any) -> Any:
        return one_line(value, limit) if isinstance(value, str) else value

    return BeforeValidator(clean)


Description = Annotated[str, _cleaned(MAX_DESCRIPTION), Field(min_length=1, max_length=MAX_DESCRIPTION)]
ElementText = Annotated[str, _cleaned(MAX_ELEMENT_TEXT), Field(min_length=1, max_length=MAX_ELEMENT_TEXT)]
Label = Annotated[str, _cleaned(MAX_LABEL), Field(max_length=MAX_LABEL)]
Share = Annotated[float, Field(ge=0, le=1, description="A share, 0 to 1.")]


def scene_type_of(classes: Iterable[ObjectClass]) -> SceneType:
    """Whether people, products, both or none are present."""
    kinds = set(classes)
    return "both" if len(kinds) == 2 else kinds.pop() if kinds else "none"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Box(_Value):
    """A box in pixels of the displayed frame, origin top left."""

    x: float
    y: float
    width: Annotated[float, Field(ge=0)]
    height: Annotated[float, Field(ge=0)]


class Look(_Value):
    """Where a track was at one of its sightings."""

    seconds: float
    bbox: Box


class PlateFrame(_Value):
    """A frame that shows a part of what lies behind a track."""

    frame: int = Field(ge=0, description="The source frame.")
    share: Share = Field(description="Share of the track's area that it shows and no frame before it in the list does.")


class TrackFigures(_Value):
    """What was measured of one track within one scene; `measures` has the formulas."""

    track_id: Label
    object_class: ObjectClass
    label: Label
    present: bool = Field(description="Visible long enough to be spoken of.")
    sightings: int = Field(ge=1, description="Sampled frames it was seen in.")
    first_frame: int = Field(ge=0, description="First source frame it was seen in.")
    end_frame: int = Field(ge=1, description="Last source frame it was seen in, plus 1.")
    first_seconds: float = Field(ge=0, description="Time of the first sighting.")
    end_seconds: float = Field(ge=0, description="End of the time that its last sighting stands for.")
    visible_seconds: float = Field(ge=0)
    scene_share: Share
    confidence: Share
    bbox: Box
    horizontal: Literal["left", "centre", "right"]
    vertical: Literal["top", "middle", "bottom"]
    area_share: Share = Field(description="Mean mask area over the frame's; the box's where no mask was made.")
    max_area_share: Share
    overlap: Share = Field(description="Share of its box under other tracks' boxes.")
    occlusion: Share = Field(description="Share of it that is hidden while it is in the scene.")
    gap_share: Share = Field(description="Share of the sampled frames between first and last sighting without it.")
    mask_stability: Share | None = Field(description="Mean stability of its masks; null without masks.")
    shape_change: float = Field(ge=0, description="Median relative change of its area from one sampled frame to the next.")
    speed: float = Field(ge=0, description="Frame diagonals per second along its path.")
    heading: Literal["left", "right", "up", "down"] | None
    border_share: Share = Field(description="Share of its sightings that touch the frame's border.")
    plate_never_seen: Share | None = Field(
        None, description="Share of its area behind which no sampled frame of the scene shows anything; null where the camera moves."
    )
    plate_missing: Share | None = Field(None, description="The same part over the picture's area.")
    plate_frames: tuple[PlateFrame, ...] = Field((), description="The frames that show most of what lies behind it.")
    looks: tuple[Look, ...] = Field((), exclude=True, description="A few sightings, from the first to the last; not stored.")


class VideoFacts(_Value):
    """What a describer may want to know of the whole video."""

    width: int = Field(ge=1, description="Displayed pixels.")
    height: int = Field(ge=1, description="Displayed pixels.")
    duration_seconds: float = Field(ge=0)
    frame_count: int = Field(ge=0)


class SceneFacts(_Value):
    """Everything measured of one scene."""

    video: VideoFacts
    scene_number: int = Field(ge=1)
    start_frame: int = Field(ge=0)
    end_frame: int = Field(ge=1)
    start_seconds: float = Field(ge=0)
    end_seconds: float = Field(ge=0)
    sampled_frames: int = Field(ge=0, description="Frames of the scene that were looked at.")
    camera_still: bool | None = Field(None, description="Whether the camera stands still; null where that was not looked at.")
    most_people: int = Field(ge=0, description="Most present people in one sampled frame.")
    most_products: int = Field(ge=0, description="Most present products in one sampled frame.")
    detections: int = Field(ge=0, description="Detections in the scene, candidates left out.")
    tracks: tuple[TrackFigures, ...] = Field(description="Most prominent first.")

    @property
    def seconds(self) -> float:
        """How long the scene lasts."""
        return self.end_seconds - self.start_seconds

    @property
    def present(self) -> list[TrackFigures]:
        """The tracks that are visible long enough to be spoken of."""
        return [track for track in self.tracks if track.present]


class Reason(_Value):
    """One factor of a difficulty."""

    factor: Label
    value: float = Field(description="The measured figure.")
    points: float = Field(ge=0, description="How far it goes: not easy from 33 on, hard from 67, at most 100.")
    difficulty: Difficulty = Field(description="What this factor alone makes of it.")
    why: ElementText


class TimeCheck(_Value):
    """What was done about a time that a model gave."""

    edge: Literal["start", "end"]
    given: float | None = Field(description="Seconds; null if it was no number.")
    used: float | None = Field(None, description="Seconds, if it was moved.")
    action: Literal["moved", "refused"]
    why: ElementText
    of: Label = Field("", description="What the time was given for: the beginning of its description.")


class ReplaceableElement(_Value):
    """Something in the scene that could be replaced. Where a model named it, both opinions on its difficulty are kept."""

    type: ObjectClass
    description: ElementText
    difficulty: Difficulty = Field(description="The measured one where there is one, else the model's.")
    tracks: tuple[Label, ...] = Field(description="Ids of the tracks it was matched to; none if it was not found among them.")
    label: Label = ""
    figures: dict[Label, float] = Field(default_factory=dict)
    plate_frames: tuple[PlateFrame, ...] = ()
    measured_difficulty: Difficulty | None = None
    difficulty_score: float | None = Field(None, ge=0, le=100)
    difficulty_reasons: tuple[Reason, ...] = ()
    model_difficulty: Difficulty | None = Field(None, description="What a model thinks of it; null where none was asked.")
    model_reason: ElementText | None = None
    matched: bool = Field(True, description="Whether it stands for a track.")
    match_confidence: Share | None = Field(None, description="Null where the element was made from its track.")
    match_evidence: dict[Label, Share] = Field(default_factory=dict)
    start_seconds: float | None = Field(None, description="Visible from, in a model's opinion, as far as it stood the check.")
    end_seconds: float | None = Field(None, description="Visible until, likewise.")
    time_checks: tuple[TimeCheck, ...] = Field((), description="What was done about times that a model gave for it.")
    source: Label


class SceneDescription(_Value):
    """A describer's answer for one scene."""

    description: Description
    importance: int = Field(ge=1, le=10)
    scene_type: SceneType
    replaceable_elements: tuple[ReplaceableElement, ...] = Field(max_length=MAX_ELEMENTS)
    measured_scene_type: SceneType | None = Field(None, description="By the tracks; `scene_type` is the describer's.")
    source: Label = Field(description="Who described this scene; a model's answer may leave one out, which is then described locally.")
    model_version: Label | None = None
    time_checks: tuple[TimeCheck, ...] = Field((), description="What was done about times that a model gave for scenes.")


class Describer(Protocol):
    """Turns facts into descriptions."""

    @property
    def name(self) -> str:
        """Kept with every scene: `local`, `gemini`."""
        ...

    def describe(self, scenes: Iterable[SceneFacts], cuts: Sequence[float]) -> Iterator[SceneDescription]:
        """Describe the scenes of one video.

        Args:
            scenes: In order. A describer may take them one by one, or all before it answers.
            cuts: Seconds at which the scenes begin, and the end of the last one.

        Returns:
            One description per scene, in the same order.
        """
        ...
