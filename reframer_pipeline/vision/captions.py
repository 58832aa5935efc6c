"""Captions: a bar below the picture, which covers nothing of it.

What belongs here: the bar's size and drawing words into it. What does not: the words.

The bar is as high as the longest text needs, so that all pictures of a video are of one shape and no text is cut. If that is more than
`SHARE` of the picture, the letters get smaller first, down to `SMALLEST`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from reframer_pipeline.vision.boxes import Rgb
from reframer_pipeline.vision.drawing import font_of, unit_of

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

SHARE: Final = 0.15
SMALLEST: Final = 10  # pixels
_GROUND, _HEAD, _TEXT = (16, 16, 16), (170, 170, 170), (255, 255, 255)


class CaptionBar:
    """The bar of one video.

    Args:
        size: Width and height of its pictures.
        head: As long as a head line ever is.
        texts: All that are shown below a head line.
    """

    def __init__(self, size: tuple[int, int], head: str, texts: Collection[str]) -> None:
        self._size, unit = size, unit_of(size)
        self._edge = 2 * unit
        letters = max(12, 7 * unit)
        while True:
            self._letters, self._step = letters, letters + 2 + unit
            heads = len(self._lines(head))
            lines = heads + max((len(self._lines(text)) for text in texts), default=0)
            height = lines * self._step + 2 * self._edge
            if height <= SHARE * size[1] or letters <= SMALLEST:
                break
            letters -= 1
        self.height = height + height % 2

    def below(self, image: Rgb, head: str, text: str) -> Rgb:
        """The picture, of the bar's size, with the bar below it."""
        bar = self._drawn(tuple(self._lines(head)), tuple(self._lines(text)))
        return np.concatenate([image, bar])

    def _drawn(self, head: tuple[str, ...], text: tuple[str, ...]) -> Rgb:
        from PIL import Image, ImageDraw

        bar = Image.new("RGB", (self._size[0], self.height), _GROUND)
        pen, font = ImageDraw.Draw(bar), font_of(self._letters)
        for row, line in enumerate(head + text):
            pen.text((self._edge, self._edge + row * self._step), line, font=font, fill=_HEAD if row < len(head) else _TEXT)
        return np.asarray(bar)

    def _lines(self, text: str) -> list[str]:
        """The text in lines as long as the bar; a word that is longer is broken."""
        font, room = font_of(self._letters), self._size[0] - 2 * self._edge
        lines: list[str] = []
        for word in text.split():
            if lines and _width(font, f"{lines[-1]} {word}") <= room:
                lines[-1] += f" {word}"
                continue
            lines.append("")
            for letter in word:
                if lines[-1] and _width(font, lines[-1] + letter) > room:
                    lines.append("")
                lines[-1] += letter
        return lines


@lru_cache(maxsize=16_384)
def _width(font: FreeTypeFont | ImageFont, text: str) -> float:
    return float(font.getlength(text))
