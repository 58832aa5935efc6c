"""At what pace pictures become a video: at their own times, within bounds."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.vision.encoder import MOST_FRAMES, VARIABLE_FPS, pace


def test_even_pictures_are_shown_once_each() -> None:
    assert pace(np.arange(5) / 5, 0.2, 0.001) == (5.0, [1] * 5)


@pytest.mark.parametrize("rate", [24, 30, 48, 59.94, 60])
@pytest.mark.parametrize("count", [2, 7, 500])
def test_even_times_in_milliseconds_lose_no_picture(rate: float, count: int) -> None:
    """Of 60 pictures a second two are 16 or 17 ms apart."""
    seconds = np.round(np.arange(count) / rate, 3)
    fps, shown = pace(seconds, float(np.median(np.diff(seconds))), 0.001)
    assert shown == [1] * count and fps == pytest.approx(rate, rel=0.04 if count < 10 else 0.002)


def test_uneven_pictures_are_repeated_until_the_next() -> None:
    assert pace(np.array([0.0, 0.1, 1.1]), 0.1, 0.001) == (VARIABLE_FPS, [3, 30, 3])


@pytest.mark.parametrize("last", [14_000.0, 86_400.0])
def test_a_long_pause_does_not_make_a_video_without_end(last: float) -> None:
    fps, shown = pace(np.array([0.0, 1.0, 2.0, last]), 1.0, 0.001)
    assert fps < 2 and sum(shown) <= max(MOST_FRAMES, last + 2) and shown[-1] >= 1


def test_pictures_closer_than_a_frame_are_a_video_too() -> None:
    assert sum(pace(np.array([0.0, 0.004]), 0.004, 0.001)[1]) >= 1
