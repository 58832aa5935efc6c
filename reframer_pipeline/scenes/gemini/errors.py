"""What can go wrong with Gemini, as typed failures.

What belongs here: telling one from the other. What does not: trying again (`client`), deadlines (`connection`). The client library raises
`APIError` for every answer that is an error, httpx2's `HTTPError` for connections that fail, time out or cannot be decoded, and lets
whatever json or pydantic raise pass for answers that break off; nothing of a key is ever in a message.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, TypeVar

from reframer_pipeline import failures
from reframer_pipeline.scenes.describer import one_line

T = TypeVar("T")
Step = Literal["file", "generate"]
LONGEST_PAUSE_S: Final = 3600.0  # that a server may ask for; more is taken for this
_REASON: Final = 300  # characters of Google's own words
_FILE: Final = re.compile(r"\bFile \S+|\bfiles/\S+")  # how Google names a file in a message


class CallFailed(Exception):
    """One call in vain.

    Attributes:
        failure: What it comes to if it is not tried again.
        pause_s: The pause that the server asked for, seconds; None: it named none.
        spent: Whether the model may have been at work, which is charged.
    """

    def __init__(self, failure: failures.ReframerError, pause_s: float | None = None, spent: bool = False) -> None:
        self.failure, self.pause_s, self.spent = failure, pause_s, spent
        super().__init__(str(failure))


@contextlib.contextmanager
def foreseen(other: type[Exception] = failures.ReframerError) -> Iterator[None]:
    """What nobody foresaw on the way to an answer counts as no answer; a `ReframerError`, or the `other`, comes out as it is."""
    try:
        yield
    except (failures.ReframerError, other):
        raise
    except Exception as error:
        raise failures.GeminiUnavailable(f"Asking Gemini ended with an unexpected {type(error).__name__}.") from error


def calling(step: Step, model: str, call: Callable[[], T]) -> T:
    """Make one call; whatever it raises comes out typed.

    Args:
        step: What is done: something with a file, or generating.
        model: The model that is asked, for messages.
        call: The call.

    Raises:
        CallFailed: It failed.
    """
    import httpx2
    from google.genai import errors

    try:
        return call()
    except errors.APIError as error:
        raise CallFailed(_of_status(error, step, model), _asked_pause(error.details)) from error
    except httpx2.TimeoutException as error:
        waited = isinstance(error, httpx2.ReadTimeout) and step == "generate"
        raise CallFailed(failures.GeminiUnavailable("Gemini did not answer in time."), spent=waited) from error
    except httpx2.DecodingError as error:
        raise _unreadable("could not be unpacked") from error
    except httpx2.HTTPError as error:
        raise CallFailed(failures.GeminiUnavailable(f"The connection to Gemini failed: {_said(error)}.")) from error
    except json.JSONDecodeError as error:
        raise _unreadable("broke off") from error
    except RecursionError as error:
        raise _unreadable("is nested too deeply to be read") from error
    # an answer that is no answer of this API
    except (errors.UnknownApiResponseError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise _unreadable(f"could not be read: {_said(error)}") from error


def _unreadable(why: str) -> CallFailed:
    return CallFailed(failures.GeminiUnavailable(f"Gemini's answer {why}."))


def _of_status(error: Any, step: Step, model: str) -> failures.ReframerError:
    code, said = error.code, _said(error.message or error.status or "no reason given")
    reasons = {detail.get("reason") for detail in _details(error.details)}
    if code == 429:
        return failures.GeminiRateLimited(f"Gemini's quota is used up for now: {said}.")
    if code >= 500 or code < 400 or code == 408:
        return failures.GeminiUnavailable(f"Gemini answered with status {code}: {said}.")
    if code == 401 or "API_KEY_INVALID" in reasons:
        return failures.GeminiKeyRefused(f"Gemini does not accept the key: {said}.")
    names_file = _FILE.search(said) is not None or (step == "file" and code == 404 and error.status == "NOT_FOUND")
    if names_file and (code in (403, 404) or error.status == "FAILED_PRECONDITION"):
        return failures.GeminiFileNotReady(f"The uploaded file cannot be used: {said}.")
    if code == 403:
        return failures.GeminiKeyRefused(f"Gemini refuses the key: {said}.")
    if code == 404 and step == "generate" and error.status == "NOT_FOUND" and re.search(r"\bmodels?\b", said):
        return failures.GeminiModelUnknown(f"Gemini has no model {model} (any more): {said}.")
    if code == 404:
        remedy = "If GOOGLE_GEMINI_BASE_URL is set, check it: what is there does not know this path of the Gemini API."
        return failures.GeminiRequestRefused(f"Gemini refused the request with status 404: {said}.", remedy)
    return failures.GeminiRequestRefused(f"Gemini refused the request with status {code}: {said}.")


def _details(details: Any) -> list[dict[str, Any]]:
    inner = details.get("error", details) if isinstance(details, dict) else {}
    listed = inner.get("details") if isinstance(inner, dict) else None
    return [detail for detail in listed if isinstance(detail, dict)] if isinstance(listed, list) else []


def _asked_pause(details: Any) -> float | None:
    """Seconds of `google.rpc.RetryInfo`, if the error has one; at most `LONGEST_PAUSE_S`."""
    for detail in _details(details):
        if str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            found = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay", "")))
            if found:
                return min(float(found[1]), LONGEST_PAUSE_S)
    return None


def _said(error: object) -> str:
    text = re.sub(r"<[^>]*>", " ", str(error)) or type(error).__name__  # some errors are web pages
    return one_line(re.sub(r"(?i)(key=)[^&\s]+", r"\1…", text), _REASON).rstrip(".") or type(error).__name__
