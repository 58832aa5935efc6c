"""Keys: the whole chain of what results are a function of, computed without running anything.

What belongs here: recipes and keys of all stages. What does not: the two values (`versions`), asking whether a result exists
(`results.manifest`). "What would be recomputed, and why" is a comparison of two dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
