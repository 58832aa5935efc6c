"""What can go wrong with Gemini, as typed failures.

What belongs here: telling one from the other. What does not: trying again (`client`). The client library raises `APIError` for every answer
that is an error, httpx2's `TransportError` for connections that fail or time out, and lets whatever json or pydantic raise pass
for answers that break off; nothing of a key is ever in a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from reframer_pipeline import failures
from reframer_pipeline.scenes.describer import clean_text

T = TypeVar("T")
Step = Literal["file", "generate"]
_REASON = 300  # characters of Google's own words


class RetryLater(Exception):
    """A passing failure, with the pause that the server asked for."""

    def __init__(self, failure: failures.ReframerError, pause_s: float) -> None:
        self.failure, self.pause_s = failure, pause_s
        super().__init__(str(failure))


def calling(step: Step, model: str, call: Callable[[], T]) -> T:
    """Make one call; whatever it raises comes out typed.

    Args:
        step: What is done: something with a file, or generating.
        model: The model that is asked, for messages.
        call: The call.

    Raises:
        RetryLater: The server named a pause.
        ReframerError: Everything else.
    """
    import httpx2
    from google.genai import errors

    try:
        return call()
    except errors.APIError as error:
        failure = _of_status(error, step, model)
        pause = _asked_pause(error.details)
        if failure.retryable and pause is not None:
            raise RetryLater(failure, pause) from error
        raise failure from error
    except httpx2.TimeoutException as error:
        raise failures.GeminiUnavailable("Gemini did not answer in time.") from error
    except httpx2.TransportError as error:
        raise failures.GeminiUnavailable(f"The connection to Gemini failed: {_said(error)}.") from error
    except json.JSONDecodeError as error:
        raise failures.GeminiUnavailable("Gemini's answer broke off.") from error
    except (errors.UnknownApiResponseError, ValueError, KeyError, TypeError) as error:  # an answer that is no answer of this API
        raise failures.GeminiUnavailable(f"Gemini's answer could not be read: {_said(error)}.") from error


def _of_status(error: Any, step: Step, model: str) -> failures.ReframerError:
    code, said = error.code, _said(error.message or error.status or "no reason given")
    reasons = {detail.get("reason") for detail in _details(error.details)}
    if code == 429:
        return failures.GeminiRateLimited(f"Gemini's quota is used up for now: {said}.")
    if code >= 500 or code == 408:
        return failures.GeminiUnavailable(f"Gemini failed with status {code}: {said}.")
    if code == 401 or "API_KEY_INVALID" in reasons:
        return failures.GeminiKeyRefused(f"Gemini does not accept the key: {said}.")
    if "file" in said.casefold() and (code in (403, 404) or error.status == "FAILED_PRECONDITION"):
        return failures.GeminiFileNotReady(f"The uploaded file cannot be used: {said}.")
    if code == 403:
        return failures.GeminiKeyRefused(f"Gemini refuses the key: {said}.")
    if code == 404 and step == "generate":
        return failures.GeminiModelUnknown(f"Gemini has no model {model} (any more): {said}.")
    return failures.GeminiRequestRefused(f"Gemini refused the request with status {code}: {said}.")


def _details(details: Any) -> list[dict[str, Any]]:
    inner = details.get("error", details) if isinstance(details, dict) else {}
    listed = inner.get("details") if isinstance(inner, dict) else None
    return [detail for detail in listed if isinstance(detail, dict)] if isinstance(listed, list) else []


def _asked_pause(details: Any) -> float | None:
    """Seconds of `google.rpc.RetryInfo`, if the error has one."""
    for detail in _details(details):
        if str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            found = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay", "")))
            if found:
                return float(found[1])
    return None


def _said(error: object) -> str:
    text = re.sub(r"<[^>]*>", " ", str(error)) or type(error).__name__  # some errors are web pages
    return clean_text(re.sub(r"(?i)(key=)[^&\s]+", r"\1…", text), _REASON).rstrip(".") or type(error).__name__
