"""Train the demo segmenter: a scaled-down SAM2.1, from nothing, on drawn frames with box prompts.

    python -m training.segmenter --help

Here: batches, loss, training loop and the export to safetensors. Not here: the frames (`dataset`), the architecture (`models`).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reframer_pipeline.vision.demo_models import SEGMENTER_FILE, SEGMENTER_IMAGE_SIZE, build_untrained_sam2, demo_weights_dir
from reframer_pipeline.vision.sam2_build import bb_feat_sizes
from training.dataset import draw_training_frames
from training.weights import save_half

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as SAM2Transforms normalizes
BOX_JITTER = 0.03  # standard deviation of a box side's error, relative to the box
OUTSIDE_WEIGHT = 0.2  # of cross-entropy outside the box; at 0.02 the model learned "any figure" before "the figure in this box"


@dataclass(frozen=True)
class Batch:
    """Several frames and all their objects.

    Attributes:
        images: `(B, 3, S, S)` float32, normalized.
        image_of: `(N,)` int64, the frame of each object.
        boxes: `(N, 4)` float32, jittered xyxy in pixels of the square input.
        masks: `(N, M, M)` float32, the covered fraction of each cell.
    """

    images: Any
    image_of: Any
    boxes: Any
    masks: Any


def load_batch(folder: Path, names: list[str], image_size: int, rng: np.random.Generator) -> Batch:
    """Read frames, flip and tint some of them, and jitter their boxes.

    Args:
        folder: A dataset folder, see `dataset`.
        names: Frames, by the stem of their files.
        image_size: Side `S` of the square input in pixels; masks have `M = S / 2`.
        rng: Source of the augmentation.

    Returns:
        The batch.
    """
    import cv2
    import torch

    cells = image_size // 2
    images, image_of, boxes, masks = [], [], [], []
    for place, name in enumerate(names):
        image = np.asarray(cv2.imread(str(folder / "images" / f"{name}.jpg")))[..., ::-1]
        owner = np.asarray(cv2.imread(str(folder / "owners" / f"{name}.png"), cv2.IMREAD_UNCHANGED))
        xyxy = np.array(json.loads((folder / "truth" / f"{name}.json").read_text())["xyxy"], np.float32).reshape(-1, 4)
        height, width = owner.shape
        to_square = np.tile([image_size / width, image_size / height], 2)
        if rng.random() < 0.5:
            image, owner = image[:, ::-1], owner[:, ::-1]
            xyxy = np.stack([width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]], axis=1)
        square = cv2.resize(image, (image_size, image_size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        square = square * rng.uniform(0.85, 1.15) * rng.uniform(0.93, 1.07, 3).astype(np.float32)
        images.append(((np.clip(square, 0, 1) - MEAN) / STD).transpose(2, 0, 1).astype(np.float32))
        for k, box in enumerate(xyxy, start=1):
            size = np.tile(box[2:] - box[:2], 2)
            jittered = box + rng.normal(0, BOX_JITTER * rng.choice([0.3, 1]), 4) * size
            boxes.append(np.clip(jittered, 0, [width, height] * 2) * to_square)
            masks.append(cv2.resize(np.asarray(owner == k, np.float32), (cells, cells), interpolation=cv2.INTER_AREA))
            image_of.append(place)
    return Batch(
        torch.from_numpy(np.stack(images)),
        torch.tensor(image_of, dtype=torch.int64),
        torch.from_numpy(np.array(boxes, np.float32).reshape(-1, 4)),
        torch.from_numpy(np.array(masks, np.float32).reshape(-1, cells, cells)),
    )


def prime_attention(model: Any) -> None:
    """Start the decoder's attention between tokens and image with equal query and key projections.

    Prompts and pixels carry the same positional encoding, so equal projections attend to what is near the box's corners from the
    first step. With independent ones, the boxes had no effect for the first 300 steps.
    """
    import torch

    transformer = model.sam_mask_decoder.transformer
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    with torch.no_grad():
        for attention in attentions:
            torch.nn.init.orthogonal_(attention.q_proj.weight)
            attention.k_proj.weight.copy_(attention.q_proj.weight)


def forward(model: Any, batch: Batch) -> tuple[Any, Any]:
    """Predict the masks of a batch as `SAM2ImagePredictor` does, with gradients.

    Args:
        model: The segmenter.
        batch: Frames and boxes.

    Returns:
        Mask logits `(N, S / 4, S / 4)` and predicted IoU `(N,)`.
    """
    import torch

    levels = model._prepare_backbone_features(model.forward_image(batch.images))[1]
    levels[-1] = levels[-1] + model.no_mem_embed
    maps = [
        level.permute(1, 2, 0).reshape(len(batch.images), -1, *size)[batch.image_of]
        for level, size in zip(levels, bb_feat_sizes(model.image_size), strict=True)
    ]
    corners = torch.tensor([[2, 3]], dtype=torch.int32).expand(len(batch.boxes), -1)
    sparse, dense = model.sam_prompt_encoder(points=(batch.boxes.reshape(-1, 2, 2), corners), boxes=None, masks=None)
    logits, iou, _, _ = model.sam_mask_decoder(
        image_embeddings=maps[-1],
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
        repeat_image=False,
        high_res_features=maps[:-1],
    )
    return logits[:, 0], iou[:, 0]


def loss_of(logits: Any, iou: Any, batch: Batch) -> tuple[Any, Any]:
    """Dice, cross-entropy near the box, and the error of the predicted IoU.

    Returns:
        The loss, and the batch's mean IoU without gradient.
    """
    import torch
    import torch.nn.functional as F

    masks = batch.masks
    logits = F.interpolate(logits[:, None], masks.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    cells = torch.arange(masks.shape[-1]) + 0.5
    boxes = batch.boxes / 2  # in cells
    pad = 0.05 * (boxes[:, 2:] - boxes[:, :2]) + 2
    low, high = (boxes[:, :2] - pad)[..., None], (boxes[:, 2:] + pad)[..., None]
    within = (cells > low) & (cells < high)  # (N, 2, M): columns, rows
    weight = OUTSIDE_WEIGHT + (within[:, 0, None, :] & within[:, 1, :, None]).float()
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    cross = (weight * entropy).sum((1, 2)) / weight.sum((1, 2))
    shares = logits.sigmoid()
    dice = 1 - (2 * (shares * masks).sum((1, 2)) + 1) / (shares.sum((1, 2)) + masks.sum((1, 2)) + 1)
    with torch.no_grad():
        guess, truth = logits > 0, masks > 0.5
        overlap = (guess & truth).sum((1, 2)) / (guess | truth).sum((1, 2)).clamp(min=1)
    return (2 * cross + dice + 0.1 * (iou - overlap) ** 2).mean(), overlap.mean()


def train(folder: Path, run: Path, *, image_size: int, steps: int, batch: int, lr: float, start: Path | None, seed: int = 0) -> Path:
    """Train on the frames in `folder`, on the CPU.

    Args:
        folder: A dataset folder, see `dataset`.
        run: Where checkpoints are written.
        image_size: Side of the square input in pixels; the weights do not depend on it.
        steps: Optimizer steps.
        batch: Frames a step.
        lr: Peak learning rate, after a linear warm-up; it then falls along a cosine.
        start: Weights to start from, safetensors; random if None.
        seed: Of weights, order and augmentation.

    Returns:
        Path of the last checkpoint, safetensors.
    """
    import torch
    from safetensors.torch import load_file

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / f"segmenter_{image_size}.safetensors"
    model = build_untrained_sam2("cpu", image_size).train()
    if start is None:
        prime_attention(model)
    else:
        model.load_state_dict(load_file(start))
    names = sorted(path.stem for path in (folder / "truth").glob("*.json"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    warmup = min(200, steps // 10)
    began, overlaps = time.monotonic(), []
    for step in range(steps):
        share = min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = lr * share
        chosen = [names[i] for i in rng.integers(len(names), size=batch)]
        frames = load_batch(folder, chosen, image_size, rng)
        loss, overlap = loss_of(*forward(model, frames), frames)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        overlaps.append(float(overlap))
        if (step + 1) % 25 == 0 or step + 1 == steps:
            seconds = time.monotonic() - began
            print(f"step {step + 1}/{steps} {seconds:.0f} s loss {float(loss.detach()):.3f} iou {np.mean(overlaps[-25:]):.3f}", flush=True)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            save_half(model, checkpoint, {"image_size": str(image_size)})
    return checkpoint


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train the demo segmenter from nothing.")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/reframer-demo-frames"), help="drawn frames go here")
    parser.add_argument("--run", type=Path, default=Path("/tmp/reframer-demo-segmenter"), help="checkpoints go here")
    parser.add_argument("--clips", type=int, default=2000, help="training clips, three frames each")
    parser.add_argument("--image-size", type=int, default=SEGMENTER_IMAGE_SIZE)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=8, help="frames a step; each has about four objects")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--start", type=Path, help="weights to start from, e.g. of a run at a smaller image size")
    options = parser.parse_args()
    draw_training_frames(options.folder, range(1, options.clips + 1))
    checkpoint = train(
        options.folder, options.run, image_size=options.image_size, steps=options.steps, batch=options.batch,
        lr=options.lr, start=options.start,
    )  # fmt: skip
    (demo_weights_dir() / SEGMENTER_FILE).write_bytes(checkpoint.read_bytes())


if __name__ == "__main__":
    main()
