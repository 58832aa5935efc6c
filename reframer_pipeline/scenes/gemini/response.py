"""From Gemini's response to a checked answer.

What belongs here: finding the text, and saying why there is none. What does not: the shape of the answer (`answer`). The library's own
`parsed` is silently None for all that is told apart here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from reframer_pipeline import failures
from reframer_pipeline.scenes.gemini.answer import CheckedAnswer, check_answer

if TYPE_CHECKING:
    from google.genai import types

_WITHHELD: Final = ("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "IMAGE_SAFETY")


def read_response(response: types.GenerateContentResponse) -> CheckedAnswer:
    """The answer in a response.

    Raises:
        GeminiBlocked: The video was refused, or the answer withheld.
        GeminiAnswerInvalid: It is cut off, empty, no JSON, or nothing in it keeps to the schema.
    """
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise failures.GeminiBlocked(f"Gemini refused the video: {feedback.block_reason.name}.")
    if not response.candidates:
        raise failures.GeminiAnswerInvalid("Gemini's answer was empty.")
    candidate = response.candidates[0]
    finish = candidate.finish_reason.name if candidate.finish_reason is not None else "STOP"
    if finish in _WITHHELD:
        raise failures.GeminiBlocked(f"Gemini withheld its answer: {finish}.")
    parts = (candidate.content.parts if candidate.content is not None else None) or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    if finish == "MAX_TOKENS":
        raise failures.GeminiAnswerInvalid("Gemini's answer was cut off at its longest length.")
    if not text.strip():
        raise failures.GeminiAnswerInvalid(f"Gemini's answer had no text (finish reason {finish}).")
    fenced = re.fullmatch(r"\s*```(?:json)?\s*(.*?)\s*```\s*", text, re.DOTALL)
    try:
        said = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError) as error:  # also a number of too many digits, or brackets too deep
        raise failures.GeminiAnswerInvalid("Gemini's answer was no JSON.") from error
    try:
        return check_answer(said)
    except ValueError as error:
        raise failures.GeminiAnswerInvalid(f"Gemini's answer does not keep to the schema: {error}.") from error
