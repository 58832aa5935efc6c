"""A deployment as people run it: the real processes of `reframer dev` on loopback, in a data folder of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.command import terminal
from reframer_pipeline_tests.processes import is_setting
from reframer_pipeline_tests.servers import free_port

VARIABLES = {"REFRAMER_MODELS": "demo", "REFRAMER_DEVICE": "cpu", "REFRAMER_UPLOAD_SETTLE_S": "1"}


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


class Deployment:
    """`reframer dev`, started, killed and started again over one data folder.

    Attributes:
        url: Of the UI.
        api_url: Of the API.
        uploads: The folder that the sensor watches.
        db: The deployment's database, which outlives a kill.
    """

    def __init__(self, home: Path, on_terminal: bool = False, **variables: str) -> None:
        """Over the data folder `home`, with these environment variables beside the usual ones."""
        self._on_terminal = on_terminal
        self._variables = VARIABLES | variables
        self.settings = Settings(home=home, models="demo", device="cpu", upload_settle_s=1)
        self._port, self._api_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.api_url = f"http://127.0.0.1:{self._api_port}"
        self.uploads = Path(self.settings.bucket_url)
        self.db = storage_of(self.settings).db
        self._log = home / "dev.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(120)
            self.kill()
        self.db.close()
        embedded.stop(self.settings)

    def start(self) -> None:
        """Start it, and wait until it says that its web server answers; it does not say so before."""
        command = [sys.executable, "-m", "reframer_pipeline", "dev", "--port", str(self._port), "--api-port", str(self._api_port)]
        others = {name: value for name, value in os.environ.items() if not (is_setting(name) or name.startswith(("DAGSTER_", "GEMINI_")))}
        environment = {**others, **self._variables, "REFRAMER_HOME": str(self.settings.home_dir)}
        self._log.touch()  # else whoever reads for the terminal may make it later
        told = self._log.stat().st_size
        with open(terminal(self._log), "wb") if self._on_terminal else self._log.open("ab") as out:
            self._process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        self.wait("the web server", lambda: f"Dagster UI: {self.url}".encode() in self._log.read_bytes()[told:])
        assert self._answers()

    def said(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def stop(self, how: signal.Signals) -> str:
        """Send it a signal that ends it. Returns what it said since. Nothing of it may be left."""
        assert self._process is not None
        before = self._log.stat().st_size
        self._process.send_signal(how)
        assert self._process.wait(90) == 0
        assert not [pid for pid in self.processes() if is_running(pid)]
        self._process = None
        return self._log.read_bytes()[before:].decode()

    def kill(self) -> None:
        """Kill -9 of all its processes at once, the runs included. The database server is not one of them."""
        assert self._process is not None
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def kill_the_first(self) -> list[int]:
        """Kill -9 of `reframer dev` alone. Returns its daemon and web server."""
        assert self._process is not None
        left = self.processes("dagster._daemon") + self.processes("dagster_webserver")
        self._process.kill()
        self._process.wait()
        self._process = None
        assert len(left) == 2 and all(map(is_running, left))
        return left

    def processes(self, *words: str) -> list[int]:
        """Those of this deployment whose command line has all these words."""
        assert self._process is not None
        listed = subprocess.run(["ps", "-ww", "-eo", "pid=,sid=,args="], capture_output=True, text=True, check=True).stdout
        found = []
        for line in listed.splitlines():
            pid, session, command = (line.split(maxsplit=2) + [""])[:3]
            if int(session) == self._process.pid and all(word in command for word in words):
                found.append(int(pid))
        return found

    def wait(self, what: str, done: Callable[[], object], seconds: float = 1200, every_s: float = 0.2) -> None:
        """Until something is so."""
        until = time.monotonic() + seconds
        while not done():
            assert self._process is not None and self._process.poll() is None, self._last_words()
            if time.monotonic() > until:
                rows = f"uploads {self.rows('uploads')}, jobs {self.rows('processing_jobs')}"
                pytest.fail(f"{what} did not come about; {rows}; {self._last_words()}")
            time.sleep(every_s)

    def wait_for_completed(self, videos: int) -> None:
        """Until there are so many videos, all of them completed, and so are the jobs that made them so."""
        self.wait("completion", lambda: [row["status"] for row in self.rows("videos")] == ["completed"] * videos)
        self.wait("the jobs' end", lambda: {row["status"] for row in self.rows("processing_jobs")} <= {"completed", "failed"})

    def rows(self, table: str) -> list[Row]:
        """All rows, the oldest first."""
        assert table in ("uploads", "videos", "processing_jobs", "results")
        return self.db.fetch(f"SELECT * FROM {table} ORDER BY created_at")  # type: ignore[arg-type]  # one of a few names

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=30):
                return True
        except OSError:
            return False

    def _last_words(self) -> str:
        return self._log.read_text()[-3000:]
