"""Listening: uvicorn with limits on what a client may take its time with, and a graceful end.

What belongs here: sockets, times and sizes of HTTP itself. What does not: what is answered.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable
from typing import Any, Final

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from reframer_pipeline.api import tracing
from reframer_pipeline.api.framing import Framed
from reframer_pipeline.api.guarding import AT_WORK, SLOWEST
from reframer_pipeline.api.problems import problem
from reframer_pipeline.api.services import Services
from reframer_pipeline.failures import NotHttp

HEADERS_S: Final = 10.0  # for a request's headers to be there whole
HEADERS_BYTES: Final = 32_768
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
        http=functools.partial(Impatient, idle_s=app.state.services.settings.api_idle_s, at_rest={}),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(app.state.services.settings.api_proxies),  # by default uvicorn believes whoever asks from this machine
        forwarded_allow_ips=list(app.state.services.settings.api_proxies),
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
    """HTTP/1.1 that closes a connection whose request does not begin in time, or whose answer nobody takes.

    uvicorn's own clock runs only between requests, and what it has written waits for ever.

    Args:
        idle_s: How long an answer may wait to be taken.
        at_rest: The server's connections without a request, those that have been so longest first. They make room for new ones.
    """

    def __init__(self, *args: Any, idle_s: float, at_rest: dict[Impatient, None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = Framed(h11.SERVER, HEADERS_BYTES)
        self._idle_s, self._at_rest = idle_s, at_rest
        self._clock: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # writing is paused as long as anything waits to be taken
        if len(self.connections) > AT_WORK and self._at_rest:
            next(iter(self._at_rest)).make_room()
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._at_rest.pop(self, None)
        self._stop()
        self._all_taken()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._has_request() and not self.transport.is_closing():
            self._at_rest[self] = None

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no HTTP, in the form that every failure has."""
        tracing.begin(None)
        told = problem(NotHttp(f"What came cannot be read as HTTP/1.1, or its headers have more than {HEADERS_BYTES} bytes."))
        head = h11.Response(status_code=told.status_code, headers=[*told.raw_headers, (b"connection", b"close")], reason=b"Bad Request")
        for event in (head, h11.Data(data=bytes(told.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def make_room(self) -> None:
        """Close it: there is no request. From now on it does not count, although its end is noticed later."""
        del self._at_rest[self]
        self.connections.discard(self)
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._all_taken()

    def _look_later(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._taking = self.loop.call_later(self._idle_s, self._look, waiting)

    def _look(self, before: int) -> None:
        """Hang up if too little of the answer was taken meanwhile: it is held in memory. Nothing is written while writing is paused."""
        if before - self.transport.get_write_buffer_size() < SLOWEST * self._idle_s:
            self.transport.abort()
        else:
            self._look_later()

    def _all_taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _watch(self) -> None:
        """The clock runs while there is no request."""
        if self._has_request():
            self._at_rest.pop(self, None)
            self._stop()
            return
        self._at_rest.setdefault(self)
        if self._clock is None:
            self._clock = self.loop.call_later(HEADERS_S, self._give_up)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        self._clock = None
        if not self._has_request():
            self.transport.close()

    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
