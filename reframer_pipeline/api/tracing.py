"""The request's id: by which an answer, the log, and the run that a request asked for are found together."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from typing import Final

HEADER: Final = "X-Request-ID"
_ACCEPTED: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def begin(sent: str | None) -> str:
    """The id of the request that begins in this context: what the client sent, if it is fit for a log, or a new one."""
    given = sent if sent and _ACCEPTED.fullmatch(sent) else uuid.uuid4().hex
    _current.set(given)
    return given


def request_id() -> str:
    """The id of the request that this context serves; empty outside of one."""
    return _current.get()
