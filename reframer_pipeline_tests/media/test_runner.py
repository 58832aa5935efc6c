"""The guarded runner really guards: each limit is run into by a real process, within a sandbox and where there is none."""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import reframer_pipeline.media
from reframer_pipeline.failures import DamagedVideo, MediaToolMissing, MediaToolTimeout
from reframer_pipeline.media.fence import Limits, standing, without_network
from reframer_pipeline.media.runner import STDOUT, GuardedProcess, run_guarded
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.media.fences import tools_without

LIMITS = replace(Limits.of(Settings(memory_mb=400)), stall_s=20, wall_s=30)


@pytest.fixture(params=["sandbox", "no sandbox"], autouse=True)
def fence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which fence stands: that of bubblewrap, or what is left where it is not installed."""
    if request.param == "no sandbox":
        monkeypatch.setenv("PATH", str(tools_without(tmp_path_factory.mktemp("tools"), "bwrap")))
    elif not standing(sys.executable).files:
        pytest.skip("bubblewrap is not installed, or the system forbids it")
    return str(request.param)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def test_a_program_runs_and_is_reported() -> None:
    done = run_guarded(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), LIMITS)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", "err")


def test_the_child_sees_no_secret_and_an_empty_private_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "hush")
    done = run_guarded(python("import os; print(sorted(os.environ), os.listdir(), os.getcwd())"), LIMITS)
    said = done.stdout.decode().replace(", 'PWD'", "")  # bubblewrap says where it is
    assert "GEMINI" not in said and "['LANG', 'PATH'] [] /" in said
    folder = said.split()[-1]
    assert not os.path.exists(folder) and folder != os.getcwd()


def test_no_shell_reads_the_words() -> None:
    assert run_guarded(["printf", "%s|", "a b", "$HOME", "`id`", "'; ls"], LIMITS).stdout == b"a b|$HOME|`id`|'; ls|"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MediaToolMissing, match="ffnothing is not installed"):
        run_guarded(["ffnothing"], LIMITS)


def test_silence_is_ended_and_the_whole_group_with_it() -> None:
    seconds = f"600.{uuid.uuid4().int}"  # by which it is known: a sandbox has process ids of its own
    code = f"import subprocess, time; subprocess.Popen(['sleep', '{seconds}']); print('begun', flush=True); time.sleep(600)"
    started = time.monotonic()
    with (
        pytest.raises(MediaToolTimeout, match="wrote nothing for 0.5 s"),
        GuardedProcess(python(code), replace(LIMITS, stall_s=0.5)) as process,
    ):
        assert next(process.lines()) == "begun"
        (grandchild,) = _running(["sleep", seconds])
        process.wait()
    assert time.monotonic() - started < 400
    _await_end(grandchild)


def test_messages_do_not_count_as_progress() -> None:
    code = "import sys, time\nwhile True: print('still here', file=sys.stderr, flush=True); time.sleep(0.05)"
    with pytest.raises(MediaToolTimeout, match="wrote nothing"):
        run_guarded(python(code), replace(LIMITS, stall_s=0.5))


def test_the_wall_clock_ends_a_talker() -> None:
    code = "import time\nwhile True: print('x', flush=True); time.sleep(0.01)"
    with pytest.raises(MediaToolTimeout, match="ran for 1 s"):
        run_guarded(python(code), replace(LIMITS, wall_s=1))


def test_an_allocation_bomb_is_refused() -> None:
    with pytest.raises(MediaToolTimeout, match="memory"):
        run_guarded(python("b = bytearray(2_000_000_000)"), LIMITS)


def test_a_busy_loop_runs_out_of_cpu() -> None:
    with pytest.raises(MediaToolTimeout, match="resource limit"):
        run_guarded(python("while True: pass"), replace(LIMITS, cpu_s=1))


def test_a_large_file_is_not_written() -> None:
    with pytest.raises(MediaToolTimeout, match="resource limit"):
        run_guarded(["dd", "if=/dev/zero", "of=large", "bs=1M", "count=50"], LIMITS)


def test_too_much_output_is_refused() -> None:
    with pytest.raises(DamagedVideo):
        run_guarded(python("print('x' * 5000)"), LIMITS, max_output=1000)


def test_of_many_messages_both_ends_are_kept() -> None:
    done = run_guarded(python("import sys\nfor n in range(20000): print('line', n, file=sys.stderr)"), LIMITS)
    assert done.stderr.startswith("line 0\n") and done.stderr.endswith("line 19999") and len(done.stderr) < 40_000


def test_there_is_no_network() -> None:
    if not without_network():
        pytest.skip("this system allows no network namespace")
    assert run_guarded(python("import socket; print([name for _, name in socket.if_nameindex()])"), LIMITS).stdout == b"['lo']\n"


def test_several_outputs_are_drained_while_one_is_awaited() -> None:
    code = "import os, sys\nfd = int(sys.argv[1])\nfor _ in range(64): os.write(fd, b'a' * 65536)\nos.close(fd)\nprint('last')"
    with GuardedProcess(lambda fds: [*python(code), str(fds[0])], LIMITS, extra_channels=1) as process:
        assert list(process.lines(STDOUT)) == ["last"]
        assert process.read(1, 10_000_000) == b"a" * 64 * 65536
        assert process.wait() == 0


def test_an_array_is_filled_whatever_was_read_ahead() -> None:
    code = "import os, sys\nfd = int(sys.argv[1])\nos.write(fd, b'a' * 9)\n"
    code += "print('first', flush=True)\nos.write(fd, b'b' * 200_004)\nos.close(fd)"
    with GuardedProcess(lambda fds: [*python(code), str(fds[0])], LIMITS, extra_channels=1) as process:
        assert next(process.lines(STDOUT)) == "first"
        little, much = np.zeros(5, np.uint8), np.zeros((2, 100_000), np.uint8)
        assert process.fill(1, little) and little.tobytes() == b"aaaaa"
        assert process.fill(1, much) and much.tobytes() == b"aaaa" + b"b" * 199_996
        assert not process.fill(1, much) and process.wait() == 0


def test_outputs_far_out_of_step_are_refused() -> None:
    code = "import os, sys\nwhile True: os.write(int(sys.argv[1]), b'a' * 65536)"
    with (
        pytest.raises(MediaToolTimeout, match="out of step"),
        GuardedProcess(lambda fds: [*python(code), str(fds[0])], replace(LIMITS, backlog_bytes=1_000_000), extra_channels=1) as process,
    ):
        process.read(STDOUT, 1)


def test_leaving_early_ends_the_program_and_closes_its_pipes() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with GuardedProcess(python("import time; print('x', flush=True); time.sleep(60)"), LIMITS) as process:
        assert process.read(STDOUT, 2) == b"x\n"
        child = process._process.pid
    _await_end(child)
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_else_in_media_starts_processes() -> None:
    folder = Path(reframer_pipeline.media.__file__).parent
    users = {path.name for path in folder.glob("*.py") for word in ("subprocess", "os.system", "VideoCapture(") if word in path.read_text()}
    assert users == {"runner.py", "fence.py", "sandbox.py"}  # the latter two try whether `unshare` and `bwrap` work


def _running(command: list[str]) -> list[int]:
    """The ids of the processes of a command, which has just been started."""
    for _ in range(600):
        if found := [one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == command]:
            return found
        time.sleep(0.1)
    return []


def _await_end(pid: int) -> None:
    """Killing is not instant for a grandchild, which its new parent buries."""
    until = time.monotonic() + 60
    while _alive(pid):
        assert time.monotonic() < until, "still running"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_program_is_fed_and_read_in_step() -> None:
    """It answers what it is given, more than any pipe holds, so that one who only wrote would wait for ever."""
    echo = "import sys\nwhile piece := sys.stdin.buffer.read(1 << 16): sys.stdout.buffer.write(piece)"
    piece = bytes(range(256)) * 8192
    with GuardedProcess(python(echo), LIMITS, fed=True) as process:
        assert all(process.write(piece) for _ in range(4))
        process.end_input()
        assert process.read(STDOUT, 5 * len(piece)) == piece * 4
        assert process.wait() == 0


def test_who_is_fed_and_ends_is_not_fed_on() -> None:
    with GuardedProcess(python("import sys; sys.stdin.buffer.read(10); sys.exit(3)"), LIMITS, fed=True) as process:
        while process.write(bytes(1 << 20)):
            pass
        assert not process.write(b"more") and process.wait() == 3


def test_who_takes_nothing_is_stopped() -> None:
    with (
        pytest.raises(MediaToolTimeout, match="wrote nothing for 0.5 s"),
        GuardedProcess(python("import time; time.sleep(60)"), replace(LIMITS, stall_s=0.5), fed=True) as process,
    ):
        while process.write(bytes(1 << 20)):
            pass
