"""The ledger: what was handed in, told by those who handed it in, and not by the product.

What belongs here: what was accepted, what must become of it, and what people deleted. What does not: what became of it (`invariants`).
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reframer_pipeline.uploads.content import sha256_of
from reframer_pipeline.versions import video_id_of


@dataclass(frozen=True)
class Accepted:
    """One upload that was accepted: a file that lies whole in the watched folder, a command that ended well, a 202 of the API.

    Attributes:
        name: Its file name, different for each.
        sha256: Of its bytes.
        way: `folder`, `command` or `api`.
        at: When, seconds since the epoch.
        refusal: The code it must end with; None where it must be completed.
    """

    name: str
    sha256: str
    way: str
    at: float
    refusal: str | None = None

    @property
    def video_id(self) -> str:
        """The id of a video with these bytes."""
        return video_id_of(self.sha256)


@dataclass
class Ledger:
    """Everything accepted.

    Attributes:
        accepted: The uploads.
        unsure: By digest, how many more were handed in and broke off before anybody said whether they were accepted.
        deleted: Ids of videos that a person deleted, and that nobody handed in again.
    """

    accepted: list[Accepted] = field(default_factory=list)
    unsure: Counter[str] = field(default_factory=Counter)
    deleted: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, path: Path, name: str, way: str, at: float, refusal: str | None = None) -> Accepted:
        """Write an upload down."""
        one = Accepted(name, sha256_of(path), way, at, refusal)
        with self._lock:
            self.accepted.append(one)
        return one

    def videos(self) -> set[str]:
        """Ids of the videos that must be completed."""
        with self._lock:
            return {one.video_id for one in self.accepted if one.refusal is None} - self.deleted
