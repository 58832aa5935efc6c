"""Pictures that are sent in place of a video."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.scenes.gemini.keyframes import SIZES, small_jpeg


@pytest.mark.parametrize(("budget", "side"), [(10_000_000, 1024), (400_000, 1024), (200_000, 768), (1, 512)])
def test_pictures_are_made_smaller_until_they_fit(budget: int, side: int) -> None:
    import cv2

    noise = np.random.default_rng(1).integers(0, 256, (1200, 1600, 3), np.uint8)  # the worst that a picture can be
    jpeg = small_jpeg(noise, budget)
    assert len(jpeg) <= budget or side == SIZES[-1][0]
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and max(picture.shape) == side


def test_a_small_picture_keeps_its_size() -> None:
    import cv2

    jpeg = small_jpeg(np.zeros((90, 160, 3), np.uint8), 10_000)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (90, 160, 3)
