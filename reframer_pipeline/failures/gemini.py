"""Failures of asking Gemini."""

from __future__ import annotations

from reframer_pipeline.failures.base import CallerError, PermanentFailure, ReframerError, RetryableFailure


class GeminiFailure(ReframerError):
    """What all of these are: Gemini did not answer, and the scenes can be described locally."""


class GeminiUnavailable(RetryableFailure, GeminiFailure):
    """Gemini could not be reached, was overloaded, or gave no readable answer in time."""

    code = "gemini_unavailable"
    blames_video = False
    default_remedy = "Nothing to do at first: it is asked again. If it stays, check the connection and Google's status page."


class GeminiRateLimited(RetryableFailure, GeminiFailure):
    """Gemini's quota is used up for now."""

    code = "gemini_rate_limited"
    blames_video = False
    default_remedy = "It is asked again later. Lower REFRAMER_GEMINI_REQUESTS_PER_MINUTE, or raise the quota of the key's project."


class GeminiKeyRefused(CallerError, GeminiFailure):
    """Gemini does not accept the key."""

    code = "gemini_key_refused"
    default_remedy = "Check GEMINI_API_KEY, or unset it to have scenes described locally."


class GeminiModelUnknown(CallerError, GeminiFailure):
    """The model does not exist or was retired."""

    code = "gemini_model_unknown"
    default_remedy = "Set REFRAMER_GEMINI_MODEL to a current model; Google's list of models says which there are."


class GeminiFileRefused(PermanentFailure, GeminiFailure):
    """Gemini could not process the video file."""

    code = "gemini_file_refused"
    default_remedy = "Set REFRAMER_GEMINI_MEDIA=keyframes to send pictures instead of the file."


class GeminiFileNotReady(RetryableFailure, GeminiFailure):
    """The uploaded file was still being processed at the deadline, or had expired when it was used."""

    code = "gemini_file_not_ready"
    default_remedy = "It is uploaded again later. If it stays, set REFRAMER_GEMINI_MEDIA=keyframes."


class GeminiBlocked(PermanentFailure, GeminiFailure):
    """Gemini's safety filters refused the video or the answer."""

    code = "gemini_blocked"
    default_remedy = "The scenes of this video can only be described locally: REFRAMER_DESCRIBER=local."


class GeminiAnswerInvalid(RetryableFailure, GeminiFailure):
    """What Gemini answered does not keep to the schema: cut off, empty, or no JSON."""

    code = "gemini_answer_invalid"
    default_remedy = "It is asked again later. If it stays, try another REFRAMER_GEMINI_MODEL."


class GeminiRequestRefused(PermanentFailure, GeminiFailure):
    """Gemini refused the request itself."""

    code = "gemini_request_refused"
    default_remedy = "Try another REFRAMER_GEMINI_MODEL, or REFRAMER_GEMINI_MEDIA=keyframes."
