"""Training frames of the world, drawn once to a folder that both trainers read.

Here: which seeds may be trained on, and the folder's layout: `images/*.jpg` (RGB), `owners/*.png` (each pixel's object as its place
in the truth list, from 1; 0 is scenery), `labels/*.txt` (YOLO format), `truth/*.json`. Not here: the world, the training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reframer_pipeline.demo.looks import LABELS
from reframer_pipeline.demo.world import TRAINING_SEEDS, make_clip

MIN_VISIBLE = 0.2  # objects that are hidden more than this are not taught; the score ignores them below 0.25
MIN_SIDE = 40  # pixels of the longer side; the score asks for 64
SHOTS_PER_CLIP = 3


def require_training_seed(seed: int) -> int:
    """Refuse a seed that is not for training.

    Args:
        seed: A clip's seed.

    Returns:
        The same seed.

    Raises:
        ValueError: If the seed is outside `TRAINING_SEEDS`, so that no evaluation clip is ever trained on.
    """
    if seed not in TRAINING_SEEDS:
        raise ValueError(f"seed {seed} is not for training: training seeds are {TRAINING_SEEDS}")
    return seed


def draw_training_frames(folder: Path, seeds: Sequence[int]) -> int:
    """Draw one random frame from each shot of each seed's clip; what is there already stays.

    Args:
        folder: The dataset's folder.
        seeds: Training seeds.

    Returns:
        Number of frames that the seeds have in the folder.

    Raises:
        ValueError: If a seed is not for training.
    """
    for seed in seeds:
        require_training_seed(seed)
    for kind in ("images", "owners", "labels", "truth"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        if not (folder / "truth" / f"{seed:06d}_{SHOTS_PER_CLIP - 1}.json").exists():
            _draw_clip(folder, seed)
    return len(seeds) * SHOTS_PER_CLIP


def _draw_clip(folder: Path, seed: int) -> None:
    import cv2

    clip = make_clip(seed, shots=SHOTS_PER_CLIP)
    rng = np.random.default_rng([seed, 7])
    for number, (start, end) in enumerate(zip((0, *clip.cuts), (*clip.cuts, clip.n_frames), strict=True)):
        image, truth = clip.frame(int(rng.integers(start, end)))
        name = f"{seed:06d}_{number}"
        owner = np.zeros(image.shape[:2], np.uint8)
        labels, boxes = [], []
        for thing in truth:
            x0, y0, x1, y1 = thing.xyxy
            if thing.visible_fraction < MIN_VISIBLE or max(x1 - x0, y1 - y0) < MIN_SIDE:
                continue
            boxes.append(thing.xyxy)
            owner[thing.mask] = len(boxes)
            xywh = ((x0 + x1) / 2 / clip.width, (y0 + y1) / 2 / clip.height, (x1 - x0) / clip.width, (y1 - y0) / clip.height)
            labels.append(" ".join(map(str, (LABELS.index(thing.label), *(round(value, 6) for value in xywh)))))
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 96))]
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), image[..., ::-1], quality)
        cv2.imwrite(str(folder / "owners" / f"{name}.png"), owner)
        (folder / "labels" / f"{name}.txt").write_text("\n".join(labels))
        (folder / "truth" / f"{name}.json").write_text(json.dumps({"xyxy": boxes}))
