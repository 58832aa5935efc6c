"""Train the demo detector: a YOLOv8n, from nothing, on drawn frames.

    python -m training.detector --help

Here: the training and the export to safetensors. Not here: the frames (`dataset`), building the trained model (`models`).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from reframer_pipeline.demo.looks import LABELS
from reframer_pipeline.settings import DEMO_IMGSZ
from reframer_pipeline.vision.demo_models import DETECTOR_FILE, demo_weights_dir
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics
from training.dataset import draw_training_frames
from training.weights import save_half

ARCHITECTURE = "yolov8n"


def export(checkpoint: Path, target: Path) -> None:
    """Turn an ultralytics checkpoint of ours into half-precision safetensors.

    Args:
        checkpoint: `last.pt` or `best.pt` of a run of this trainer (a pickle: never one from elsewhere).
        target: The safetensors file to write; its metadata holds names, architecture and image size.
    """
    import torch

    saved = torch.load(checkpoint, map_location="cpu", weights_only=False)
    metadata = {"names": json.dumps(LABELS), "architecture": ARCHITECTURE, "imgsz": str(DEMO_IMGSZ)}
    save_half(saved.get("ema") or saved["model"], target, metadata)


def train(
    folder: Path, run: Path, *, images: int, epochs: int, batch: int, lr: float, device: str, start: Path | None, seed: int = 0
) -> Path:
    """Train on the frames in `folder`.

    Args:
        folder: A dataset folder, see `dataset`.
        run: Where ultralytics writes its checkpoints.
        images: Number of frames to use, chosen at random.
        epochs: Passes over them; the learning rate falls along a cosine, once per pass.
        batch: Images a step.
        lr: Peak learning rate.
        device: A torch device.
        start: A checkpoint of this trainer to start from; random weights if None.
        seed: Of the weights, the choice of frames and the augmentation.

    Returns:
        Path of the last checkpoint.
    """
    import torch

    ultralytics = import_ultralytics()

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    data = folder / "data.yaml"
    paths = sorted(str(path) for path in (folder / "images").glob("*.jpg"))
    chosen = np.random.default_rng(seed).permutation(paths)[:images]
    (folder / "train.txt").write_text("\n".join(chosen))
    (folder / "val.txt").write_text("\n".join(chosen[:16]))  # ultralytics insists on one; it is not used
    names = dict(enumerate(LABELS))
    data.write_text(json.dumps({"path": str(folder), "train": "train.txt", "val": "val.txt", "names": names}))
    arguments: dict[str, Any] = {
        "imgsz": DEMO_IMGSZ, "epochs": epochs, "batch": batch, "seed": seed, "device": device, "workers": 0, "cache": "ram",
        "optimizer": "AdamW", "lr0": lr, "lrf": 0.02, "cos_lr": True, "warmup_epochs": 0.5, "weight_decay": 0.01,
        # the frames as they are, 16:9: a square input with mosaics spent 1.7 times the time on each image
        "rect": True, "scale": 0.2, "translate": 0.06, "hsv_h": 0.03, "nbs": batch,
        "amp": False, "val": False, "plots": False, "deterministic": True, "project": str(run.parent), "name": run.name,
        "exist_ok": True,
    }  # fmt: skip
    ultralytics.YOLO(start or f"{ARCHITECTURE}.yaml", task="detect").train(data=str(data), **arguments)
    return run / "weights" / "last.pt"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train the demo detector from nothing.")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/reframer-demo-frames"), help="drawn frames go here")
    parser.add_argument("--run", type=Path, default=Path("/tmp/reframer-demo-detector"), help="checkpoints go here")
    parser.add_argument("--clips", type=int, default=2000, help="training clips, three frames each")
    parser.add_argument("--images", type=int, default=6000, help="frames to use of these, chosen at random")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--start", type=Path, help="a checkpoint of this trainer to start from")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--export-only", action="store_true", help="export the run's last checkpoint")
    options = parser.parse_args()
    checkpoint = options.run / "weights" / "last.pt"
    if not options.export_only:
        draw_training_frames(options.folder, range(1, options.clips + 1))
        checkpoint = train(
            options.folder, options.run, images=options.images, epochs=options.epochs, batch=options.batch, lr=options.lr,
            device=options.device, start=options.start,
        )  # fmt: skip
    export(checkpoint, demo_weights_dir() / DETECTOR_FILE)


if __name__ == "__main__":
    main()
