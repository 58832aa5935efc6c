"""An order: what a run is asked for, resolved once and handed to all its stages.

What belongs here: the value, and the recipes and keys of all stages that it has; they are computed without running anything, so "what would
be recomputed, and why" is a comparison of two dictionaries. What does not: whose settings count (`planning.orders`), asking whether a
result exists (`results.manifest`). Stages look for their inputs under the order's keys and commit under them, whatever becomes of the
deployment's settings meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from reframer_pipeline.failures import ReframerError
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import STAGES
from reframer_pipeline.stages.stage import Stage
from reframer_pipeline.versions import Recipe, StageKey


def recipes(settings: Settings, weights: Mapping[str, str]) -> dict[str, Recipe]:
    """The recipes of the stages.

    Args:
        settings: The settings the results are to be computed with.
        weights: Digest by role (`detector`, `segmenter`), from `vision.weights.digests`.

    Returns:
        Stage name to recipe, in pipeline order. Stages whose weights are not given are left out, and so is what follows from them.
    """
    found: dict[str, Recipe] = {}
    for stage in STAGES:
        if (stage.weights is None or stage.weights in weights) and all(name in found for name in stage.inputs):
            inputs = {name: found[name].digest for name in stage.inputs}
            own = weights[stage.weights] if stage.weights else None
            found[stage.name] = Recipe(stage.name, stage.code_version, _chosen(stage, settings), own, inputs)
    return found


def stage_keys(sha256: str, settings: Settings, weights: Mapping[str, str]) -> dict[str, StageKey]:
    """The keys of the stages for the video with this digest; otherwise as `recipes`."""
    keys: dict[str, StageKey] = {}
    for name, recipe in recipes(settings, weights).items():
        components = {
            "video": sha256,
            "code_version": recipe.code_version,
            "settings": recipe.settings,
            "weights": recipe.weights,
            "inputs": {stage: keys[stage].result_id for stage in recipe.inputs},
        }
        keys[name] = StageKey(name, components, recipe)
    return keys


def _chosen(stage: Stage, settings: Settings) -> dict[str, Any]:
    named = {name: getattr(settings, name) for name in stage.settings} | stage.more_settings(settings)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}


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
