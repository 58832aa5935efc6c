"""The way of the official weights: files in a folder, trust before a pickle is loaded, a warning before slow work.

The files are the real architectures with random weights, which find nothing: what is tested is the way, not quality.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.device import resolve_device
from reframer_pipeline.vision.sam2_build import build_sam2_model
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics
from reframer_pipeline_tests.command import called, started

pytestmark = pytest.mark.models

MODELS = {"REFRAMER_YOLO_MODEL": "yolov8n.pt", "REFRAMER_SAM2_MODEL": "sam2_hiera_tiny"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    made = tmp_path_factory.mktemp("weights")
    for kind in ("yolov8n", "yolov8n-obb"):
        yolo = import_ultralytics().YOLO(f"{kind}.yaml")
        yolo.model.names = {**yolo.names, 0: "person"}
        yolo.save(made / f"{kind}.pt")
    model = build_sam2_model("configs/sam2/sam2_hiera_t.yaml", [], "cpu")
    torch.save({"model": model.state_dict()}, made / "sam2_hiera_tiny.pt")
    return made


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data folder of its own: what these weights find must not be published over the demo models' results."""
    yield tmp_path
    embedded.stop(Settings(home=tmp_path))


def test_a_pickle_is_loaded_only_when_trusted_and_slow_work_is_announced(folder: Path, home: Path, clip: Path) -> None:
    variables = {**MODELS, "REFRAMER_WEIGHTS_DIR": str(folder)}
    refused = called(home, "run", str(clip), "--json", **variables)
    line = json.loads(refused.stdout)
    assert (refused.returncode, line["failure_code"]) == (1, "weights_untrusted")
    assert "--trust" in line["failure_message"]

    trusted = started(home, "run", str(clip), "--json", "--vid-stride", "1", "--trust", **variables)
    line = json.loads(trusted.stdout)
    assert trusted.returncode == 0, trusted.stderr
    assert (line["status"], line["frames"], line["sampled_frames"]) == ("completed", 50, 50)
    if resolve_device("auto") == "cpu":
        assert "No GPU: about" in trusted.stderr
        assert "--sam2-model sam2_hiera_tiny" in " ".join(trusted.stderr.split())

    again = called(home, "run", str(clip), "--json", "--vid-stride", "1", **variables)  # the trust was recorded
    assert json.loads(again.stdout)["seconds"] == {}

    # somebody tries a file that finds no boxes: their error, and the video stays what it was
    refused = called(home, "run", str(clip), "--json", "--trust", **{**variables, "REFRAMER_YOLO_MODEL": str(folder / "yolov8n-obb.pt")})
    line = json.loads(refused.stdout)
    assert (refused.returncode, line["failure_code"]) == (1, "weights_unsuitable")
    assert json.loads(called(home, "list", "--json").stdout)["status"] == "completed"
