"""The house keeps its shape: light definitions, a core without Dagster, and both antlr users in one environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reframer_pipeline_tests.support import REPOSITORY

pytestmark = pytest.mark.slow

PACKAGE = REPOSITORY / "reframer_pipeline"
SHELL = {"cli", "running", "definitions", "orchestration", "__main__"}
OF_THE_API = ("fastapi", "starlette", "uvicorn", "structlog", "limits", "prometheus_client")
HEAVY = ("torch", "cv2", "ultralytics", "sam2", "google.genai", "supervision", "trackers", "scenedetect")


def loaded_by(module: str) -> set[str]:
    """Top modules in a fresh interpreter after importing `module`."""
    code = f"import sys, importlib; importlib.import_module({module!r}); print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_definitions_load_nothing_heavy() -> None:
    assert not {*HEAVY, *OF_THE_API} & loaded_by("reframer_pipeline.definitions")


@pytest.mark.parametrize("command", ["db", "dev", "keys", "plan", "run", "serve", "show", "users"])
def test_a_command_loads_dagster_when_it_needs_it(command: str) -> None:
    assert not {"dagster", *HEAVY, *OF_THE_API} & loaded_by(f"reframer_pipeline.cli.{command}")


def test_the_api_is_made_when_it_is_asked_for() -> None:
    assert not {"dagster", *HEAVY, *OF_THE_API} & loaded_by("reframer_pipeline.api")
    code = "import sys, reframer_pipeline.api; print(type(reframer_pipeline.api.app).__name__, *sys.modules)"
    name, *modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert name == "FastAPI" and not {"dagster", *HEAVY} & set(modules)


def test_the_core_imports_no_dagster() -> None:
    paths = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
    core = [path for path in paths if path.parts[0].removesuffix(".py") not in SHELL]
    names = [".".join(("reframer_pipeline", *path.with_suffix("").parts)).removesuffix(".__init__") for path in core]
    assert len(names) > 30
    code = f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\nprint('\\n'.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "dagster" not in modules
    assert not set(HEAVY) & set(modules)


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("planning/wrong.py", "import dagster", "only the shell knows Dagster"),
        ("store/wrong.py", "from reframer_pipeline.planning import survey", "nothing imports upwards"),
        ("reading/wrong.py", "def late() -> None:\n    from reframer_pipeline.orchestration import tags", "nothing imports upwards"),
        ("attic/__init__.py", "", "nothing imports upwards"),  # a room that has no floor yet
    ],
)
def test_a_wrong_import_breaks_the_lint(module: str, line: str, broken: str, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "weights", "clip"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    wrong = tmp_path / PACKAGE.name / module
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_text(line)
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode != 0 and broken in found.stdout


def test_dagsters_private_names_have_one_room() -> None:
    ruff = [Path(sys.executable).with_name("ruff"), "check", "--output-format=concise", "-", "--stdin-filename"]
    line = "from dagster._core.storage.tags import GRPC_INFO_TAG as GRPC_INFO_TAG\n"
    for room, allowed in (("running", False), ("orchestration/upkeep", False), ("orchestration/dagster_internals", True)):
        found = subprocess.run([*ruff, PACKAGE / room / "some.py"], cwd=REPOSITORY, input=line, capture_output=True, text=True)
        assert (found.returncode == 0) is allowed, found.stdout
        assert allowed or "TID251" in found.stdout


@pytest.mark.models
def test_selections_and_sam2_live_together() -> None:
    code = """
import dagster as dg
from reframer_pipeline.definitions import defs
from reframer_pipeline.vision.sam2_build import build_sam2_model
def chosen():
    selections = map(dg.AssetSelection.from_string, ("detections", "key:detections+", "group:video"))
    return [len(selection.resolve(defs.resolve_asset_graph())) for selection in selections]
before = chosen()
build_sam2_model("configs/sam2/sam2_hiera_t.yaml", ["++model.image_size=256"], "cpu")
print(*before, *chosen())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found[-6:] == ["1", "4", "8"] * 2
