"""Whether the camera stands still: drawn shots, of which that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reframer_pipeline.demo.shots import Shot, make_shot
from reframer_pipeline.scenes.camera import stands_still
from reframer_pipeline_tests.scenes.drawn import Drawn, draw

AT_REST: dict[str, Any] = {"pan": (0.0,) * 4, "zoom": (1.1, 1.1), "shake": (0.0, 0.0)}


def shot(seed: int, **camera: Any) -> Shot:
    return replace(make_shot(np.random.default_rng([1_000_000, seed]), 640, 360, 0, 60, 25.0, 1), **{**AT_REST, **camera})


def still(drawn: Drawn) -> bool:
    height, width = drawn.pictures[0].shape[:2]
    return stands_still(drawn.frames, drawn.seen, width, height, drawn.picture)


def test_most_still_cameras_are_known_to_be_so() -> None:
    """Some stand before walls on which nothing can be told."""
    assert sum(still(draw(shot(seed))) for seed in range(10)) >= 8


@pytest.mark.parametrize(
    "camera",
    [{"pan": (0.0, 0.0, 6.0, 0.0)}, {"pan": (0.0, -3.0, 0.0, 3.0)}, {"zoom": (1.1, 1.13)}, {"zoom": (1.2, 1.0)}, {"shake": (2.0, 1.0)}],
    ids=str,
)
def test_a_camera_that_moves_is_never_taken_for_still(camera: dict[str, Any]) -> None:
    """A hundredth of the picture's width is enough."""
    assert not any(still(draw(shot(seed, **camera))) for seed in range(10))


def textured(seed: int = 0) -> np.ndarray:
    import cv2

    noise = np.random.default_rng(seed).integers(0, 255, (45, 80, 3), np.uint8)
    return cv2.resize(noise, (640, 360), interpolation=cv2.INTER_CUBIC)


def pictures(*shown: np.ndarray) -> Drawn:
    drawn = draw(shot(0), 60)
    frames = np.arange(0, 5 * len(shown), 5, dtype=np.int32)
    tables = {name: replace(table, rows=[]) for name, table in drawn.tables.items()}
    return Drawn(frames, dict(zip(frames.tolist(), shown, strict=True)), {}, tables)


def test_a_title_over_a_moving_picture_does_not_deceive() -> None:
    first = textured()
    second = np.roll(first, 30, axis=1)
    for one in (first, second):
        one[270:350, 40:420] = textured(1)[270:350, 40:420]
    assert not still(pictures(first, second))


def test_what_no_detector_knows_may_move_before_it() -> None:
    first = textured()
    second = first.copy()
    second[:, 200:560] = textured(1)[:, 200:560]
    assert still(pictures(first, second))


def test_before_a_blank_wall_it_cannot_be_told() -> None:
    wall = np.full((360, 640, 3), 200, np.uint8)
    assert not still(pictures(wall, wall))


def test_a_single_frame_lines_up_with_itself() -> None:
    assert still(pictures(textured()))
