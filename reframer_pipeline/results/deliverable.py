"""What a deliverable is: what is wanted, how it stands, and from where to where it goes.

What belongs here: the values and the table of transitions. What does not: the statements (`deliverables`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal

from reframer_pipeline.database.postgres import Row

_IDS: Final = uuid.UUID("52c9a7d8-0c5e-5a52-9b8e-3c1f0e6c7d41")
Kind = Literal["matte", "reframe"]
Status = Literal["wanted", "making", "made", "failed", "evicted"]


class Event(Enum):
    """What can happen to a deliverable."""

    ASKED = "somebody wants it"
    TAKEN = "a run makes it"
    MADE = "it is in the store"
    AGAIN = "its run has ended without it, and another may do better"
    FAILED = "its run has ended without it, and so would the next"
    LOST = "its object is gone"


# From what to what an event takes it; what is not in here stays as it is.
TRANSITIONS: Final[dict[Event, tuple[tuple[Status, ...], Status]]] = {
    Event.ASKED: (("failed", "evicted"), "wanted"),
    Event.TAKEN: (("wanted", "making"), "making"),  # from another one that is silent
    Event.MADE: (("making",), "made"),
    Event.AGAIN: (("wanted", "making"), "wanted"),
    Event.FAILED: (("wanted", "making"), "failed"),
    Event.LOST: (("made",), "evicted"),
}


@dataclass(frozen=True)
class Wanted:
    """What is wanted, resolved against a set of results.

    Attributes:
        video_id: The video.
        result_id: The set: its scenes result.
        kind: What is made.
        key: Digest of all that it follows from.
        wish: What somebody named, as JSON values.
        ordered: What that means, as JSON values.
        filename: Of the file, after the video's own name; its ending is a suffix.
        media_type: Of the file.
        names_video: What the video is called, if the file has that in it: who calls it otherwise does not see this one.
    """

    video_id: str
    result_id: str
    kind: Kind
    key: str
    wish: Mapping[str, Any]
    ordered: Mapping[str, Any]
    filename: str
    media_type: str
    names_video: str | None = None

    @property
    def id(self) -> str:
        """UUIDv5 of the key."""
        return str(uuid.uuid5(_IDS, self.key))


@dataclass(frozen=True)
class Deliverable(Wanted):
    """How one stands: the columns of `deliverables`."""

    status: Status = "wanted"
    progress: float = 0.0
    attempts: int = 0
    token: str | None = None
    run_id: str | None = None
    created_at: datetime | None = None
    wanted_at: datetime | None = None
    made_at: datetime | None = None
    evicted_at: datetime | None = None
    seconds: float | None = None
    object_key: str | None = None
    object_bytes: int | None = None
    failure_code: str | None = None
    failure_message: str | None = None

    @staticmethod
    def of(row: Row) -> Deliverable:
        """From a row."""
        values: dict[str, Any] = {one.name: row[one.name] for one in fields(Deliverable)}
        read: dict[str, Any] = {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in values.items()}
        return Deliverable(**read)


def moved(event: Event) -> dict[str, Any]:
    """Parameters of the statement by which it happens: `from`, `to`."""
    sources, target = TRANSITIONS[event]
    return {"from": list(sources), "to": target}
