"""Failures of asking Gemini."""

from __future__ import annotations

from typing import Final

from reframer_pipeline.failures.base import CallerError, PermanentFailure, RetryableFailure


class GeminiUnavailable(RetryableFailure):
    """Gemini could not be reached, was overloaded, or gave no readable answer in time."""

    code = "gemini_unavailable"
    blames_video = False
    default_remedy = "Nothing to do at first: it is asked again. If it stays, check the connection and Google's status page."


class GeminiRateLimited(RetryableFailure):
    """Gemini's quota is used up for now."""

    code = "gemini_rate_limited"
    blames_video = False
    default_remedy = "It is asked again later. Lower REFRAMER_GEMINI_REQUESTS_PER_MINUTE, or raise the quota of the key's project."


class GeminiKeyRefused(CallerError):
    """Gemini does not accept the key."""

    code = "gemini_key_refused"
    default_remedy = "Check GEMINI_API_KEY, or unset it to have scenes described locally."


class GeminiModelUnknown(CallerError):
    """The model does not exist or was retired."""

    code = "gemini_model_unknown"
    default_remedy = "Set REFRAMER_GEMINI_MODEL to a current model; Google's list of models says which there are."


class GeminiFileRefused(PermanentFailure):
    """Gemini could not process the video file."""

    code = "gemini_file_refused"
    default_remedy = "Set REFRAMER_GEMINI_MEDIA=keyframes to send pictures instead of the file."


class GeminiFileNotReady(RetryableFailure):
    """The uploaded file was still being processed at the deadline, or had expired when it was used."""

    code = "gemini_file_not_ready"
    default_remedy = "It is uploaded again later. If it stays, set REFRAMER_GEMINI_MEDIA=keyframes."


class GeminiBlocked(PermanentFailure):
    """Gemini's safety filters refused the video or the answer."""

    code = "gemini_blocked"
    default_remedy = "The scenes of this video can only be described locally: REFRAMER_DESCRIBER=local."


class GeminiAnswerInvalid(RetryableFailure):
    """What Gemini answered does not keep to the schema: cut off, empty, or no JSON."""

    code = "gemini_answer_invalid"
    default_remedy = "It is asked again later. If it stays, try another REFRAMER_GEMINI_MODEL."


class GeminiRequestRefused(PermanentFailure):
    """Gemini refused the request itself."""

    code = "gemini_request_refused"
    default_remedy = "Try another REFRAMER_GEMINI_MODEL, or REFRAMER_GEMINI_MEDIA=keyframes."


GEMINI_FAILURES: Final = (
    GeminiUnavailable, GeminiRateLimited, GeminiKeyRefused, GeminiModelUnknown, GeminiFileRefused, GeminiFileNotReady, GeminiBlocked,
    GeminiAnswerInvalid, GeminiRequestRefused,
)  # fmt: skip
