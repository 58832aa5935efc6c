"""What is in front of all routes: the names that are answered for, how many requests at a time, a body that must go on arriving, and a net
for what nobody foresaw.

What belongs here: what every request is judged by, whatever it asks for, and failures that no route could tell of. What does not: log and
metrics (`watching`), who may ask (`access`), what a failure looks like (`problems`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reframer_pipeline.api.problems import problem
from reframer_pipeline.failures import HostUnknown, InternalError, ServerFull, TooSlow
from reframer_pipeline.settings import Settings

GRACE_S: Final = 30.0  # that a body may take, however little of it arrives
AT_WORK: Final = 512  # requests at a time, whoever makes them
RETRY_S: Final = 5.0  # after which one more may come
SLOWEST: Final = 1_000.0  # bytes a second of a body that takes longer, on average; and of an answer that waits to be taken


class Guarded:
    """An application that is asked only what this server answers for, and whose every failure is told."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._hosts, self._idle_s = app, _hosts(settings), settings.api_idle_s
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._at_work += 1
        try:
            await self._judged(scope, receive, send)
        finally:
            self._at_work -= 1

    async def _judged(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, begun = _Body(receive, self._idle_s), False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            if body.gave_up and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            if self._at_work > AT_WORK:
                await problem(ServerFull(f"{AT_WORK} requests are at work.").after(RETRY_S))(scope, receive, answer)
            elif self._hosts is not None and _name_of(Headers(scope=scope).get("Host", "")) not in self._hosts:
                await problem(HostUnknown("This server does not answer for the host that was asked for."))(scope, receive, answer)
            else:
                await self._app(scope, body.receive, answer)
        except ClientDisconnect:
            if body.gave_up and not begun:
                await problem(TooSlow(body.gave_up))(scope, receive, answer)
        except Exception as error:
            if begun:  # half of an answer is out: all that is left is to break off, which the server does, and logs
                raise
            failure = InternalError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__)
            await problem(failure)(scope, receive, answer)


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


def _hosts(settings: Settings) -> set[str] | None:
    """Names that are answered for, None for any. On loopback a page elsewhere could reach us by a name of its own (DNS rebinding)."""
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
