"""The built package, installed where there is no checkout: what it holds, and that the commands work from it.

Nothing is downloaded: the new environment borrows the libraries of this one by a path, not the editable install of this package.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline_tests.servers import free_port
from reframer_pipeline_tests.support import REPOSITORY

pytestmark = pytest.mark.deployment

VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
SQL = {path.name for path in (REPOSITORY / "sql").glob("*.sql")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with sdist and wheel; the wheel is built from the sdist. A copy is built from, so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("build") / "copy"
    others = (".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(*others))
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", copy], check=True, capture_output=True, timeout=900)
    return copy / "dist"


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, in a folder of its own that is the present one for all that runs in it."""
    uv = shutil.which("uv") or shutil.which("uv", path=REPOSITORY / ".tools" / "uv" / "bin")
    if uv is None:
        pytest.skip("uv is not here (scripts/setup.sh puts it into .tools)")
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = folder / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    command = [uv, "pip", "install", "--offline", "--no-cache", "--no-index", "--no-deps", "--python", python, *built.glob("*.whl")]
    subprocess.run(command, check=True, capture_output=True, timeout=1200)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))  # its .pth files, such as that of the checkout, are not followed
    return folder


@pytest.fixture(scope="module")
def shown(installed: Path) -> Iterator[str]:
    """What `reframer demo` said, in the data folder that it makes; its server ends with the tests."""
    done = run(installed, "demo")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield done.stdout
    finally:
        run(installed, "db", "stop")


def reframer(folder: Path, *args: str) -> tuple[list[str | Path], dict[str, Any]]:
    """The command and its surroundings: nothing of this environment or checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REFRAMER_", "DAGSTER_", "GEMINI_", "PYTHON"))}
    env = {**kept, "REFRAMER_DEVICE": "cpu", "REFRAMER_VID_STRIDE": "20"}  # enough pictures for each stage to have something to do
    return [folder / "environment" / "bin" / "reframer", *args], {"cwd": folder, "env": env}


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command, surroundings = reframer(folder, *args)
    return subprocess.run(command, capture_output=True, text=True, timeout=900, **surroundings)


def test_the_wheel_has_what_runs_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    about, data = f"reframer_pipeline-{VERSION}.dist-info", f"reframer_pipeline-{VERSION}.data"
    assert tops == {"reframer_pipeline", about, data}
    carried = {name.removeprefix(f"{data}/data/share/reframer_pipeline/") for name in names if name.startswith(data)}
    assert carried == {"dagster.yaml", *(f"sql/{name}" for name in SQL)}
    inside = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "reframer_pipeline").rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("reframer_pipeline/")} == {name for name in inside if "__pycache__" not in name}
    assert {f"reframer_pipeline/demo/{name}" for name in ("clip/demo.mp4", "weights/demo_yolov8n.safetensors")} <= names


def test_the_sdist_has_what_the_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "dagster.yaml", *(f"sql/{name}" for name in SQL)} <= names
    assert not {name for name in names if name.startswith(("reframer_pipeline_tests", "benchmarks"))}


def test_the_installed_package_is_the_one_that_runs(installed: Path) -> None:
    said = run(installed, "--version")
    assert said.stdout.split() == ["reframer,", "version", VERSION], said.stderr
    code = (
        "import reframer_pipeline as package; from reframer_pipeline.shipped import shipped; print(package.__file__, *shipped('sql/*.sql'))"
    )
    _, surroundings = reframer(installed)
    python = installed / "environment" / "bin" / "python"
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, **surroundings)
    places = [Path(word) for word in ran.stdout.split()]
    assert len(places) == 1 + len(SQL)
    assert all(place.is_relative_to(installed / "environment") for place in places), places


def test_demo_completes(shown: str, installed: Path) -> None:
    assert "completed" in shown and "Next: `" in shown and ".venv" not in shown
    assert {path.name for path in (installed / ".reframer" / "demo").iterdir()} == {"annotated.mp4", "contact_sheet.jpg"}


def test_dev_answers_and_ends_on_ctrl_c(shown: str, installed: Path) -> None:
    with dev(installed) as (process, url):
        assert assets(url) == {"metadata", "frames", "detections", "masks", "trajectories", "scenes", "mattes", "reframes"}
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(240) is not None
    with pytest.raises(OSError):
        ask(url, "{ version }")


@contextmanager
def dev(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`reframer dev` and its address, once its code is loaded."""
    port = free_port()
    command, surroundings = reframer(folder, "dev", "--port", str(port), "--api-port", str(free_port()))
    with (folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **surroundings)
    try:
        url, until = f"http://127.0.0.1:{port}", time.monotonic() + 400
        while not answers(url):
            assert process.poll() is None and time.monotonic() < until, (folder / "dev.log").read_text()
            time.sleep(0.5)
        yield process, url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url: str) -> bool:
    try:
        return bool(assets(url))
    except OSError:
        return False


def assets(url: str) -> set[str]:
    """The assets of all code that is loaded."""
    nodes = ask(url, "{ assetNodes { assetKey { path } } }")["assetNodes"]
    return {"/".join(node["assetKey"]["path"]) for node in nodes}


def ask(url: str, query: str) -> dict[str, Any]:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        data: dict[str, Any] = json.load(reply)["data"]
    return data
