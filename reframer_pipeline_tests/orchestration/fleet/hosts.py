"""Machines of their own: a network namespace each, joined to this one by a cable that can be cut.

What listens on this machine's loopback is reached from there by forwarders on the cable's end here.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

_numbers = iter(range(1, 200))


class Host:
    """A machine.

    Attributes:
        here: This machine's address, as it is seen from there.
        prefix: Words before a command that run it there.
    """

    def __init__(self) -> None:
        number = next(_numbers)
        tag = f"{os.getpid() % 100_000}-{number}"
        self._space, self._cable = f"reframer-{tag}", f"rv{tag}"
        net = f"10.{200 + os.getpid() % 50}.{number}"
        self.here, there = f"{net}.1", f"{net}.2"
        self.prefix = ["ip", "netns", "exec", self._space]
        self._listening: list[socket.socket] = []
        try:
            _ip("netns", "add", self._space)
            _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._space)
            _ip("addr", "add", f"{self.here}/24", "dev", self._cable)
            _ip("link", "set", self._cable, "up")
            _ip("-n", self._space, "addr", "add", f"{there}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", self._space, "link", "set", device, "up")
        except subprocess.CalledProcessError:
            self.go()
            raise

    def cut(self) -> None:
        """Nothing passes the cable, and nobody is told."""
        _ip("link", "set", self._cable, "down")

    def mend(self) -> None:
        _ip("link", "set", self._cable, "up")

    def forward(self, port: int) -> int:
        """A port on the cable's end here that leads to one of this machine's loopback."""
        listening = socket.create_server((self.here, 0))
        self._listening.append(listening)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    near, _ = listening.accept()
                    far = socket.create_connection(("127.0.0.1", port))
                    for one, other in ((near, far), (far, near)):
                        threading.Thread(target=_pour, args=(one, other), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listening.getsockname()[1])

    def go(self) -> None:
        for one in self._listening:
            one.close()
        for command in (("link", "del", self._cable), ("netns", "del", self._space)):
            with suppress(subprocess.CalledProcessError):
                _ip(*command)


@contextmanager
def host() -> Iterator[Host]:
    """A machine, for a while; skips where this one may make none."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("making network namespaces needs root and iproute2")
    try:
        made = Host()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr}")
    try:
        yield made
    finally:
        made.go()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=90)


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
