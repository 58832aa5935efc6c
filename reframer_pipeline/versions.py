"""Identity: which result belongs to which input, settings, weights and code.

What belongs here: the digests that name videos, weights, recipes, results and rows. What does not: what a stage is a function of
(`stages`), asking the database whether a result exists (`results.manifest`).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

# Bumped by hand when what Gemini is asked changes, the answer's schema included; a test guards it.
GEMINI_PROMPT_VERSION: Final = 1

_VIDEO_NAMESPACE: Final = uuid.UUID("6f3c2f6e-52c7-5a0e-9b57-1f6a55d2c0de")
_RESULT_NAMESPACE: Final = uuid.UUID("0b8a4c1e-7d2f-5f64-8c93-9e1d7a3b5c42")


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        return digest_of({"stage": self.stage, **self.components})

    @property
    def result_id(self) -> str:
        """UUIDv5 of the digest: the id that every row of the result carries."""
        return str(uuid.uuid5(_RESULT_NAMESPACE, self.digest))


def digest_of(value: dict[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of JSON values."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def row_id(result_id: str, name: str) -> str:
    """UUIDv5 of a row within its result, such as `row_id(result, "15:0")` for frame 15's first detection."""
    return str(uuid.uuid5(uuid.UUID(result_id), name))


def _canonical(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
