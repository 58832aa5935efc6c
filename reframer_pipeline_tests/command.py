"""`reframer` as the tests use it: in a process of its own, as people do, or in this one where the start is not what is tested."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import pytest

from reframer_pipeline import cli
from reframer_pipeline.database import clients
from reframer_pipeline_tests.processes import is_setting

Ended = subprocess.CompletedProcess[str]


def environment(home: Path, **variables: str) -> dict[str, str]:
    """This environment with no settings but these."""
    kept = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return kept | {"REFRAMER_HOME": str(home), **variables}


def started(home: Path, *args: str, **variables: str) -> Ended:
    """`reframer` in a process of its own: seconds more than `called`."""
    command = [sys.executable, "-m", "reframer_pipeline", *args]
    return subprocess.run(command, env=environment(home, **variables), capture_output=True, text=True, timeout=900)


def called(home: Path, *args: str, **variables: str) -> Ended:
    """`reframer` in this process, by the same entry point."""
    wanted, out, err = environment(home, **variables), StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in os.environ.keys() - wanted.keys():
            patch.delenv(name)
        for name, value in wanted.items():
            patch.setenv(name, value)
        patch.setenv(clients.VARIABLE, "")  # it names itself to the database, and shall leave no name behind
        patch.setattr(sys, "argv", ["reframer", *args])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return Ended(args, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def terminal(log: Path) -> int:
    """A pseudo terminal for a process to write to; it is the caller's to close. What is shown there is added to a file.

    With TERM=dumb it is shown without colours and links.
    """
    shown, written = pty.openpty()

    def copy() -> None:
        with log.open("ab", buffering=0) as out, suppress(OSError):  # when nobody has it open any more
            while piece := os.read(shown, 65_536):
                out.write(piece.replace(b"\r\n", b"\n"))
        os.close(shown)

    threading.Thread(target=copy, name="terminal", daemon=True).start()
    return written
