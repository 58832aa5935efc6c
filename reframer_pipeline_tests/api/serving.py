"""`reframer serve` as people run it: a process of its own on loopback, over a database and a data folder of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx2
import psutil
import pytest

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.users import keys, people
from reframer_pipeline_tests.command import environment, terminal
from reframer_pipeline_tests.servers import Server, free_port, fresh_database

SERVE = ("-m", "reframer_pipeline", "serve", "--api-port", "PORT")
EVERYTHING: tuple[keys.Scope, ...] = ("read", "write", "admin")


class Serving:
    """A server, started and stopped over one data folder.

    Attributes:
        url: Where it answers.
        storage: What it answers from.
        home: Its data folder.
        log: All that it wrote.
    """

    def __init__(self, storage: Storage, program: Sequence[str] = SERVE, on_terminal: bool = False, **variables: str) -> None:
        self._on_terminal = on_terminal
        self.storage, self.home = storage, storage.settings.home_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.home / "serve.log"
        self._command = [sys.executable, *(str(self.port) if word == "PORT" else word for word in program)]
        assert storage.settings.database_url is not None
        url = storage.settings.database_url.get_secret_value()
        self._environment = environment(self.home, REFRAMER_DATABASE_URL=url, **variables)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def db(self) -> Database:
        """The database."""
        return self.storage.db

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        with open(terminal(self.log), "wb") if self._on_terminal else self.log.open("ab") as out:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=out, stderr=out)
        self.until(self._answers, 240)  # on a machine that many share

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal, and wait for its end."""
        assert self._process is not None
        self._process.send_signal(how)
        code, self._process = self._process.wait(120), None
        return code

    def until(self, so: Callable[[], object], seconds: float) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not so():
            assert self._process is None or self._process.poll() is None, self.log.read_text()
            if time.monotonic() > end:
                pytest.fail(f"it did not come about within {seconds} s: {self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def key(self, email: str = "one@example.org", scopes: tuple[keys.Scope, ...] = EVERYTHING) -> str:
        """A new key of a user, who is made if need be."""
        return keys.add(self.db, people.add(self.db, email), "test", scopes)

    def connections(self) -> list[object]:
        """Its connections with clients."""
        assert self._process is not None
        found = psutil.Process(self._process.pid).net_connections("tcp")
        return [one for one in found if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == self.port]

    def client(self, key: str | None = None, **headers: str) -> httpx2.Client:
        """A client that sends this key."""
        return httpx2.Client(base_url=self.url, headers=headers | ({"X-API-Key": key} if key else {}), timeout=120)

    def _answers(self) -> bool:
        with suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.url}/healthz").is_success
        return False


def started(home: Path, server: Server, program: Sequence[str] = SERVE, **variables: str) -> Iterator[Serving]:
    """A server over a new database; for a fixture."""
    for url in fresh_database(server):
        with open_storage(Settings(home=home, database_url=url)) as storage, Serving(storage, program, **variables) as serving:
            yield serving


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """One server for the tests of a file."""
    yield from started(tmp_path_factory.mktemp("serving"), embedded_server)
