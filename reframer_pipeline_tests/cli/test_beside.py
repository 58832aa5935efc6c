"""What is kept beside `reframer dev` comes back, later each time, and not after its end."""

from __future__ import annotations

import re
import subprocess
import sys
from queue import Queue

import pytest

from reframer_pipeline.cli import beside


def test_what_ends_is_started_again_until_it_is_to_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(beside, "SHORTEST_S", 0.01)
    children = Queue[subprocess.Popen[bytes]]()
    tries = iter((0, 0, OSError("no room"), 0, None))

    def start() -> subprocess.Popen[bytes]:
        status = next(tries)
        if isinstance(status, OSError):
            raise status
        code = "import signal; signal.pause()" if status is None else f"raise SystemExit({status})"
        children.put(child := subprocess.Popen([sys.executable, "-S", "-c", code]))
        return child

    kept = beside.Beside("It", start)
    *ended, last = (children.get(timeout=180) for _ in range(4))
    assert [child.returncode for child in ended] == [0, 0, 0] and last.poll() is None
    pauses = re.findall(r"^It has ended \(exit status 0\). It is started again in (\S+) s\.$", capsys.readouterr().err, re.MULTILINE)
    assert pauses == ["0.01", "0.02", "0.04", "0.08"]
    kept.end()
    kept.end()
    kept.wait()
    assert last.returncode is not None and next(tries, "no more") == "no more"
