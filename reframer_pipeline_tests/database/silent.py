"""A server that falls silent: what a pooler or a network does that is alive, takes everything and answers nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import psycopg


class SilentProxy:
    """Passes on what is said on a loopback port, until `silent` is set: it then reads on, so TCP has nothing to complain of.

    Attributes:
        silent: Whether it answers nothing.
    """

    def __init__(self, host: str, port: int) -> None:
        self.silent = threading.Event()
        self._there = (host, port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._open = contextlib.ExitStack()
        self._open.callback(self._door.close)
        threading.Thread(target=self._welcome, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._door.getsockname()[1]
        return port

    def close(self) -> None:
        self._open.close()

    def _welcome(self) -> None:
        with contextlib.suppress(OSError):  # the door is closed
            while True:
                ends = self._door.accept()[0], socket.create_connection(self._there)
                for one, other in (ends, ends[::-1]):
                    self._open.callback(one.close)
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if not self.silent.is_set():
                    other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def silent_proxy(url: str) -> Iterator[tuple[SilentProxy, str]]:
    """A proxy before the server of a URL, and the URL through it."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    proxy = SilentProxy(str(parts["host"]), int(str(parts["port"])))
    with contextlib.closing(proxy):
        yield proxy, url.replace(f":{parts['port']}/", f":{proxy.port}/")
