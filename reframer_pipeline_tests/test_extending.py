"""docs/extending.md does what it says: its code is put into a copy of the package and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.support import REPOSITORY

pytestmark = pytest.mark.models

PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
BLOCK = re.compile(r"`((?:reframer_pipeline|sql)/[\w/]+\.\w+)`[^`]*?\n+((?:```(?:python|sql|diff)\n.*?```\s*)+)", re.DOTALL)
CODE = re.compile(r"```(python|sql|diff)\n(.*?)```", re.DOTALL)
STAGE = """
from pathlib import Path
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.reading import sheets
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.demo.world import make_clip, write_clip

write_clip(make_clip(2_000_301, width=320, height=180, n_frames=12, shots=1), Path("clip.mp4"))
settings = Settings()
storage = storage_of(settings)
video_id = ingest_file(Path("clip.mp4"), storage.db, storage.store, settings).video_id
(outcome,) = run_videos(settings, [video_id])
assert outcome.status == "completed", outcome.failure_message
rows = storage.db.fetch("SELECT * FROM current_colours")
assert len(rows) == outcome.detections > 0 and all(0 < row["red"] < 255 for row in rows), rows
print(sheets.table(sheets.published(storage, video_id)["colours"]).splitlines()[0])
"""
DETECTOR = """
from pathlib import Path
import numpy as np
from safetensors.torch import save_file
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision import models, weights

save_file(ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).state_dict(), "ssdlite.safetensors")
settings = Settings(models="official", yolo_model=str(Path("ssdlite.safetensors").resolve()), conf=0.001)
boxes = models.detector(settings).detect([np.zeros((180, 320, 3), np.uint8)])[0]
print(type(models.detector(settings)).__name__, boxes.xyxy.shape[1], weights.digest(settings, "detector")[:7])
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with all that the page adds."""
    copy = tmp_path_factory.mktemp("extended")
    for name in ("reframer_pipeline", "sql"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "dagster.yaml"):
        shutil.copy(REPOSITORY / name, copy)
    for file, blocks in BLOCK.findall(PAGE):
        for kind, code in CODE.findall(blocks):
            target = copy / file
            if kind == "diff":
                target.write_text(_patched(target.read_text(), code))
            else:
                assert not target.exists(), file
                target.write_text(code)
    return copy


def _patched(text: str, diff: str) -> str:
    lines = [(line[:1], line[1:]) for line in diff.splitlines()]
    before = "".join(f"{line}\n" for sign, line in lines if sign != "+")
    after = "".join(f"{line}\n" for sign, line in lines if sign != "-")
    assert text.count(before) == 1, before
    return text.replace(before, after)


def _run(copy: Path, *command: str) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "REFRAMER_HOME": str(copy / "home"),
        "REFRAMER_MODELS": "demo",
        "REFRAMER_DEVICE": "cpu",
    }
    done = subprocess.run([sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_is_taken_from_the_page() -> None:
    assert [file for file, _ in BLOCK.findall(PAGE)] == [
        "reframer_pipeline/vision/colours.py", "reframer_pipeline/stages/colours.py", "reframer_pipeline/stages/__init__.py",
        "sql/0100_colours.sql", "reframer_pipeline/vision/ssd.py", "reframer_pipeline/vision/models.py",
        "reframer_pipeline/exports/yolo.py", "reframer_pipeline/exports/formats.py",
    ]  # fmt: skip


def test_the_stage_and_the_exporter(extended: Path) -> None:
    try:
        assert _run(extended, "-c", STAGE).splitlines()[-1] == "| detection_id | red | green | blue |"
        plan = _run(extended, "-m", "reframer_pipeline", "plan")
        assert "1 videos are fresh" in plan or "1 video is fresh" in plan
        (video,) = re.findall(r'"video_id": ?"([0-9a-f-]{36})"', _run(extended, "-m", "reframer_pipeline", "list", "--json"))
        _run(extended, "-m", "reframer_pipeline", "export", video, "--format", "yolo", "-o", str(extended / "yolo"))
        lines = [line for path in (extended / "yolo" / "labels" / "clip").iterdir() for line in path.read_text().splitlines()]
        assert lines and all(re.fullmatch(r"[01]( [01]\.\d{6}){4}", line) for line in lines)
    finally:
        embedded.stop(Settings(home=extended / "home"))


def test_the_detector(extended: Path) -> None:
    assert _run(extended, "-c", DETECTOR).split() == ["SsdDetector", "4", "sha256:"]


def test_the_additions_keep_the_floors_and_the_types(extended: Path) -> None:
    tools = Path(sys.executable).parent
    for command in (
        [tools / "lint-imports", "--no-cache"],
        [tools / "ruff", "check", "reframer_pipeline"],
        [tools / "mypy", "-p", "reframer_pipeline.stages"],
    ):
        done = subprocess.run(command, cwd=extended, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
