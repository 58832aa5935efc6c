"""Ratios, and the windows that they make."""

from __future__ import annotations

import pytest

from reframer_pipeline.editing.reframe.window import Ratio, window_of
from reframer_pipeline.failures import RatioImpossible


@pytest.mark.parametrize(
    ("ratio", "picture", "window"),
    [
        ("9:16", (1920, 1080), (608, 1080)),
        ("1:1", (640, 360), (360, 360)),
        ("4:5", (640, 360), (288, 360)),
        ("16:9", (1080, 1920), (1080, 608)),
        ("2.39:1", (1920, 1080), (1920, 804)),
        ("16x9", (1920, 1080), (1920, 1080)),
        ("1:1", (321, 241), (240, 240)),
        ("640:360", (641, 361), (640, 360)),
    ],
)
def test_the_largest_window_of_even_sides(ratio: str, picture: tuple[int, int], window: tuple[int, int]) -> None:
    assert window_of(Ratio.read(ratio), picture) == window


@pytest.mark.parametrize(
    "text", ["", "9", "9:", ":16", "a:b", "-9:16", "0:1", "1:0", "9:16:1", "1e3:1", "99999999:1", "nan:1", "\u0669:\u0661\u0666"]
)
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(RatioImpossible):
        Ratio.read(text)


def test_a_ratio_that_leaves_no_picture_is_refused() -> None:
    with pytest.raises(RatioImpossible, match="4x360"):
        window_of(Ratio.read("1:100"), (640, 360))
