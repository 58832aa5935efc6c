"""What stands behind the figures: textured backdrops painted once per shot, larger than the frame so that the camera can move.

Here: `paint`, one function per kind of place. Not here: figures (`looks`), camera and light (`world`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Shade = np.ndarray  # (3,) float32 RGB, 0..255


def paint(rng: np.random.Generator, width: int, height: int, horizon: int) -> np.ndarray:
    """Paint a random place.

    Args:
        rng: Source of every choice.
        width: Canvas width in pixels.
        height: Canvas height in pixels.
        horizon: Row where the wall meets the floor.

    Returns:
        `(height, width, 3)` uint8 RGB.
    """
    canvas = np.empty((height, width, 3), np.float32)
    kind = _PLACES[rng.integers(len(_PLACES))]
    kind(rng, canvas[:horizon])
    _floor(rng, canvas[horizon:])
    canvas += _cloud(rng, width, height, 64, 10)[..., None] + _cloud(rng, width, height, 6, 4)[..., None]
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _cloud(rng: np.random.Generator, width: int, height: int, cell: int, strength: float) -> np.ndarray:
    import cv2

    coarse = rng.normal(0, strength, (height // cell + 2, width // cell + 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def _muted(rng: np.random.Generator, low: float = 90, high: float = 215) -> Shade:
    grey = rng.uniform(low, high)
    return np.clip(grey + rng.uniform(-17, 17, 3), 0, 255).astype(np.float32)


def _gradient(area: np.ndarray, top: Shade, bottom: Shade) -> None:
    t = np.linspace(0, 1, area.shape[0], dtype=np.float32)[:, None, None]
    area[:] = top * (1 - t) + bottom * t


def _rectangle(area: np.ndarray, x0: float, y0: float, x1: float, y1: float, colour: Shade) -> None:
    area[max(0, int(y0)) : max(0, int(y1)), max(0, int(x0)) : max(0, int(x1))] = colour


def _floor(rng: np.random.Generator, area: np.ndarray) -> None:
    base = _muted(rng, 70, 170)
    _gradient(area, base * 0.82, base * 1.08)
    rows, width = area.shape[:2]
    if rng.random() < 0.6:  # boards or tiles running towards the viewer
        y, x = np.mgrid[:rows, :width].astype(np.float32)
        spread = 0.35 + 0.65 * y / max(1, rows)
        seam = ((x - width / 2) / (spread * rng.uniform(50, 110))) % 1 < 0.04
        area[seam] *= 0.86


def _plaster(rng: np.random.Generator, area: np.ndarray) -> None:
    colour = _muted(rng)
    _gradient(area, colour * 1.06, colour * 0.9)
    if rng.random() < 0.5:
        _rectangle(area, 0, area.shape[0] * 0.72, area.shape[1], area.shape[0] * 0.74, colour * 0.75)


def _wallpaper(rng: np.random.Generator, area: np.ndarray) -> None:
    colour, period = _muted(rng), int(rng.integers(28, 80))
    _gradient(area, colour, colour * 0.92)
    stripes = np.arange(area.shape[1]) % period < period * rng.uniform(0.3, 0.6)
    area[:, stripes] *= rng.uniform(0.82, 0.93)


def _windows(rng: np.random.Generator, area: np.ndarray) -> None:
    _plaster(rng, area)
    rows, width = area.shape[:2]
    frame, sky = _muted(rng, 60, 120), np.array([168, 202, 232], np.float32)
    step = rng.integers(150, 260)
    for x in range(int(rng.integers(10, 80)), width, step):
        _rectangle(area, x, rows * 0.12, x + step * 0.62, rows * 0.72, frame)
        pane = area[int(rows * 0.15) : int(rows * 0.69), x + 6 : int(x + step * 0.62) - 6]
        _gradient(pane, sky * rng.uniform(0.8, 1.05), sky * 0.98 + 8)
        _rectangle(area, x + step * 0.29, rows * 0.15, x + step * 0.33, rows * 0.69, frame)


def _shelves(rng: np.random.Generator, area: np.ndarray) -> None:
    wood = _muted(rng, 70, 150)
    _gradient(area, wood * 1.2, wood * 1.1)
    rows, width = area.shape[:2]
    for y in np.linspace(rows * 0.3, rows * 0.95, 3):
        x = 0.0
        while x < width:  # book spines, narrow and dull so that nobody takes them for products
            spine, tall = rng.uniform(7, 16), rng.uniform(0.14, 0.2) * rows
            _rectangle(area, x, y - tall, x + spine, y, _muted(rng, 70, 170))
            x += spine + (rng.uniform(20, 90) if rng.random() < 0.08 else 1)
        _rectangle(area, 0, y, width, y + 7, wood * 0.6)


def _city(rng: np.random.Generator, area: np.ndarray) -> None:
    rows, width = area.shape[:2]
    _gradient(area, np.array([120, 164, 214], np.float32), np.array([226, 226, 220], np.float32))
    x = 0
    while x < width:
        wide, top = int(rng.integers(80, 180)), int(rows * rng.uniform(0.05, 0.5))
        wall = _muted(rng, 90, 180)
        _rectangle(area, x, top, x + wide, rows, wall)
        for wy in range(top + 12, rows - 16, 30):
            for wx in range(x + 10, x + wide - 16, 26):
                _rectangle(area, wx, wy, wx + 13, wy + 17, wall * rng.choice([0.6, 0.7, 1.2]))
        x += wide


def _park(rng: np.random.Generator, area: np.ndarray) -> None:
    import cv2

    rows, width = area.shape[:2]
    _gradient(area, np.array([136, 184, 226], np.float32), np.array([214, 230, 232], np.float32))
    picture = np.ascontiguousarray(area)
    for _ in range(5):
        centre = (int(rng.integers(0, width)), rows + 40)
        axes = (int(rng.integers(200, 420)), int(rng.integers(80, 160)))
        green = np.array([110, 150, 100]) + rng.uniform(-20, 20, 3)
        cv2.ellipse(picture, centre, axes, 0, 0, 360, green.tolist(), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(3, 7))):
        x, crown = int(rng.integers(0, width)), int(rng.integers(34, 64))
        cv2.line(picture, (x, rows), (x, rows - 2 * crown), (96, 76, 60), 10, cv2.LINE_AA)
        for _ in range(4):
            leaf = np.array([70, 116, 66]) + rng.uniform(-14, 14, 3)
            spot = (x + int(rng.integers(-20, 20)), rows - 2 * crown + int(rng.integers(-24, 16)))
            cv2.circle(picture, spot, crown * 2 // 3, leaf.tolist(), -1, cv2.LINE_AA)
    area[:] = picture


_PLACES: tuple[Callable[[np.random.Generator, np.ndarray], None], ...] = (
    _plaster, _wallpaper, _windows, _shelves, _city, _park,
)  # fmt: skip
