"""Captions stand below the picture, whole."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.vision.captions import SHARE, CaptionBar

LONG = "A person walks past a bottle. " * 20
HEAD = "00:00:00:000 · frame 0000000 · scene 0000"


@pytest.mark.parametrize("size", [(64, 64), (320, 240), (720, 1280), (1280, 720)])
def test_a_bar_hides_nothing_and_cuts_nothing(size: tuple[int, int]) -> None:
    image, bar = np.full((size[1], size[0], 3), 90, np.uint8), CaptionBar(size, HEAD, [LONG, "A person."])
    shown = [bar.below(image, HEAD, text) for text in (LONG, "A person.", "")]
    assert {one.shape for one in shown} == {(size[1] + bar.height, size[0], 3)} and bar.height % 2 == 0
    inks = [one[size[1] :].max(axis=2) > 200 for one in shown]
    assert inks[0].sum() > 10 * inks[1].sum() > 10 * inks[2].sum() == 0
    for one, ink in zip(shown, inks, strict=True):
        assert (one[: size[1]] == 90).all()
        assert not ink[-1].any() and not ink[:, -1].any()
    # as much ink as the same words have where there is room for all of them in one line
    wide = CaptionBar((20_000, 240), HEAD, [LONG])
    assert [word for line in bar._lines(LONG) for word in line.split()] == LONG.split() == wide._lines(LONG)[0].split()


def test_a_long_text_in_a_large_picture_gets_smaller_letters_first() -> None:
    few, many = (CaptionBar((1280, 720), HEAD, [text]) for text in ("A person.", LONG))
    assert many._letters < few._letters and few.height < many.height <= SHARE * 720 + 1


def test_a_word_without_end_is_broken() -> None:
    bar = CaptionBar((120, 90), HEAD, ["x" * 500])
    assert "".join(bar._lines("x" * 500)) == "x" * 500 and len(bar._lines("x" * 500)) > 10
