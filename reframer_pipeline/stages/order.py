"""An order: what a run is asked for, resolved once and handed to all its stages.

What belongs here: the value. What does not: whose settings count (`planning.orders`), running (`orchestration`). Stages look for their
inputs under the order's keys and commit under them, whatever becomes of the deployment's settings meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from reframer_pipeline.failures import ReframerError
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.keys import stage_keys
from reframer_pipeline.versions import StageKey


@dataclass(frozen=True)
class VideoCard:
    """What `videos` knows of a video before anything was computed.

    Attributes:
        video_id: Its id.
        sha256: Digest of the file.
        filename: As uploaded.
        size_bytes: Size of the file.
        email: The first uploader.
        created_at: When it was taken in.
    """

    video_id: str
    sha256: str
    filename: str
    size_bytes: int
    email: str
    created_at: datetime


@dataclass(frozen=True)
class Order:
    """What a run is asked for.

    Attributes:
        video: The video.
        settings: What it is computed with.
        weights: Digest by role; empty where they cannot be had.
        trouble: Why not.
    """

    video: VideoCard
    settings: Settings
    weights: Mapping[str, str]
    trouble: ReframerError | None = None

    @cached_property
    def keys(self) -> dict[str, StageKey]:
        """Stage to key, in pipeline order; without weights only of the stages that need none."""
        return stage_keys(self.video.sha256, self.settings, self.weights)

    def key(self, stage: str) -> StageKey:
        """The key of a stage's result.

        Raises:
            ReframerError: It needs weights that cannot be had.
        """
        if stage not in self.keys and self.trouble is not None:
            raise self.trouble
        return self.keys[stage]

    def with_settings(self, **other: Any) -> Order:
        """The same with other settings."""
        return replace(self, settings=self.settings.model_copy(update=other))
