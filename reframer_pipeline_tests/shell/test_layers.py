"""The house keeps its shape: light definitions, a core without Dagster, and both antlr users in one environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "reframer_pipeline"
CORE = ("media", "vision", "scenes", "storage", "uploads", "demo", "settings", "schemas", "versions", "failures", "results")
HEAVY = ("torch", "cv2", "ultralytics", "sam2", "google.genai", "supervision", "trackers", "scenedetect")


def loaded_by(module: str) -> set[str]:
    """Top modules in a fresh interpreter after importing `module`."""
    code = f"import sys, importlib; importlib.import_module({module!r}); print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_definitions_load_nothing_heavy() -> None:
    assert not set(HEAVY) & loaded_by("reframer_pipeline.definitions")


def test_the_core_imports_no_dagster() -> None:
    names = [
        ".".join(("reframer_pipeline", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for part in CORE
        for path in (sorted((PACKAGE / part).rglob("*.py")) if (PACKAGE / part).is_dir() else [PACKAGE / f"{part}.py"])
    ]
    assert len(names) > 30
    code = f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\nprint('\\n'.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "dagster" not in modules
    assert not set(HEAVY) & set(modules)


@pytest.mark.parametrize("selection", ["detections", "key:detections+", "group:video"])
def test_selections_and_sam2_live_together(selection: str) -> None:
    code = f"""
from reframer_pipeline.vision.sam2_build import build_sam2_model
model = build_sam2_model("configs/sam2/sam2_hiera_t.yaml", ["++model.image_size=256"], "cpu") if {selection!r} == "detections" else None
import dagster as dg
from reframer_pipeline.definitions import defs
print(len(dg.AssetSelection.from_string({selection!r}).resolve(defs.resolve_asset_graph())))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()[-1]
    assert int(found) == {"detections": 1, "key:detections+": 4, "group:video": 6}[selection]
