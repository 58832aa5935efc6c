"""HEAD wherever there is a GET (RFC 9110, section 9.3.2): status and headers of its answer, and nothing of its body.

What belongs here: that, for every address at once. What does not: the one route that answers HEAD itself (`resumable`). An answer that is
streamed is given up as soon as its body begins.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def known(scope: Scope, method: str) -> bool:
    """Whether this address knows the method, whichever of its routes has it."""
    if any(route.matches({**scope, "method": method})[0] == Match.FULL for route in scope["app"].routes):
        return True
    return method == "HEAD" and known(scope, "GET")


class _Enough(OSError):
    """The headers are out: to whoever sends, it is as if the client had gone away."""


class Headed:
    """An application that knows GET, and by that HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or not known(scope, "GET"):
            await self._app(scope, receive, send)
            return
        ended = False

        async def answer(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
                return
            if not ended:
                ended = True
                await send({"type": "http.response.body"})
            if message.get("more_body"):
                raise _Enough

        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, answer)
        except (_Enough, ClientDisconnect):
            if not ended:
                raise
        finally:
            scope["route"] = asked.get("route")
