"""Real architectures with random weights, scaled down where the architecture allows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.vision.demo_models import build_untrained_sam2
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics


@pytest.fixture(scope="session")
def yolo(frames: list[tuple[int, float, np.ndarray]]) -> Any:
    """YOLOv8n whose random weights find boxes: normalised on a frame, and with a head that speaks up."""
    import torch

    torch.manual_seed(5)
    model = import_ultralytics().YOLO("yolov8n.yaml")
    model.model.names = {**model.names, 0: "person", 1: "cup", 2: "wine glass"}
    norms = [module for module in model.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    for branch in model.model.model[-1].cv3:
        torch.nn.init.normal_(branch[-1].weight, std=0.15)
        torch.nn.init.constant_(branch[-1].bias, -7.0)
    with torch.no_grad():
        model.model.train()
        model.model(torch.from_numpy(np.stack([image for _, _, image in frames])).permute(0, 3, 1, 2)[..., :352, :].float() / 255)
        model.model.eval()
    return model


@pytest.fixture(scope="session")
def sam2() -> Any:
    """The demo SAM2 at 256 px."""
    import torch

    torch.manual_seed(5)
    return build_untrained_sam2("cpu", 256)


@pytest.fixture(scope="session")
def frames() -> list[tuple[int, float, np.ndarray]]:
    """Five drawn frames, 640x360."""
    clip = make_clip(1_000_001, n_frames=50, shots=1)
    return [(n, n / 25, clip.frame(n)[0]) for n in range(0, 50, 10)]
