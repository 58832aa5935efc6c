"""The shape of Gemini's answer: as a schema that is sent, and as a check of what comes back.

What belongs here: fields, limits, cleaning, and dropping what is no good. What does not: why there is no answer at all (`response`), what
the answer is worth (`times`, `matching`). An answer is paid for: one bad field costs its scene or its element, never the rest.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from reframer_pipeline.scenes.describer import (
    MAX_ELEMENT_TEXT,
    MAX_ELEMENTS,
    Description,
    ElementText,
    one_line,
)
from reframer_pipeline.schemas import Difficulty, ObjectClass, SceneType

MAX_SCENES: Final = 1000
MAX_DROPPED: Final = 50  # notes; more would be the same again
_POSITION: Final = 80  # characters
# Other keywords have made Gemini refuse requests, or are unknown to it: limits on lengths are said in words and kept by us.
KEYWORDS: Final = frozenset(
    {"type", "properties", "required", "items", "enum", "description", "anyOf", "$ref", "$defs", "minimum", "maximum"}
)
_CLOCK: Final = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,4}):)?(\d{1,5}(?:\.\d{1,9})?)")  # H:MM:SS, M:SS or seconds, as text

T = TypeVar("T", bound=BaseModel)


def number(value: Any) -> float | None:
    """A finite number, or None: JSON has integers that no float holds, and our reader takes NaN and infinity."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _seconds(value: Any) -> float | None:
    clock = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if clock is None:
        return number(value)
    hours, minutes, seconds = clock.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _importance(value: Any) -> Any:
    found = number(value)
    return value if found is None else min(max(round(found), 1), 10)


def _text(limit: int) -> BeforeValidator:
    return BeforeValidator(lambda value: one_line(value, limit) if isinstance(value, str) else "")


def _box(value: Any) -> list[float] | None:
    """Four finite numbers, or no box: a bad one is no reason to throw the element away."""
    found = [number(one) for one in value] if isinstance(value, list) and len(value) == 4 else [None]
    return None if None in found else [min(max(one or 0.0, 0.0), 1000.0) for one in found]


SceneSeconds = Annotated[float | None, BeforeValidator(_seconds), WithJsonSchema({"type": "number"})]
ElementSeconds = Annotated[float | None, BeforeValidator(_seconds)]
Box1000 = Annotated[list[float] | None, BeforeValidator(_box)]
Importance = Annotated[int, Field(ge=1, le=10), BeforeValidator(_importance)]


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class AnsweredElement(_Answered):
    """Something that could be replaced, as the model sees it."""

    type: ObjectClass
    description: ElementText = Field(description="What it looks like, at most 500 characters.")
    difficulty: Difficulty
    reason: Annotated[str, _text(MAX_ELEMENT_TEXT)] = Field(
        "", description="Why the replacement is that difficult, at most 500 characters."
    )
    position: Annotated[str, _text(_POSITION)] = Field("", description="left, centre or right; top, middle or bottom.")
    box: Box1000 = Field(None, description="Four numbers: ymin, xmin, ymax, xmax, 0 to 1000.")
    start_seconds: ElementSeconds = Field(None, description="Visible from, seconds from the video's beginning.")
    end_seconds: ElementSeconds = Field(None, description="Visible until, seconds from the video's beginning.")


class AnsweredScene(_Answered):
    """A scene, as the model sees it."""

    start_seconds: SceneSeconds = Field(description="Seconds from the video's beginning.")
    end_seconds: SceneSeconds = Field(description="Seconds from the video's beginning.")
    description: Description = Field(description="What happens, at most 2000 characters.")
    importance: Importance
    scene_type: SceneType
    replaceable_elements: list[AnsweredElement] = Field(default_factory=list, description="At most 100.")


class VideoAnswer(_Answered):
    """What the model says of a video: clean, and within its limits. Times are checked later, by `times`."""

    scenes: list[AnsweredScene] = Field(description="In order, at most 1000.")


class CheckedAnswer(VideoAnswer):
    """The good part of an answer, and notes of what was dropped from it: where, and why."""

    dropped: list[str] = Field(default_factory=list)


def answer_schema() -> dict[str, Any]:
    """The JSON schema that Gemini's answer must keep to; it uses `KEYWORDS` alone."""
    plain: dict[str, Any] = _plain(VideoAnswer.model_json_schema())
    return plain


def check_answer(said: Any) -> CheckedAnswer:
    """Keep what is good of an answer.

    Args:
        said: Any JSON value.

    Raises:
        ValueError: No scene is left; says where and why.
    """
    listed = said.get("scenes") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise ValueError("there is no list of scenes")
    dropped: list[str] = []
    scenes = [scene for index, one in enumerate(listed[:MAX_SCENES]) if (scene := _scene(one, f"scenes.{index}", dropped)) is not None]
    if not scenes:
        raise ValueError(dropped[0] if dropped else "the list of scenes is empty")
    return CheckedAnswer(scenes=scenes, dropped=dropped[:MAX_DROPPED])


def _scene(said: Any, where: str, dropped: list[str]) -> AnsweredScene | None:
    if not isinstance(said, dict):
        return _valid(AnsweredScene, said, where, dropped)
    listed = said.get("replaceable_elements")
    elements = [
        element
        for index, one in enumerate(listed[:MAX_ELEMENTS] if isinstance(listed, list) else [])
        if (element := _valid(AnsweredElement, one, f"{where}.replaceable_elements.{index}", dropped)) is not None
    ]
    missing = {"start_seconds": None, "end_seconds": None}  # a scene without times is refused later, and noted
    return _valid(AnsweredScene, {**missing, **said, "replaceable_elements": elements}, where, dropped)


def _valid(kind: type[T], said: Any, where: str, dropped: list[str]) -> T | None:
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join([where, *map(str, first["loc"])])
        dropped.append(one_line(f"{place}: {first['msg']}", 200))
        return None


def _plain(schema: Any) -> Any:
    """A schema without other keywords, and without the docstrings of classes. `properties` and `$defs` hold names, not keywords."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    unwanted = {"description"} if "properties" in schema else set()
    return {
        key: {name: _plain(one) for name, one in value.items()} if key in ("properties", "$defs") else _plain(value)
        for key, value in schema.items()
        if key in KEYWORDS - unwanted
    }
