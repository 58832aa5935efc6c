"""Listening: uvicorn with limits on what a client may take its time with, and a graceful end.

What belongs here: sockets, times and sizes of HTTP itself. What does not: what is answered.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from reframer_pipeline.api.services import Services

HEADERS_S: Final = 10.0  # for a request's headers to be there whole
HEADERS_BYTES: Final = 32_768
CONNECTIONS: Final = 512  # at a time; who comes later is answered 503
END_S: Final = 8  # for requests that are under way when the server is told to end


def run(app: FastAPI, host: str, port: int, opened: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM arrives, and let what is under way come to its end.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on; that it is free has been seen.
        opened: Called once connections are accepted.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Impatient,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(app.state.services.settings.api_proxies),  # by default uvicorn believes whoever asks from this machine
        forwarded_allow_ips=list(app.state.services.settings.api_proxies),
        h11_max_incomplete_event_size=HEADERS_BYTES,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=int(HEADERS_S),
        timeout_graceful_shutdown=END_S,
    )
    _Server(config, app.state.services, opened).run()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, services: Services, opened: Callable[[], None]) -> None:
        super().__init__(config)
        self._services, self._opened = services, opened

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._opened()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.ending.set()
        await super().shutdown(sockets)


class Impatient(H11Protocol):
    """HTTP/1.1 that closes a connection whose request does not begin in time: uvicorn's own clock runs only between requests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """The clock runs while there is no request."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._clock is None:
            self._clock = self.loop.call_later(HEADERS_S, self._give_up)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        self._clock = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
