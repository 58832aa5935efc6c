"""Failures as answers: `application/problem+json` (RFC 9457) with the code, what happened, and what to do.

What belongs here: which status a failure has over HTTP, and what of it a caller is told. What does not: the failures themselves.
Of what is the server's own trouble (5xx) a caller is told the kind and the request's id; the log has the rest.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from reframer_pipeline import failures as f
from reframer_pipeline.api.heads import known
from reframer_pipeline.api.tracing import request_id
from reframer_pipeline.failures import ReframerError

MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final[Mapping[type[ReframerError], int]] = {
    f.NotHttp: 400,
    f.KeyMissing: 401,
    f.NotAllowed: 403,
    f.CrossSite: 403,
    f.NothingThere: 404,
    f.UnknownVideo: 404,
    f.UnknownUser: 404,
    f.UnknownKey: 404,
    f.UnknownFrame: 404,
    f.UnknownTrack: 404,
    f.UnknownElement: 404,
    f.UnknownCorrection: 404,
    f.MethodUnknown: 405,
    f.NotPublished: 409,
    f.NothingToRun: 409,
    f.VideoBusy: 409,
    f.TracksOverlap: 409,
    f.ResultsChanged: 409,
    f.UploadChanged: 409,
    f.OffsetConflict: 409,
    f.TooSlow: 408,
    f.DeliverableNotMade: 409,
    f.FramesEvicted: 410,
    f.ResultsGone: 410,
    f.RowsArchived: 410,
    f.ProtocolUnknown: 412,
    f.FileTooLarge: 413,
    f.NotAVideo: 415,
    f.RangeBeyondEnd: 416,
    f.HostUnknown: 421,
    f.RequestInvalid: 422,
    f.IdempotencyKeyReused: 422,
    f.WebhookRefused: 422,
    f.SettingsInvalid: 422,
    f.UnknownFormat: 422,
    f.RatioImpossible: 422,
    f.CorrectionRefused: 422,
    f.AnnotationsRefused: 422,
    f.UploadInUse: 423,
    f.TooManyRequests: 429,
    f.TooManyOpen: 429,
    f.QuotaUsedUp: 429,
    f.DiskFull: 507,
    f.DatabaseFull: 507,
    f.BeingMade: 503,
    # no fault of who asks, whatever the type says of the video
    f.InternalError: 500,
    f.InvalidResult: 500,
    f.ObjectMissing: 500,
    f.StoreMismatch: 503,
    f.SchemaMismatch: 503,
    f.DatabaseNotPrepared: 503,
    # what a kind of failure has if itself has none
    f.CallerError: 500,
    f.PermanentFailure: 422,
    f.RetryableFailure: 503,
    ReframerError: 500,
}
_LATER: Final = "Try again later. If it stays, give the request's id to whoever runs this server."
_SOON: Final = "10"  # seconds
_log = logging.getLogger(__name__)


class Problem(BaseModel):
    """Why a request failed (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:reframer:problem:file_too_large",
                    "title": "More bytes than `max_upload_mb`.",
                    "status": 413,
                    "code": "file_too_large",
                    "detail": "clip.mp4 has 512.0 MB; 500 MB are allowed.",
                    "remedy": "Upload a smaller file.",
                    "request_id": "0f6b9d1c2f5e4f1f9b1f0c8b7a6d5e4f",
                }
            ]
        }
    )

    type: str = Field(description="A URI that names the kind.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status.")
    code: str = Field(description="A stable code for programs.")
    detail: str = Field(description="What happened.")
    remedy: str = Field(description="What to do.")
    request_id: str = Field(description="By which the server's log knows the request.")
    errors: list[dict[str, Any]] | None = Field(None, description="Each parameter that does not fit: `place` and `message`.")


def told_of(code: str, message: str) -> str:
    """What a caller is told of a failure that was stored: its message, or its kind if it was the server's own trouble."""
    kind = _kind_of(code)
    return _title(kind) if _status(kind) >= 500 else message


@functools.cache  # lists of failed videos ask for each of them
def _kind_of(code: str) -> type[ReframerError]:
    return next((kind for kind in f.all_failures() if kind.code == code), f.InternalError)


def status_of(failure: ReframerError) -> int:
    """The HTTP status of a failure: its own, or that of its kind."""
    return _status(type(failure))


def _status(kind: type[ReframerError]) -> int:
    return next(_STATUS[one] for one in kind.__mro__ if one in _STATUS)


def _title(kind: type[ReframerError]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def problem(failure: ReframerError, headers: Mapping[str, str] | None = None, errors: list[dict[str, Any]] | None = None) -> Response:
    """A failure as an answer."""
    status, title = status_of(failure), _title(type(failure))
    ours = status >= 500 and not isinstance(failure, f.Limited)
    content = Problem(
        type=f"urn:reframer:problem:{failure.code}",
        title=title,
        status=status,
        code=failure.code,
        detail=title if ours else failure.message,
        remedy=_LATER if ours and not isinstance(failure, f.DatabaseTooSlow | f.NobodyToRun) else failure.remedy,
        request_id=request_id(),
        errors=errors,
    ).model_dump(mode="json", exclude_none=True)
    if ours:
        _log.error("%s: %s", failure.code, failure.message, exc_info=failure)
    more = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        more["WWW-Authenticate"] = "ApiKey"
    if isinstance(failure, f.Limited):
        more["Retry-After"] = str(math.ceil(failure.retry_after_s))
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        more["Retry-After"] = _SOON
    return JSONResponse(content, status, more, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let the application answer all failures like this."""

    async def typed(request: Request, failure: Any) -> Response:
        return problem(failure)

    async def invalid(request: Request, error: Any) -> Response:
        faults = [{"place": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]  # not the input
        return problem(f.RequestInvalid(f"{len(faults)} of the request's values do not fit."), errors=faults)

    async def plain(request: Request, error: Any) -> Response:
        headers = {"Allow": _allowed(request)} if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else error.headers
        return problem(_of_status(error), headers)

    app.add_exception_handler(ReframerError, typed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)


def _allowed(request: Request) -> str:
    """The methods of this address, whichever route has them: Starlette names those of the first."""
    return ", ".join(method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") if known(request.scope, method))


def _of_status(error: HTTPException) -> ReframerError:
    """What Starlette and FastAPI raise by themselves."""
    match error.status_code:
        case 404:
            return f.NothingThere("There is nothing under this address.")
        case 405:
            return f.MethodUnknown("This address does not know the method.")
        case 413:
            return f.FileTooLarge("The body is larger than this address takes.")
        case status if status < 500:
            return f.RequestInvalid(f"The request cannot be read: {error.detail}")
    return f.InternalError(str(error.detail))
