"""The trainers' own parts: batches agree with the truth, and the loss knows right from wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reframer_pipeline.vision.demo_models import build_untrained_sam2
from training import dataset, segmenter

pytestmark = pytest.mark.slow


def test_a_batch_has_one_mask_inside_each_box(tmp_path: Path) -> None:
    dataset.draw_training_frames(tmp_path, [9])
    names = sorted(path.stem for path in (tmp_path / "truth").glob("*.json"))
    batch = segmenter.load_batch(tmp_path, names, 256, np.random.default_rng(1))
    assert batch.images.shape == (3, 3, 256, 256) and batch.masks.shape[1:] == (128, 128)
    for box, mask in zip(batch.boxes / 2, batch.masks, strict=True):
        x0, y0, x1, y1 = (int(value) for value in box)
        pad = 14  # cells, for the jitter
        outside = mask.clone()
        outside[max(0, y0 - pad) : y1 + pad, max(0, x0 - pad) : x1 + pad] = 0
        assert mask.sum() > 0 and outside.sum() == 0


def test_the_loss_is_low_for_the_truth_and_one_step_runs(tmp_path: Path) -> None:
    import torch

    dataset.draw_training_frames(tmp_path, [9])
    batch = segmenter.load_batch(tmp_path, ["000009_0"], 256, np.random.default_rng(1))
    right = torch.where(batch.masks > 0.5, 9.0, -9.0)
    ones = torch.ones(len(batch.masks))
    loss, overlap = segmenter.loss_of(right, ones, batch)
    wrong, nothing = segmenter.loss_of(-right, ones, batch)
    assert overlap == 1 and nothing == 0 and loss < 0.5 < wrong
    model = build_untrained_sam2(image_size=256).train()
    segmenter.prime_attention(model)
    loss, _ = segmenter.loss_of(*segmenter.forward(model, batch), batch)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
