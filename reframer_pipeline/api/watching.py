"""What each request passes through first and last: its id, the clock, the log, the metrics, and headers that every answer has.

What belongs here: what is so for every request, whatever it asks for. What does not: which requests are answered at all (`guarding`), who
may ask (`access`).
"""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reframer_pipeline.api import tracing
from reframer_pipeline.api.services import Services

# Said of every answer unless its route says otherwise: it is for this client alone, it is what it says it is, and its address, which may
# hold a token, is told to nobody. What a browser opens by itself, such as a film, stands in no other page and runs nothing.
_ALWAYS: Final = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_GONE: Final = 499  # in log and metrics: the client went away before it had an answer
_log = logging.getLogger(__name__)


class Watched:
    """An application whose every request is watched."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self._services = app, services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, sent = time.monotonic(), Headers(scope=scope)
        request_id = tracing.begin(sent.get(tracing.HEADER))
        state = scope.setdefault("state", {})
        state["headers"] = extra = {tracing.HEADER: request_id}  # what goes out with whatever is answered
        status, ended = 0, None

        async def answer(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status, headers = message["status"], MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                headers.update(extra)
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                ended = time.monotonic()  # what is done in the background afterwards is not waited for

        try:
            await self._app(scope, receive, answer)
        finally:
            self._note(scope, status or _GONE, (ended or time.monotonic()) - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._services.metrics.note(scope["method"], route, status, seconds)
        caller = scope["state"].get("caller")
        client = scope.get("client")
        fields = {
            "method": scope["method"], "path": scope["path"], "status": status, "seconds": round(seconds, 4),
            "client": client and client[0], "user_id": caller and caller.user_id, "key_id": caller and caller.key_id,
        }  # fmt: skip  # never the query: it may hold a token
        _log.log(logging.ERROR if status >= 500 else logging.INFO, "request", extra=fields)
