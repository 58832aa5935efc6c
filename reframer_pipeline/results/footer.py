"""The footer's entry: what a Parquet file says of itself, enough to restore the database from the store alone.

What belongs here: the entry's form. What does not: restoring (`rebuild`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.stages.order import VideoCard

FORM = 1


@dataclass(frozen=True)
class Footer:
    """A manifest row (but for `object_bytes`, which the file cannot know) and its video.

    Attributes:
        manifest: The row.
        video: Its video.
        made_from: Result id to content digest of its direct inputs: which rows it was made from, should a store hold several objects
            of one result. Empty in older files.
    """

    manifest: ManifestRow
    video: VideoCard
    made_from: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As JSON in UTF-8."""
        video = {**asdict(self.video), "created_at": self.video.created_at.isoformat()}
        value = {"form": FORM, "manifest": self.manifest.to_json(), "video": video, "made_from": self.made_from}
        return json.dumps(value, ensure_ascii=True).encode()

    @classmethod
    def decode(cls, entry: bytes) -> Footer:
        """Undo `encode`.

        Raises:
            ValueError: Another form, or no entry of ours.
        """
        value: dict[str, Any] = json.loads(entry)
        if value.get("form") != FORM:
            raise ValueError(f"footer of form {value.get('form')}")
        video = {**value["video"], "created_at": datetime.fromisoformat(value["video"]["created_at"])}
        return cls(ManifestRow.from_json(value["manifest"]), VideoCard(**video), dict(value.get("made_from", {})))
