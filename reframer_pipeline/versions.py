"""Identity: which result belongs to which input, settings, weights and code.

What belongs here: the order of the stages, what each depends on, and the digest that names a result. What does not: asking
the database whether a result exists (`results.manifest`). The whole chain of keys is computed without running anything, so
"what would be recomputed, and why" is a comparison of two dictionaries.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final

from reframer_pipeline.settings import Settings

STAGES: Final = ("metadata", "frames", "detections", "masks", "trajectories", "scenes")

INPUTS: Final[dict[str, tuple[str, ...]]] = {
    "metadata": (),
    "frames": ("metadata",),
    "detections": ("frames",),
    "masks": ("frames", "detections"),
    "trajectories": ("metadata", "frames", "detections"),
    "scenes": ("metadata", "frames", "detections", "masks", "trajectories"),
}

# Bumped by hand when a stage's code changes its result; the golden-output test says when that was forgotten.
CODE_VERSIONS: Final[dict[str, int]] = {"metadata": 1, "frames": 1, "detections": 1, "masks": 1, "trajectories": 1, "scenes": 2}

# The settings that change a stage's result. Batch, device, limits and timeouts do not.
RESULT_SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "metadata": (),
    "frames": ("vid_stride",),
    "detections": ("effective_imgsz", "conf", "detector_floor", "iou", "min_size", "person_labels", "product_labels"),
    "masks": (),
    "trajectories": ("track_thresh", "track_buffer", "match_thresh", "shot_threshold", "min_shot_s"),
    "scenes": ("shot_threshold", "min_shot_s", "resolved_describer"),
}
# These too, where the describer is Gemini.
GEMINI_SETTINGS: Final = ("gemini_model", "gemini_media", "gemini_snap_s")

# Bumped by hand when what Gemini is asked changes, the answer's schema included; a test guards it.
GEMINI_PROMPT_VERSION: Final = 1

# Which weights a stage loads: the role that `vision.weights` knows.
WEIGHTS_ROLE: Final[dict[str, str]] = {"detections": "detector", "masks": "segmenter"}

_VIDEO_NAMESPACE: Final = uuid.UUID("6f3c2f6e-52c7-5a0e-9b57-1f6a55d2c0de")
_RESULT_NAMESPACE: Final = uuid.UUID("0b8a4c1e-7d2f-5f64-8c93-9e1d7a3b5c42")


def video_id_of(sha256: str) -> str:
    """UUIDv5 of a file's SHA-256 (hex): the partition key and the key of every table."""
    return str(uuid.uuid5(_VIDEO_NAMESPACE, sha256))


@dataclass(frozen=True)
class Recipe:
    """How a stage's results are made, whatever the video.

    Attributes:
        stage: Name of the stage.
        code_version: Of the stage.
        settings: Those that change its result.
        weights: Digest, or None.
        inputs: Stage to digest of the recipe of its inputs.
    """

    stage: str
    code_version: int
    settings: dict[str, Any]
    weights: str | None
    inputs: dict[str, str]

    @cached_property
    def digest(self) -> str:
        """96 bits of SHA-256 (hex) over the canonical JSON of all of it."""
        return hashlib.sha256(_canonical(asdict(self)).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class StageKey:
    """What a stage's result is a function of: a recipe and a video.

    Attributes:
        stage: Name of the stage.
        components: `video`, `code_version`, `settings`, `weights` (digest or None), `inputs` (stage to result id).
        recipe: The recipe; follows from the same facts.
    """

    stage: str
    components: dict[str, Any]
    recipe: Recipe = field(compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the canonical JSON of stage and components."""
        return hashlib.sha256(_canonical({"stage": self.stage, **self.components}).encode()).hexdigest()

    @property
    def result_id(self) -> str:
        """UUIDv5 of the digest: the id that every row of the result carries."""
        return str(uuid.uuid5(_RESULT_NAMESPACE, self.digest))


def closure(stage: str) -> tuple[str, ...]:
    """The stage and everything it depends on, in pipeline order."""
    needed = {stage}
    for name in reversed(STAGES):
        if name in needed:
            needed.update(INPUTS[name])
    return tuple(name for name in STAGES if name in needed)


def recipes(settings: Settings, weights: dict[str, str], upto: str = STAGES[-1]) -> dict[str, Recipe]:
    """The recipes of the stages; arguments as for `stage_keys`, which adds the video."""
    found: dict[str, Recipe] = {}
    for stage in closure(upto):
        role = WEIGHTS_ROLE.get(stage)
        inputs = {name: found[name].digest for name in INPUTS[stage]}
        found[stage] = Recipe(stage, CODE_VERSIONS[stage], _chosen(stage, settings), weights[role] if role else None, inputs)
    return found


def stage_keys(sha256: str, settings: Settings, weights: dict[str, str], upto: str = STAGES[-1]) -> dict[str, StageKey]:
    """The keys of the stages for one video.

    Args:
        sha256: Hex digest of the video file.
        settings: The settings the results are to be computed with.
        weights: Digest by role (`detector`, `segmenter`), from `vision.weights.digests`; only the roles that are needed.
        upto: The last stage of interest; only its `closure` is computed.

    Returns:
        Stage name to key, in pipeline order.
    """
    keys: dict[str, StageKey] = {}
    for stage, recipe in recipes(settings, weights, upto).items():
        components = {
            "video": sha256,
            "code_version": recipe.code_version,
            "settings": recipe.settings,
            "weights": recipe.weights,
            "inputs": {name: keys[name].result_id for name in INPUTS[stage]},
        }
        keys[stage] = StageKey(stage, components, recipe)
    return keys


def row_id(result_id: str, name: str) -> str:
    """UUIDv5 of a row within its result, such as `row_id(result, "15:0")` for frame 15's first detection."""
    return str(uuid.uuid5(uuid.UUID(result_id), name))


def _chosen(stage: str, settings: Settings) -> dict[str, object]:
    """The settings that a stage's result is a function of; those of Gemini only where Gemini is asked."""
    names = list(RESULT_SETTINGS[stage])
    if stage != "scenes" or settings.resolved_describer != "gemini":
        return {name: _plain(getattr(settings, name)) for name in names}
    names += GEMINI_SETTINGS
    if settings.gemini_media == "keyframes":
        names.append("gemini_keyframes")
    return {**{name: _plain(getattr(settings, name)) for name in names}, "gemini_prompt": GEMINI_PROMPT_VERSION}


def _canonical(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
