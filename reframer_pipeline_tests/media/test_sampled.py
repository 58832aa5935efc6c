"""The sampled frames' times: which are given, and the pace that follows from them."""

from __future__ import annotations

import pytest

from reframer_pipeline.media.sampled import median_step, sampled_times, seconds_by_frame
from reframer_pipeline_tests.support import MemoryInput


def test_only_sampled_frames_are_given() -> None:
    rows = [{"frame_number": n, "pts": n, "timestamp": n / 10, "content_score": 0.0, "sampled": n % 3 == 0} for n in range(9)]
    frames = MemoryInput("frames", rows, batch_rows=2)
    assert seconds_by_frame(frames) == {0: 0.0, 3: 0.3, 6: 0.6}
    assert [array.dtype for array in sampled_times(frames)] == [array.dtype for array in sampled_times(MemoryInput("frames", []))]


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        ((0.0, 0.1, 0.2, 0.6), 0.1),
        ((0.0, 0.0, 0.0, 0.5, 0.5, 0.5), 0.5),  # a damaged stream: time stands still for most frames
        ((2.0, 2.0, 2.0), 1 / 30),
        ((0.0,), 1 / 30),
        ((), 1 / 30),
    ],
)
def test_the_step_is_positive_whatever_the_stream(seconds: tuple[float, ...], step: float) -> None:
    assert median_step(seconds) == pytest.approx(step)
