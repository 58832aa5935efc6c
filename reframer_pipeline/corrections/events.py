"""Corrections as values: what somebody asks for, and the event that is kept of it.

What belongs here: the kinds, and what an event holds. What does not: doing it (`tracks`, `elements`), keeping it (`log`).

An id such as `obj_003` belongs to one set of results. So an event also holds evidence: what the thing looked like when somebody spoke of
it. In another set it is found by that, whatever it is called there (`evidence`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reframer_pipeline.scenes.describer import MAX_LABEL, one_line
from reframer_pipeline.schemas import Difficulty, ObjectClass

_INTEGER: Final = 2**31 - 1
TrackId = Annotated[str, Field(max_length=20, pattern=r"^obj_[0-9]{3,9}$", description="A track.", examples=["obj_003"])]
Words = Annotated[
    str,
    BeforeValidator(lambda value: one_line(value, MAX_LABEL) if isinstance(value, str) else value),
    Field(min_length=1, max_length=MAX_LABEL, description="What it is.", examples=["red mug"]),
]


class _Change(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rename(_Change):
    """The track is something else: its label, and that of its sightings and elements."""

    kind: Literal["rename"] = "rename"
    track_id: TrackId
    label: Words


class Reclass(_Change):
    """The track is of the other class."""

    kind: Literal["class"] = "class"
    track_id: TrackId
    object_class: ObjectClass = Field(alias="class")


class Delete(_Change):
    """There is no such thing: the track goes, with its sightings, masks and elements."""

    kind: Literal["delete"] = "delete"
    track_id: TrackId


class Merge(_Change):
    """Two tracks are one thing: the second becomes part of the first."""

    kind: Literal["merge"] = "merge"
    track_id: TrackId
    other_id: TrackId = Field(description="The track that becomes part of the first.")


class Split(_Change):
    """A track is two things: from a frame on it is a new track."""

    kind: Literal["split"] = "split"
    track_id: TrackId
    frame: int = Field(ge=0, le=_INTEGER, description="First source frame of the new track.")


class Regrade(_Change):
    """An element is easier or harder to replace than it was judged."""

    kind: Literal["difficulty"] = "difficulty"
    scene_number: int = Field(ge=1, le=_INTEGER)
    element_number: int = Field(ge=1, le=_INTEGER, description="Place in the scene, from 1.")
    difficulty: Difficulty


Change = Rename | Reclass | Delete | Merge | Split | Regrade
AnyChange = Annotated[Change, Field(discriminator="kind")]
KINDS: Final = {kind.model_fields["kind"].default: kind for kind in (Rename, Reclass, Delete, Merge, Split, Regrade)}


@dataclass(frozen=True)
class Event:
    """A correction that was made.

    Attributes:
        id: Its id, a UUID.
        change: What was asked for, by the ids of the set that was seen then.
        evidence: What the things that it names looked like in that set: by track id what `evidence.of_track` gives, and of an element
            under `element` what `evidence.of_element` gives. Beside them `rows` says over which computed rows it was made, and `new` which
            number a split gave (`applying`).
    """

    id: str
    change: Change
    evidence: Mapping[str, Any]

    @property
    def of_track(self) -> bool:
        """Whether it changes tracks, and with them what is measured; otherwise it changes what is said of an element alone."""
        return not isinstance(self.change, Regrade)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"id": self.id, "change": body(self.change), "evidence": dict(self.evidence)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Undo `to_json`."""
        return cls(value["id"], change_of(value["change"]), value["evidence"])


def body(change: Change) -> dict[str, Any]:
    """A change as JSON values, its kind included."""
    return change.model_dump(mode="json", by_alias=True)


def change_of(value: Mapping[str, Any]) -> Change:
    """Undo `body`."""
    return KINDS[value["kind"]].model_validate(value)


def in_words(change: Change) -> str:
    """A change for people."""
    match change:
        case Rename():
            return f"{change.track_id} is {change.label}"
        case Reclass():
            return f"{change.track_id} is a {change.object_class}"
        case Delete():
            return f"{change.track_id} is deleted"
        case Merge():
            return f"{change.other_id} is part of {change.track_id}"
        case Split():
            return f"{change.track_id} is another thing from frame {change.frame} on"
        case Regrade():
            return f"element {change.element_number} of scene {change.scene_number} is {change.difficulty}"
