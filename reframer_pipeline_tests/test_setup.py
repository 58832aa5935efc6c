"""`scripts/setup.sh` in a checkout of the test's own, with real pip and with a `uv` that only writes down what it is asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reframer_pipeline_tests.support import REPOSITORY

PYTHON = Path(sys.base_prefix) / "bin" / "python3"  # the environment's own has no pip
SEEN = "UV_DEFAULT_INDEX UV_INDEX UV_FIND_LINKS SSL_CERT_FILE UV_SYSTEM_CERTS UV_NATIVE_TLS"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode != 0, reason=f"{PYTHON} has no pip"
    ),
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".venv").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(REPOSITORY / "scripts" / "setup.sh", tmp_path / "scripts")
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    for tool in ("ffmpeg", "ffprobe"):
        program(tmp_path / "bin" / tool, "exit 0")
    fake_uv(tmp_path)
    return tmp_path


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def fake_uv(checkout: Path, version: str = "0.13.9", options: str = "--system-certs", work: str = "exit 0") -> None:
    shown = "; ".join(f'echo "{name}=${{{name}-}}"' for name in SEEN.split())
    program(
        checkout / "bin" / "uv",
        f'case "$*" in --version) echo "uv {version} (test)" ;; *--help) echo "{options}" ;; '
        f'*--require-hashes*) {{ {shown}; }} >"{checkout}/asked"; {work} ;; esac',
    )


def environment(checkout: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "SSL_", "REFRAMER_"))}
    return {**kept, "PATH": f"{checkout}/bin:{kept['PATH']}", "PYTHON": str(PYTHON), "PIP_CONFIG_FILE": os.devnull, **variables}


def asked(checkout: Path, **variables: str) -> dict[str, str]:
    """The environment in which `uv` was to fill the environment."""
    ran = subprocess.run(["sh", "scripts/setup.sh"], cwd=checkout, env=environment(checkout, **variables), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return dict(line.split("=", 1) for line in (checkout / "asked").read_text().splitlines())


def test_pips_variables_reach_uv(checkout: Path) -> None:
    seen = asked(
        checkout,
        PIP_INDEX_URL="https://index.example/simple",
        PIP_EXTRA_INDEX_URL="https://one.example/simple file:///opt/simple http://two.example/simple",
        PIP_CERT="/etc/ours.pem",
        PIP_FIND_LINKS="/opt/wheels",
    )
    assert seen["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert seen["UV_INDEX"] == "https://one.example/simple http://two.example/simple"
    assert seen["SSL_CERT_FILE"] == "/etc/ours.pem"
    assert seen["UV_FIND_LINKS"] == ""


@pytest.mark.parametrize("section", ["global", "install"])
def test_pips_files_reach_uv(checkout: Path, section: str) -> None:
    options = {"index": "https://index.example/simple", "extra-index": "\n    https://one.example/s\n    https://two.example/s"}
    lines = [f"{kind}-url = {value}" for kind, value in options.items()]
    (checkout / "pip.conf").write_text("\n".join([f"[{section}]", *lines, ""]))
    seen = asked(checkout, PIP_CONFIG_FILE=str(checkout / "pip.conf"))
    # pip puts this file under others of the machine that may name the same
    assert seen["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert seen["UV_INDEX"] == "https://one.example/s https://two.example/s"


def test_uvs_own_variables_win(checkout: Path) -> None:
    seen = asked(checkout, PIP_INDEX_URL="https://index.example/simple", UV_DEFAULT_INDEX="https://mine.example/simple")
    assert seen["UV_DEFAULT_INDEX"] == "https://mine.example/simple"


@pytest.mark.skipif(not Path("/etc/ssl/certs/ca-certificates.crt").exists(), reason="no system certificates where Debian has them")
@pytest.mark.parametrize(("options", "name"), [("--system-certs", "UV_SYSTEM_CERTS"), ("--native-tls", "UV_NATIVE_TLS")])
def test_the_systems_certificates_are_used_under_the_name_that_uv_knows(checkout: Path, options: str, name: str) -> None:
    fake_uv(checkout, options=options)
    seen = asked(checkout)
    assert {one for one in ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS") if seen[one]} == {name}


@pytest.mark.parametrize(("version", "taken"), [("0.4.30", False), ("0.5.0", True), ("0.13.9", True), ("1.0.0", True)])
def test_an_old_uv_is_not_taken(checkout: Path, version: str, taken: bool) -> None:
    own = checkout / ".tools" / "uv" / "bin"
    own.mkdir(parents=True)
    program(own / "uv", f'case "$*" in *--require-hashes*) touch "{checkout}/own" ;; esac')
    fake_uv(checkout, version)
    subprocess.run(["sh", "scripts/setup.sh"], cwd=checkout, env=environment(checkout), check=True, capture_output=True)
    assert ((checkout / "asked").exists(), (checkout / "own").exists()) == (taken, not taken)


@pytest.mark.parametrize(
    ("version", "old"),
    [("4.4.2-0ubuntu0.22.04.1", True), ("n5.0.1", True), ("5.1.6-0+deb12u1", False), ("n7.1", False), ("10.2", False), ("N-12-gab", False)],
)
def test_an_old_ffmpeg_is_refused_with_a_way_out(checkout: Path, version: str, old: bool) -> None:
    program(checkout / "bin" / "ffprobe", f"echo 'ffprobe version {version} Copyright (c) the FFmpeg developers'")
    ran = subprocess.run(["sh", "scripts/setup.sh"], cwd=checkout, env=environment(checkout), capture_output=True, text=True)
    assert (ran.returncode != 0) is old, ran.stderr
    assert ("Ubuntu 24.04" in ran.stderr and "on PATH" in ran.stderr and version.strip("n")[:3] in ran.stderr) is old
    assert (checkout / "asked").exists() is not old


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_what_runs(checkout: Path, number: signal.Signals) -> None:
    fake_uv(checkout, work=f'echo $$ >"{checkout}/pid"; exec sleep 300')
    started = subprocess.Popen(["sh", "scripts/setup.sh"], cwd=checkout, env=environment(checkout), start_new_session=True)
    try:
        wait_for(lambda: (checkout / "pid").exists() and (checkout / "pid").read_text().strip() != "")
        os.killpg(started.pid, number) if number == signal.SIGINT else started.send_signal(number)
        assert started.wait(timeout=120) != 0
        pid = int((checkout / "pid").read_text())
        wait_for(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])
        assert not (checkout / ".venv" / ".stamp").exists()
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
