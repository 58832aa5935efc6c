"""The drawn world: deterministic, and its truth agrees with itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from reframer_pipeline.demo import looks, world
from training import dataset


def test_the_same_seed_draws_the_same_frames_in_any_order() -> None:
    first, second = world.make_clip(5, n_frames=80), world.make_clip(5, n_frames=80)
    late, truth = first.frame(70)
    for (image, _), _ in zip(second.frames(), range(3), strict=False):
        assert image.shape == (360, 640, 3) and image.dtype == np.uint8
    again, truth_again = second.frame(70)
    np.testing.assert_array_equal(late, again)
    assert [t.xyxy for t in truth] == [t.xyxy for t in truth_again]
    assert not np.array_equal(late, world.make_clip(6, n_frames=80).frame(70)[0])


@pytest.mark.parametrize("seed", [3, 11, world.FIRST_EVALUATION_SEED + 4])
def test_box_mask_and_visible_fraction_agree(seed: int) -> None:
    clip = world.make_clip(seed)
    for index in (0, clip.n_frames // 2, clip.n_frames - 1):
        image, truth = clip.frame(index)
        covered = np.zeros(image.shape[:2], int)
        for thing in truth:
            x0, y0, x1, y1 = (int(value) for value in thing.xyxy)
            assert 0 <= x0 < x1 <= clip.width and 0 <= y0 < y1 <= clip.height
            assert thing.mask[y0:y1, x0:x1].sum() == thing.mask.sum() > 0
            assert thing.mask[y0].any() and thing.mask[y1 - 1].any() and thing.mask[:, x0].any() and thing.mask[:, x1 - 1].any()
            assert 0 < thing.visible_fraction <= 1
            assert thing.label in looks.LABELS and (thing.object_class == "person") == (thing.label == "person")
            covered += thing.mask
        assert covered.max() <= 1, "a pixel belongs to one object"
        assert len({thing.object_id for thing in truth}) == len(truth)


def test_every_shot_has_people_and_products_with_ids_of_their_own() -> None:
    clip = world.make_clip(21, shots=3)
    seen: set[int] = set()
    for shot in clip._shots:
        labels = [figure.label for figure in shot.objects]
        assert 1 <= labels.count("person") <= 3 and 1 <= len(labels) - labels.count("person") <= 4
        ids = {figure.object_id for figure in shot.objects}
        assert len(ids) == len(labels) and not ids & seen
        seen |= ids


def test_cuts_leave_each_shot_room() -> None:
    for seed in range(1, 40):
        clip = world.make_clip(seed)
        edges = (0, *clip.cuts, clip.n_frames)
        assert all(b - a >= world.MIN_SHOT_FRAMES for a, b in zip(edges, edges[1:], strict=False))
    assert len(world.make_clip(1, shots=3).cuts) == 2
    assert world.make_clip(1, n_frames=10).cuts == ()


def test_a_clip_is_written_with_every_frame(tmp_path: Path) -> None:
    clip = world.make_clip(2, n_frames=12, width=320, height=180)
    world.write_clip(clip, tmp_path / "clip.mp4")
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames,pix_fmt,r_frame_rate"]
    facts = subprocess.run([*command, "-of", "csv=p=0", tmp_path / "clip.mp4"], capture_output=True, text=True, check=True)
    assert facts.stdout.strip() == "yuv420p,25/1,12"


def test_the_bundled_clip_is_the_one_its_truth_describes() -> None:
    facts = json.loads(world.bundled_clip_path().with_suffix(".json").read_text())
    clip = world.make_clip(facts["seed"], n_frames=facts["n_frames"], shots=len(facts["cuts"]) + 1)
    assert clip.cuts == tuple(facts["cuts"]), "the world has changed since demo.mp4 was written"
    assert clip.seed >= world.FIRST_EVALUATION_SEED and len(clip.cuts) == 2
    command = ["ffmpeg", "-v", "error", "-i", str(world.bundled_clip_path()), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    shown = np.frombuffer(raw, np.uint8).reshape(clip.height, clip.width, 3)
    drawn, _ = clip.frame(0)
    assert np.abs(shown.astype(int) - drawn).mean() < 6
    assert world.bundled_clip_path().stat().st_size < 900_000


def test_evaluation_seeds_cannot_be_trained_on(tmp_path: Path) -> None:
    assert dataset.require_training_seed(1) == 1
    for seed in (0, 100_000, world.FIRST_EVALUATION_SEED):
        with pytest.raises(ValueError, match="not for training"):
            dataset.draw_training_frames(tmp_path, [1, seed])
    assert not list(tmp_path.iterdir())


def test_training_frames_hold_labels_and_owners(tmp_path: Path) -> None:
    import cv2

    assert dataset.draw_training_frames(tmp_path, [7]) == 3
    for path in (tmp_path / "truth").glob("*.json"):
        boxes = json.loads(path.read_text())["xyxy"]
        owner = cv2.imread(str(tmp_path / "owners" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(owner)) == set(range(len(boxes) + 1))
        lines = (tmp_path / "labels" / f"{path.stem}.txt").read_text().splitlines()
        assert len(lines) == len(boxes)
        for line, (x0, _, x1, _) in zip(lines, boxes, strict=True):
            label, x, _, width, _ = map(float, line.split())
            assert label in range(len(looks.LABELS))
            assert (x - width / 2) * 640 == pytest.approx(x0, abs=0.01) and (x + width / 2) * 640 == pytest.approx(x1, abs=0.01)
