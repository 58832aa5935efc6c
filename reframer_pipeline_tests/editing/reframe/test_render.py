"""The clip that is rendered is the plan's, frame by frame, and an end in the middle leaves nothing behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.editing.reframe.plan import Reframing, Wishes, reframing
from reframer_pipeline.editing.reframe.render import render
from reframer_pipeline.editing.reframe.window import Ratio
from reframer_pipeline.reading.outputs import appearing
from reframer_pipeline.reading.sheets import published
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline_tests.computed import CLIP_SEED

pytestmark = pytest.mark.models


def plan_of(shared: Storage, done: VideoOutcome, scene: int | None = None) -> Reframing:
    return reframing(published(shared, str(done.video_id)), str(done.video_id), "drawn.mp4", Wishes(Ratio.read("9:16"), scene=scene))


def frames_of(path: Path, size: tuple[int, int]) -> np.ndarray:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).reshape(-1, size[1], size[0], 3)


@pytest.mark.parametrize("scene", [None, 2])
def test_each_frame_is_the_window_of_the_drawn_picture(shared: Storage, done: VideoOutcome, tmp_path: Path, scene: int | None) -> None:
    plan = plan_of(shared, done, scene)
    assert render(shared, plan, tmp_path / "tall.mp4") == "none"
    found, clip = frames_of(tmp_path / "tall.mp4", plan.size), make_clip(CLIP_SEED, n_frames=50, shots=2)
    assert len(found) == (50 if scene is None else 50 - clip.cuts[0])
    pixels = np.concatenate([shot.pixels for shot in plan.shots])
    for number in [*range(0, len(found), 7), len(found) - 1, *([clip.cuts[0] - 1, clip.cuts[0]] if scene is None else [])]:
        x, y = pixels[number]
        drawn = clip.frame(number + plan.shots[0].start_frame)[0][y : y + plan.size[1], x : x + plan.size[0]].astype(int)
        assert np.abs(found[number] - drawn).mean() < 7, number
        beside = np.roll(drawn, 12, axis=1)
        assert np.abs(found[number] - drawn).mean() < np.abs(found[number] - beside).mean()


def test_shots_that_are_all_shown_whole(shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    wishes = Wishes(Ratio.read("1:3"), letterbox=True)
    plan = reframing(published(shared, str(done.video_id)), str(done.video_id), "drawn.mp4", wishes)
    assert all(shot.whole for shot in plan.shots)
    render(shared, plan, tmp_path / "thin.mp4")
    found = frames_of(tmp_path / "thin.mp4", plan.size)
    assert found.shape == (50, 360, 120, 3) and found[:, :140].max() < 12 and found[:, 170:190].mean() > 40


def test_what_ends_in_the_middle_leaves_nothing(shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = sorted(shared.settings.scratch_dir.glob("private-*"))
    with pytest.raises(KeyboardInterrupt), appearing(tmp_path / "tall.mp4") as part:
        render(shared, plan_of(shared, done), part, stop)
    assert list(tmp_path.iterdir()) == [] and sorted(shared.settings.scratch_dir.glob("private-*")) == before
