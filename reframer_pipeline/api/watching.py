"""What each request passes through first and last: its id, the clock, the log, the metrics, and a net for what nobody foresaw.

What belongs here: what is so for every request, whatever it asks for. What does not: who may ask (`access`), what a failure looks like
(`problems`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reframer_pipeline.api import tracing
from reframer_pipeline.api.problems import problem
from reframer_pipeline.api.services import Services
from reframer_pipeline.failures import HostUnknown, InternalError, TooSlow

# Said of every answer unless its route says otherwise: it is for this client alone, it is what it says it is, and its address, which may
# hold a token, is told to nobody.
_ALWAYS: Final = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
GRACE_S: Final = 30.0  # that a body may take, however little of it arrives
SLOWEST: Final = 1_000.0  # bytes a second of a body that takes longer, on average; and of an answer that waits to be taken
_GONE: Final = 499  # in log and metrics: the client went away before it had an answer
_log = logging.getLogger(__name__)


class Watched:
    """An application whose every request is watched."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self._services = app, services
        self._hosts = _hosts(services)
        self._idle_s = services.settings.api_idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, sent = time.monotonic(), Headers(scope=scope)
        request_id = tracing.begin(sent.get(tracing.HEADER))
        state = scope.setdefault("state", {})
        state["headers"] = extra = {tracing.HEADER: request_id}  # what goes out with whatever is answered
        body, status, ended = _Body(receive, self._idle_s), 0, None

        async def answer(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status, headers = message["status"], MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                headers.update(extra)
                if body.gave_up:
                    headers["Connection"] = "close"
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                ended = time.monotonic()  # what is done in the background afterwards is not waited for

        try:
            if self._hosts is not None and _name_of(sent.get("Host", "")) not in self._hosts:
                await problem(HostUnknown("This server does not answer for the host that was asked for."))(scope, receive, answer)
            else:
                await self._app(scope, body.receive, answer)
        except ClientDisconnect:
            if body.gave_up:
                await problem(TooSlow(body.gave_up))(scope, receive, answer)
        except Exception as error:
            if status:  # half of an answer is out: all that is left is to break off, which the server does, and logs
                raise
            failure = InternalError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__)
            await problem(failure)(scope, receive, answer)
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


class _Body:
    """The request's body, which must go on arriving. Only the time counts for which it is waited for.

    Attributes:
        gave_up: Why it is not waited for any more; empty as long as it is.
    """

    def __init__(self, receive: Receive, idle_s: float) -> None:
        self._receive, self._idle_s = receive, idle_s
        self._whole, self._bytes, self._waited_s = False, 0, 0.0
        self.gave_up = ""

    async def receive(self) -> Message:
        """The next part; that the client went away, if it is too slow. What comes after the body has all the time there is."""
        if self._whole:
            return await self._receive()
        begun, left_s = time.monotonic(), max(GRACE_S, self._bytes / SLOWEST) - self._waited_s
        try:
            message = await asyncio.wait_for(self._receive(), min(self._idle_s, left_s))
        except TimeoutError:
            little = f"Less than {SLOWEST:g} bytes a second of the request's body arrived."
            self.gave_up = little if left_s < self._idle_s else f"Nothing of the request's body arrived for {self._idle_s:g} s."
            return {"type": "http.disconnect"}
        self._waited_s += time.monotonic() - begun
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message


def _hosts(services: Services) -> set[str] | None:
    """Names that are answered for, None for any. On loopback a page elsewhere could reach us by a name of its own (DNS rebinding)."""
    settings = services.settings
    if settings.api_hosts:
        return None if "*" in settings.api_hosts else {name.lower() for name in settings.api_hosts}
    return {"127.0.0.1", "localhost", "[::1]", settings.api_host} if is_loopback(settings.api_host) else None


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name_of(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()
