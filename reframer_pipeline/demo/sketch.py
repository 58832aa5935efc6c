"""A transparent patch to draw one figure on, with smooth edges and a little shading.

Here: `Sketch`. Not here: what is drawn (`looks`), and how patches become a frame (`render`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Colour = tuple[int, int, int]  # RGB
Point = tuple[float, float]

SUPERSAMPLE = 2  # figures are drawn this many times larger and averaged down, which gives smooth edges
_FRACTION_BITS = 4


class Sketch:
    """A transparent RGB patch placed in the frame, large enough for the whole figure even where it leaves the frame.

    Args:
        anchor_xy: Where the figure's (0, 0) falls, in frame pixels.
        size: Pixels per figure unit.
        extent_xyxy: The figure's bounds in figure units.
    """

    def __init__(self, anchor_xy: Point, size: float, extent_xyxy: tuple[float, float, float, float]) -> None:
        low = np.floor(np.array(anchor_xy) + size * np.array(extent_xyxy[:2])).astype(int) - 1
        high = np.ceil(np.array(anchor_xy) + size * np.array(extent_xyxy[2:])).astype(int) + 1
        self.x, self.y = int(low[0]), int(low[1])
        self.width, self.height = int(high[0] - low[0]), int(high[1] - low[1])
        self.scale = size * SUPERSAMPLE
        self._offset = (np.array(anchor_xy) - low) * SUPERSAMPLE
        shape = (self.height * SUPERSAMPLE, self.width * SUPERSAMPLE)
        self._rgb = np.zeros((*shape, 3), np.uint8)
        self._alpha = np.zeros(shape, np.uint8)

    def _pixels(self, points: Sequence[Point]) -> np.ndarray:
        scaled = np.asarray(points, np.float64) * self.scale + self._offset - 0.5
        return np.round(scaled * (1 << _FRACTION_BITS)).astype(np.int32)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        import cv2

        pixels = [self._pixels(points)]
        cv2.fillPoly(self._rgb, pixels, colour, cv2.LINE_8, _FRACTION_BITS)
        cv2.fillPoly(self._alpha, pixels, 255, cv2.LINE_8, _FRACTION_BITS)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a polyline with round ends, `width` in figure units."""
        import cv2

        pixels, thickness = [self._pixels(points)], max(1, round(width * self.scale))
        cv2.polylines(self._rgb, pixels, False, colour, thickness, cv2.LINE_8, _FRACTION_BITS)
        cv2.polylines(self._alpha, pixels, False, 255, thickness, cv2.LINE_8, _FRACTION_BITS)

    def ellipse(self, centre: Point, radii: Point, colour: Colour) -> None:
        """Fill an axis-aligned ellipse."""
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        self.polygon([(centre[0] + radii[0] * np.cos(a), centre[1] + radii[1] * np.sin(a)) for a in angles], colour)

    def pattern(self, points: Sequence[Point], colour: Colour, kind: str, period: float) -> None:
        """Lay stripes, bars or dots of `colour` over the inside of a polygon that is already filled."""
        import cv2

        inside = np.zeros_like(self._alpha)
        cv2.fillPoly(inside, [self._pixels(points)], 1, cv2.LINE_8, _FRACTION_BITS)
        step = max(2.0, period * self.scale)
        y, x = np.ogrid[: inside.shape[0], : inside.shape[1]]
        v, u = (y - self._offset[1]) / step, (x - self._offset[0]) / step
        if kind == "stripes":
            ink = np.broadcast_to(v % 1 < 0.45, inside.shape)
        elif kind == "bars":
            ink = np.broadcast_to(u % 1 < 0.4, inside.shape)
        else:
            ink = (u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < 0.06
        self._rgb[(inside > 0) & ink] = colour

    def finish(self, light: float) -> tuple[np.ndarray, np.ndarray]:
        """Shade the figure and average it down.

        Args:
            light: Direction of the light, from -1 (left) to 1 (right).

        Returns:
            Premultiplied RGB, `(height, width, 3)` float32 in 0..255, and alpha, `(height, width)` float32 in 0..1.
        """
        import cv2

        size = (self.width, self.height)
        rgb = cv2.resize(self._rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        alpha = cv2.resize(self._alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        reach = max(3, int(self.scale / SUPERSAMPLE * 0.06)) | 1
        shade = 0.62 + 0.42 * cv2.blur(alpha, (reach, reach), borderType=cv2.BORDER_CONSTANT)
        shade = shade * (1 + 0.16 * light * np.linspace(-1, 1, self.width, dtype=np.float32))
        return np.minimum(rgb * shade[..., None], 255 * alpha[..., None]), alpha
