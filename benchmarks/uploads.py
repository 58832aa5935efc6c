"""Large uploads over a slow line: what the server holds in memory, and that it goes on after the connection and after the server broke off.

    python -m benchmarks.uploads --mb 480 --mb-per-s 40

A real `reframer serve` and embedded Postgres in a folder of their own. The line is throttled by the sender, on loopback.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import BinaryIO

import psutil

from reframer_pipeline.database import embedded
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.users import keys, people

BLOCK = 1 << 16
HEAD = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


class Server:
    """`reframer serve`, and the most memory that it had."""

    def __init__(self, settings: Settings) -> None:
        self._environment = {**os.environ, "REFRAMER_HOME": str(settings.home_dir)}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.peak = 0
        self.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "reframer_pipeline", "serve", "--api-port", str(self.port)]
        self.process = subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            with suppress(OSError, HTTPException):
                connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def _watch(self) -> None:
        while True:
            with suppress(psutil.Error):
                self.peak = max(self.peak, psutil.Process(self.process.pid).memory_info().rss)
            time.sleep(0.02)


def content(size: int) -> Iterator[bytes]:
    """So many bytes that pass for an mp4 at first sight."""
    yield HEAD
    block, left = os.urandom(BLOCK), size - len(HEAD)
    while left > 0:
        yield block[:left]
        left -= BLOCK


def until(file: BinaryIO, stop: int) -> Iterator[bytes]:
    """From where a file stands to this byte."""
    while block := file.read(min(BLOCK, stop - file.tell())):
        yield block


def throttled(blocks: Iterator[bytes], mb_per_s: float) -> Iterator[bytes]:
    """The same, no faster than that."""
    began, sent = time.monotonic(), 0
    for block in blocks:
        yield block
        sent += len(block)
        time.sleep(max(0.0, sent / mb_per_s / 1e6 - (time.monotonic() - began)))


@contextmanager
def connection_to(server: Server) -> Iterator[HTTPConnection]:
    """One that is closed in the end."""
    opened = HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        yield opened
    finally:
        opened.close()


def form(server: Server, key: str, size: int, mb_per_s: float) -> None:
    """One upload in a form."""
    head, tail = b"--limit\r\nContent-Disposition: form-data; name=file; filename=clip.mp4\r\n\r\n", b"\r\n--limit--\r\n"

    def body() -> Iterator[bytes]:
        yield head
        yield from throttled(content(size), mb_per_s)
        yield tail

    headers = {"X-API-Key": key, "Content-Type": "multipart/form-data; boundary=limit", "Content-Length": str(len(head) + size + len(tail))}
    with connection_to(server) as opened:
        opened.request("POST", "/v1/jobs", body(), headers)
        answer = opened.getresponse()
        assert answer.status == 202, answer.read()


def resumable(server: Server, key: str, path: Path, mb_per_s: float) -> int:
    """One upload by tus, whose connection breaks off after a third, and whose server is killed after two. Returns the connections."""
    size, tus = path.stat().st_size, {"X-API-Key": key, "Tus-Resumable": "1.0.0"}
    with connection_to(server) as opened:
        said = f"filename {base64.b64encode(b'clip.mp4').decode()}"
        opened.request("POST", "/v1/uploads", headers={**tus, "Upload-Length": str(size), "Upload-Metadata": said})
        where = str(opened.getresponse().headers["Location"])
    tries, at = 0, 0
    while at < size:
        tries += 1
        stop = {1: size // 3, 2: 2 * size // 3}.get(tries, size)
        with suppress(OSError, HTTPException), connection_to(server) as opened, path.open("rb") as file:
            file.seek(at)
            opened.putrequest("PATCH", where)
            more = {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream", "Content-Length": str(size - at)}
            for name, value in {**tus, **more}.items():
                opened.putheader(name, value)
            opened.endheaders()
            for block in throttled(until(file, stop), mb_per_s):
                opened.send(block)
            if tries == 2:
                server.kill()
            if stop == size:
                assert opened.getresponse().status == 204
        if tries == 2:
            server.start()
        with connection_to(server) as opened:
            opened.request("HEAD", where, headers=tus)
            at = int(opened.getresponse().headers["Upload-Offset"])
    return tries


def main() -> None:
    """Run both, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=480)
    parser.add_argument("--mb-per-s", type=float, default=40.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as folder:
        os.chmod(folder, 0o711)
        settings, path = Settings(home=Path(folder) / "home"), Path(folder) / "clip.mp4"
        with open_storage(settings) as storage:
            key = keys.add(storage.db, people.add(storage.db, "bench@example.org"), "bench", ("read", "write"))
            server = Server(settings)
            try:
                idle, began = server.peak, time.monotonic()
                form(server, key, asked.mb * 1_000_000, asked.mb_per_s)
                took = time.monotonic() - began
                print(
                    f"form: {asked.mb} MB in {took:.1f} s; server {idle / 1e6:.0f} MB before, {server.peak / 1e6:.0f} MB peak", flush=True
                )
                with path.open("wb") as file:
                    file.writelines(content(asked.mb * 1_000_000))
                server.peak, began = 0, time.monotonic()
                tries = resumable(server, key, path, asked.mb_per_s)
                took = time.monotonic() - began
                print(f"tus: {asked.mb} MB in {took:.1f} s over {tries} connections, one server killed; {server.peak / 1e6:.0f} MB peak")
                whole = hashlib.sha256(path.read_bytes()).hexdigest()
                assert storage.db.fetch("SELECT 1 FROM videos WHERE sha256 = %s", (whole,)), "another file came"
            finally:
                server.kill()
        embedded.stop(settings)


if __name__ == "__main__":
    main()
