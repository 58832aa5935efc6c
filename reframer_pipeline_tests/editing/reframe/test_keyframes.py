"""Keyframes are few, and say the path to within the tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.editing.reframe.keyframes import TOLERANCE, between, keyframes


def test_a_still_path_is_one_and_an_even_one_two() -> None:
    seconds = np.arange(100) / 25
    assert keyframes(seconds, np.full((100, 2), 7.5)).tolist() == [0]
    assert keyframes(seconds, np.stack([10 * seconds, -3 * seconds], axis=1)).tolist() == [0, 99]
    assert keyframes(np.zeros(1), np.zeros((1, 2))).tolist() == [0]


@pytest.mark.parametrize("uneven", [False, True])
def test_a_curved_path_is_kept_to_the_tolerance_with_few(uneven: bool) -> None:
    steps = np.random.default_rng(1).choice([0.01, 0.1], 400) if uneven else np.full(400, 0.04)
    seconds = np.cumsum(steps)
    xy = np.stack([100 * np.sin(seconds), 40 * np.cos(seconds / 2)], axis=1)
    keys = keyframes(seconds, xy)
    assert np.abs(between(seconds[keys], xy[keys], seconds) - xy).max() <= TOLERANCE
    assert 10 < len(keys) < 200 and keys[0] == 0 and keys[-1] == 399 and (np.diff(keys) > 0).all()
