"""The sandbox: what a media process sees and reaches, asked by real processes in it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from reframer_pipeline.failures import MachineTrouble
from reframer_pipeline.media.fence import Limits, Standing, fenced, standing
from reframer_pipeline.media.runner import GuardedProcess, run_guarded
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.media.fences import tools_without
from reframer_pipeline_tests.media.made import facts, numbered

LIMITS = replace(Limits.of(Settings(memory_mb=400)), stall_s=120, wall_s=240)
NOBODY = 65534


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


@pytest.fixture
def sandbox() -> None:
    if not standing(sys.executable).files:
        pytest.skip("bubblewrap is not installed, or the system forbids it")


@pytest.mark.usefixtures("sandbox")
def test_it_sees_the_files_it_is_given_and_no_others(tmp_path: Path) -> None:
    given, beside = tmp_path / "given", tmp_path / "beside"
    given.write_text("hello")
    beside.write_text("secret")
    code = f"""
import os
print(open({str(given)!r}).read(), os.path.exists({str(beside)!r}), os.listdir({str(tmp_path)!r}))
print([name for name in ('/home', '/root/.ssh', '/var', '/etc/passwd', '/etc/shadow', '/sys', '/run') if os.path.exists(name)])
print([name for name in os.listdir('/proc') if name.isdigit() and int(name) > 20] if os.path.isdir('/proc') else [])
"""
    assert run_guarded(python(code), LIMITS, reads=[given]).stdout.decode().splitlines() == ["hello False ['given']", "[]", "[]"]


@pytest.mark.usefixtures("sandbox")
def test_it_changes_nothing_but_what_it_is_to_write(tmp_path: Path) -> None:
    given, made, other = tmp_path / "given", tmp_path / "made", tmp_path / "other"
    given.write_text("hello")
    code = f"""
given, made, other = {str(given)!r}, {str(made)!r}, {str(other)!r}
for path in given, made, other, '/usr/x', '/x', '/etc/x', '/dev/x', '/proc/sys/vm/stat_interval', '/tmp/x', 'x':
    try:
        with open(path, 'w') as file: file.write('' if path.startswith('/proc') else 'changed')
    except OSError: print(path, 'refused')
    else: print(path, 'written')
"""
    with GuardedProcess(python(code), LIMITS, reads=[given], writes=[made]) as process:
        said = dict(line.split() for line in process.lines())
        assert process.wait() == 0
    in_memory = {str(other)} if tmp_path.is_relative_to("/tmp") else set()
    assert {path for path, became in said.items() if became == "written"} == {str(made), "/tmp/x", "x"} | in_memory
    assert given.read_text() == "hello" and made.read_text() == "changed" and not other.exists() and not Path("/tmp/x").exists()


@pytest.mark.usefixtures("sandbox")
def test_its_own_folders_are_small() -> None:
    code = """
import errno
for folder in ('.', '/tmp', '/dev/shm'):
    try:
        for number in range(64):
            with open(f'{folder}/{number}', 'wb') as file: file.write(bytes(900_000))
    except OSError as error: print(folder, errno.errorcode[error.errno])
"""
    assert run_guarded(python(code), LIMITS).stdout.split() == [b".", b"ENOSPC", b"/tmp", b"ENOSPC", b"/dev/shm", b"EROFS"]


@pytest.mark.usefixtures("sandbox")
def test_root_is_left_no_right_but_to_read() -> None:
    rights = 'print([line.split()[1] for line in open("/proc/self/status") if line[:6] in ("CapPrm", "CapEff", "CapBnd", "NoNewP")])'
    if "--proc" not in fenced([sys.executable], LIMITS):
        pytest.skip("no /proc may be mounted here")
    *kept, no_new = json.loads(run_guarded(python(rights), LIMITS).stdout.decode().replace("'", '"'))
    allowed = 1 << 1 if os.geteuid() == 0 else 0  # CAP_DAC_OVERRIDE
    assert no_new == "1" and {int(number, 16) for number in kept[:2]} <= {allowed}


@pytest.mark.usefixtures("sandbox")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads files of others")
def test_root_reads_what_another_user_keeps_to_itself(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("theirs")
    own.chmod(0o600)
    os.chown(own, NOBODY, NOBODY)
    assert run_guarded(["cat", str(own)], LIMITS, reads=[own]).stdout == b"theirs"


@pytest.mark.usefixtures("sandbox")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_it_works_for_an_ordinary_user(tmp_path: Path) -> None:
    """In a process that becomes one: what it reads, and that it sees nothing else, and whether it has a network."""
    place = Path("/tmp") / f"reframer-{tmp_path.name}-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        (place / "given").write_text("hello")
        (place / "beside").write_text("secret")
        code = f"""
import os, tempfile
from pathlib import Path
from reframer_pipeline.media.fence import Limits, standing
from reframer_pipeline.media.runner import run_guarded
from reframer_pipeline.settings import Settings
limits, place = Limits.of(Settings(stall_s=120)), Path({str(place)!r})
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
os.chdir('/'); tempfile.tempdir = '/tmp'
here = standing('cat')
print(here.files, here.network)
print(run_guarded(['cat', str(place / 'given')], limits, reads=[place / 'given']).stdout)
print(run_guarded(['cat', str(place / 'beside')], limits, reads=[place / 'given']).stderr)
"""
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    finally:
        subprocess.run(["rm", "-r", str(place)], check=True)
    first, *rest = ran.stdout.splitlines()
    if first == "False True":
        pytest.skip("this system lets root alone have a sandbox")
    assert first == "True True"
    assert rest[0] == "b'hello'" and "No such file" in rest[1]


@pytest.mark.usefixtures("sandbox")
def test_a_file_that_is_gone_is_no_fault_of_the_video(tmp_path: Path) -> None:
    with pytest.raises(MachineTrouble, match="cat was not started: bwrap: .*gone"):
        run_guarded(["cat", str(tmp_path / "gone")], LIMITS, reads=[tmp_path / "gone"])


@pytest.mark.parametrize("name", ["plain.mp4", "with space 'and' quote.mp4", "--ro-bind", "link/../up.mp4", "linked/a.mp4"])
def test_any_path_can_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also relative ones, through links, and what looks like an option."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/deep")
    (tmp_path / "linked").symlink_to("far")
    monkeypatch.chdir(tmp_path)
    made = numbered(tmp_path / "made.mp4", frames=5)
    Path(name).write_bytes(made.read_bytes())
    assert facts(Path(name)).frame_count == 5


@pytest.mark.usefixtures("sandbox")
def test_it_outlives_the_thread_that_started_it() -> None:
    """The kernel tells a child that its parent died when the thread did that started it."""
    process = GuardedProcess(python("import time; time.sleep(2); print('alive')"), LIMITS)
    beginning = threading.Thread(target=process.__enter__)
    beginning.start()
    beginning.join()
    with contextlib.ExitStack() as stack:
        stack.push(process.__exit__)
        assert list(process.lines()) == ["alive"] and process.wait() == 0


@pytest.mark.usefixtures("sandbox")
def test_it_ends_with_a_parent_that_is_killed() -> None:
    seconds = f"600.{os.getpid()}{time.monotonic_ns()}"
    code = f"""
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.runner import GuardedProcess
from reframer_pipeline.settings import Settings
with GuardedProcess(['sleep', {seconds!r}], Limits.of(Settings(stall_s=600))) as process:
    process.wait()
"""

    def running() -> list[psutil.Process]:
        return [one for one in psutil.process_iter(["cmdline"]) if seconds in (one.info["cmdline"] or [])]

    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        until = time.monotonic() + 120
        while not any(one.info["cmdline"][0].endswith("sleep") for one in running()):
            assert parent.poll() is None and time.monotonic() < until, "it never began"
            time.sleep(0.1)
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 120
    while running():
        assert time.monotonic() < until, "still running"
        time.sleep(0.1)


def test_which_fences_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bubblewrap the network may still be away; a `bwrap` that is forbidden to do its work is as good as none."""
    before = standing("cat")
    without, forbidden = tmp_path / "without", tmp_path / "forbidden"
    without.mkdir()
    forbidden.mkdir()
    monkeypatch.setenv("PATH", str(tools_without(without, "bwrap")))
    assert standing("cat") == Standing(limits=True, network=before.network, files=False)
    monkeypatch.setenv("PATH", str(tools_without(forbidden, "bwrap")))
    (forbidden / "bwrap").write_text("#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not permitted' >&2; exit 1\n")
    (forbidden / "bwrap").chmod(0o755)
    assert standing("cat") == Standing(limits=True, network=before.network, files=False)
    assert run_guarded(["printf", "runs"], LIMITS).stdout == b"runs"
