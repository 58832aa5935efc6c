"""What the stand-in says: an invention cut to the length of the video, and the ways in which a model's answer can be unusable.

What belongs here: from the JSON of a request to the JSON of a response. What does not: errors and broken connections.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator
from itertools import cycle
from typing import Any, Final

from reframer_pipeline.fake_gemini.behaviours import Behaviour, Kind

FACTS: Final = '{"duration_seconds":'  # begins the line of the prompt that carries the facts of the video
# Of a JSON schema. The documentation lists a few more; with maxItems and the like, callers report a bare 400.
KEYWORDS: Final = frozenset(
    {"type", "properties", "required", "items", "enum", "description", "title", "anyOf", "$ref", "$defs", "minimum", "maximum"}
)
SCENE_SECONDS: Final = 4.0
TOKENS_A_SECOND: Final = 258  # of video, at one frame a second; an image costs as much
CHARACTERS_A_TOKEN: Final = 4
DISCLAIMER: Final = "Invented by a stand-in for Gemini, which has not looked at the video."
CAST: Final = {"person": ("person",), "product": ("product",), "both": ("person", "product"), "none": ()}
PLACES: Final = {"person": ("left", [150, 80, 950, 400]), "product": ("right", [500, 650, 800, 850])}


def respond(model: str, body: dict[str, Any], behaviour: Behaviour | None) -> dict[str, Any]:
    """A response of generateContent.

    Args:
        model: As asked for; given back as `modelVersion`.
        body: The request, in camelCase or snake_case.
        behaviour: What is to be wrong with it; None: nothing.
    """
    kind = behaviour.kind if behaviour else Kind.ANSWER
    facts = facts_of(body)
    text = "" if kind in (Kind.SAFETY, Kind.BLOCKED) else _text(kind, behaviour.answer if behaviour else None, facts)
    said: dict[str, Any]
    if kind is Kind.BLOCKED:
        said = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    elif kind is Kind.SAFETY:
        ratings = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]
        said = {"candidates": [{"finishReason": "SAFETY", "index": 0, "safetyRatings": ratings}]}
    else:
        content = {"parts": [{"text": text}], "role": "model"}
        said = {"candidates": [{"content": content, "finishReason": "MAX_TOKENS" if kind is Kind.MAX_TOKENS else "STOP", "index": 0}]}
    return {**said, "usageMetadata": _usage(body, facts, text), "modelVersion": model, "responseId": uuid.uuid4().hex}


def parts_of(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of all contents that are not the system's."""
    contents = body.get("contents")
    for content in contents if isinstance(contents, list) else [contents]:
        parts = content.get("parts") if isinstance(content, dict) else None
        yield from (part for part in (parts if isinstance(parts, list) else [parts]) if isinstance(part, dict))


def get(values: dict[str, Any], name: str) -> Any:
    """A field by its snake_case name: the API takes either spelling."""
    first, *rest = name.split("_")
    return values.get(name, values.get(first + "".join(word.title() for word in rest)))


def facts_of(body: dict[str, Any]) -> dict[str, Any]:
    """The facts that the prompt carries: `duration_seconds`, `width`, `height`. Empty if it carries none."""
    for part in parts_of(body):
        for line in str(part.get("text") or "").splitlines():
            if line.strip().startswith(FACTS):
                try:
                    facts = json.loads(line)
                except ValueError:
                    continue
                if isinstance(facts["duration_seconds"], int | float):
                    return dict(facts)
    return {}


def invented(duration: float) -> dict[str, Any]:
    """Scenes of about four seconds with no gaps from 0 to `duration` seconds, the same each time. None for a duration of 0."""
    count = max(1, round(duration / SCENE_SECONDS)) if duration > 0 else 0
    cuts = [round(duration * number / count, 3) for number in range(count)] + [duration]
    kinds = cycle(CAST)
    return {"scenes": [_scene(number, count, cuts[number], cuts[number + 1], next(kinds)) for number in range(count)]}


def _scene(number: int, count: int, start: float, end: float, kind: str) -> dict[str, Any]:
    return {
        "start_seconds": start,
        "end_seconds": end,
        "description": f"Scene {number + 1} of {count}, {start:.1f} to {end:.1f} s. {DISCLAIMER}",
        "importance": 1 + number * 3 % 10,
        "scene_type": kind,
        "replaceable_elements": [
            {
                "type": element,
                "description": f"A {element}. {DISCLAIMER}",
                "difficulty": "hard" if element == "person" else "easy",
                "reason": DISCLAIMER,
                "position": PLACES[element][0],
                "box": PLACES[element][1],
                "start_seconds": start,
                "end_seconds": None,
            }
            for element in CAST[kind]
        ],
    }


def _text(kind: Kind, given: Any, facts: dict[str, Any]) -> str:
    answer = invented(facts.get("duration_seconds", 0.0)) if given is None else given
    if isinstance(answer, dict) and isinstance(answer.get("scenes"), list):
        answer = {**answer, "scenes": _spoilt(kind, answer["scenes"], facts.get("duration_seconds", 0.0))}
    text = answer if isinstance(answer, str) else json.dumps(answer)
    if kind is Kind.FENCED:
        return f"```json\n{text}\n```"
    return text[: len(text) // 2] if kind is Kind.MAX_TOKENS else text


def _spoilt(kind: Kind, scenes: list[Any], duration: float) -> list[Any]:
    if kind is Kind.ODD_TEXT:
        return [{**scene, "description": f"\x00{scene['description']}\ud83d"} for scene in scenes]
    if kind is Kind.PAST_END and scenes:
        last = {**scenes[-1], "end_seconds": duration + 60}
        return [*scenes[:-1], last, {**last, "start_seconds": duration + 60, "end_seconds": duration + 120}]
    return scenes


def _usage(body: dict[str, Any], facts: dict[str, Any], text: str) -> dict[str, Any]:
    characters, media_seconds = 0, 0.0
    for part in parts_of(body):
        characters += len(str(part.get("text") or ""))
        media = get(part, "file_data") or get(part, "inline_data")
        if media:
            video = str(get(media, "mime_type")).startswith("video/")
            media_seconds += facts.get("duration_seconds", 1.0) if video else 1.0
    prompt = math.ceil(media_seconds * TOKENS_A_SECOND) + characters // CHARACTERS_A_TOKEN
    said = len(text) // CHARACTERS_A_TOKEN
    return {"promptTokenCount": prompt, "candidatesTokenCount": said, "totalTokenCount": prompt + said}


def unknown_keywords(schema: Any) -> set[str]:
    """The keywords of a JSON schema that the API does not take. What stands under `properties` and `$defs` are names."""
    if isinstance(schema, list):
        return set().union(*map(unknown_keywords, schema))
    if not isinstance(schema, dict):
        return set()
    found = set(schema) - KEYWORDS
    for key, value in schema.items():
        inner = list(value.values()) if key in ("properties", "$defs") and isinstance(value, dict) else value
        found |= unknown_keywords(inner)
    return found
