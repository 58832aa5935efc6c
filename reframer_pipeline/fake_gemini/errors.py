"""Errors in the shape and the words of the real API.

What belongs here: status codes, messages and details, as seen in public reports of google-genai's users. What does not: when they occur.
"""

from __future__ import annotations

from typing import Any, Final

from reframer_pipeline.fake_gemini.behaviours import Behaviour, Kind

TYPES: Final = "type.googleapis.com/google.rpc."
OVERLOADED: Final = "The model is overloaded. Please try again later."
QUOTA: Final = "You exceeded your current quota, please check your plan and billing details."
KEY_INVALID: Final = "API key not valid. Please pass a valid API key."
KEY_MISSING: Final = (
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API."
)


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        code: HTTP status.
        body: The JSON body, `{"error": {"code", "message", "status", "details"}}`.
    """

    def __init__(self, code: int, status: str, message: str, *details: dict[str, Any]) -> None:
        super().__init__(message)
        self.code = code
        error: dict[str, Any] = {"code": code, "message": message, "status": status}
        self.body = {"error": {**error, "details": list(details)} if details else error}


def invalid_argument(message: str = "Request contains an invalid argument.") -> ApiError:
    """400: the request itself is wrong."""
    return ApiError(400, "INVALID_ARGUMENT", message)


def not_found(message: str = "Requested entity was not found.") -> ApiError:
    """404: no such path, upload or model."""
    return ApiError(404, "NOT_FOUND", message)


def key_refused(key: str) -> ApiError:
    """403 without a key (google-genai cannot even be made without one), 400 for one that is not valid."""
    if not key:
        return ApiError(403, "PERMISSION_DENIED", KEY_MISSING)
    metadata = {"service": "generativelanguage.googleapis.com"}
    reason = {"@type": f"{TYPES}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": metadata}
    said = {"@type": f"{TYPES}LocalizedMessage", "locale": "en-US", "message": KEY_INVALID}
    return ApiError(400, "INVALID_ARGUMENT", KEY_INVALID, reason, said)


def model_unknown(model: str, version: str) -> ApiError:
    """404: a model that never was."""
    return not_found(
        f"models/{model} is not found for API version {version}, or is not supported for generateContent. "
        "Call ListModels to see the list of available models and their supported methods."
    )


def model_retired(model: str) -> ApiError:
    """404: a model that was shut down."""
    return not_found(
        f"This model models/{model} is no longer available. "
        "Please update your code to use a newer model for the latest features and improvements."
    )


def file_not_active(file_id: str) -> ApiError:
    """400: a file used before it was ACTIVE, or after it FAILED."""
    return ApiError(400, "FAILED_PRECONDITION", f"The File {file_id} is not in an ACTIVE state and usage is not allowed.")


def file_gone(file_id: str) -> ApiError:
    """403: expired, deleted and never uploaded look the same."""
    return ApiError(403, "PERMISSION_DENIED", f"You do not have permission to access the File {file_id} or it may not exist.")


def scripted(behaviour: Behaviour, model: str) -> ApiError | None:
    """The error that a behaviour asks for; None: it asks for none."""
    retry = _retry_info(behaviour.retry_seconds)
    match behaviour.kind:
        case Kind.RATE_LIMITED:
            return ApiError(429, "RESOURCE_EXHAUSTED", QUOTA, *_quota_failure(model), *retry)
        case Kind.BAD_REQUEST:
            return invalid_argument()
        case Kind.INTERNAL:
            return ApiError(500, "INTERNAL", "Internal error encountered.", *retry)
        case Kind.UNAVAILABLE:
            return ApiError(503, "UNAVAILABLE", OVERLOADED, *retry)
        case Kind.RETIRED:
            return model_retired(model)
    return None


def _quota_failure(model: str) -> list[dict[str, Any]]:
    quota = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-PaidTier",
        "quotaDimensions": {"location": "global", "model": model},
    }
    return [{"@type": f"{TYPES}QuotaFailure", "violations": [quota]}]


def _retry_info(delay: float | None) -> list[dict[str, Any]]:
    """A protobuf duration in JSON has 0, 3, 6 or 9 decimals."""
    if delay is None:
        return []
    return [{"@type": f"{TYPES}RetryInfo", "retryDelay": f"{delay:.0f}s" if delay == int(delay) else f"{delay:.3f}s"}]
