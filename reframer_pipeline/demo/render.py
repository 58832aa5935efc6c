"""Rendering a planned shot: one frame becomes an image and a map of which object owns each pixel.

Here: camera, painter's order, light, blur and noise. Not here: the plan (`shots`), figures (`looks`), truth objects (`world`).
"""

from __future__ import annotations

import numpy as np

from reframer_pipeline.demo.looks import DRAW_PRODUCT, PERSON_EXTENT, PRODUCT_EXTENT, PersonLook, draw_person
from reframer_pipeline.demo.shots import CANVAS, Figure, Shot, Slab
from reframer_pipeline.demo.sketch import Colour, Sketch

SCENERY = 0  # owner of everything that is no object


def render_shot(shot: Shot, index: int, noise: np.random.Generator) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
    """Draw one frame.

    Args:
        shot: The shot.
        index: Frame index in the clip, `shot.start <= index < shot.end`.
        noise: Source of the sensor noise.

    Returns:
        RGB `(height, width, 3)` uint8; the owner of each pixel, `(height, width)` int32, an object id or `SCENERY`; and the number
        of pixels that each object would have, were it neither hidden nor cut off by the frame.
    """
    import cv2

    seconds, progress = (index - shot.start) / shot.fps, (index - shot.start) / max(1, shot.end - shot.start - 1)
    zoom = shot.zoom[0] + (shot.zoom[1] - shot.zoom[0]) * progress
    amplitude, turn = shot.shake
    centre = np.array([shot.width, shot.height]) / 2
    look_at = centre + np.array(shot.pan[:2]) * (1 - progress) + np.array(shot.pan[2:]) * progress
    look_at += amplitude * np.array([np.sin(7 * seconds + turn), np.sin(9 * seconds + 2 * turn)])
    shift = centre - zoom * look_at  # frame = zoom * world + shift

    margin = np.array([shot.width, shot.height]) * (CANVAS - 1) / 2
    matrix = np.array([[zoom, 0, shift[0] - zoom * margin[0]], [0, zoom, shift[1] - zoom * margin[1]]])
    size = (shot.width, shot.height)
    image = cv2.warpAffine(shot.canvas, matrix, size, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    owner = np.full((shot.height, shot.width), SCENERY, np.int32)
    areas: dict[int, int] = {}
    things: list[Figure | Slab] = [*shot.objects, *shot.slabs]
    for thing in sorted(things, key=lambda thing: thing.depth):
        if isinstance(thing, Slab):
            x0, y0, x1, y1 = (zoom * np.array(thing.xyxy) + np.tile(shift, 2)).tolist()
            _paint_slab(image, owner, (x0, y0, x1, y1), thing.colour)
        else:
            sketch = _sketch(thing, seconds, zoom, shift)
            areas[thing.object_id] = _paste(image, owner, sketch, shot.light, thing.object_id)
    if shot.blur:
        image = cv2.GaussianBlur(image, (0, 0), shot.blur)
    image = image * shot.gain.astype(np.float32)
    image += noise.normal(0, shot.noise, (shot.height, shot.width, 1)).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8), owner, areas


def _sketch(figure: Figure, seconds: float, zoom: float, shift: np.ndarray) -> Sketch:
    x, y = zoom * np.array(figure.place(seconds)) + shift
    if isinstance(figure.look, PersonLook):
        sketch = Sketch((x, y), zoom * figure.size, PERSON_EXTENT)
        walking = figure.speed != 0 and seconds < figure.stop_after
        phase = figure.stride(seconds) if walking else figure.phase + 2 * seconds
        draw_person(sketch, figure.look, figure.facing, phase, 1.0 if walking else 0.12, figure.carrying)
    else:
        sketch = Sketch((x, y), zoom * figure.size, PRODUCT_EXTENT)
        DRAW_PRODUCT[figure.label](sketch, figure.look)
    return sketch


def _paint_slab(image: np.ndarray, owner: np.ndarray, xyxy: tuple[float, float, float, float], colour: Colour) -> None:
    x0, y0, x1, y1 = (max(0, round(value)) for value in xyxy)
    image[y0:y1, x0:x1] = colour
    image[y0 : min(y1, y0 + 4), x0:x1] += 18
    owner[y0:y1, x0:x1] = SCENERY


def _paste(image: np.ndarray, owner: np.ndarray, sketch: Sketch, light: float, object_id: int) -> int:
    rgb, alpha = sketch.finish(light)
    solid = alpha >= 0.5
    x0, y0 = max(0, sketch.x), max(0, sketch.y)
    x1, y1 = min(image.shape[1], sketch.x + sketch.width), min(image.shape[0], sketch.y + sketch.height)
    if x0 < x1 and y0 < y1:
        part = np.s_[y0 - sketch.y : y1 - sketch.y, x0 - sketch.x : x1 - sketch.x]
        image[y0:y1, x0:x1] = rgb[part] + (1 - alpha[part][..., None]) * image[y0:y1, x0:x1]
        owner[y0:y1, x0:x1][solid[part]] = object_id
    return int(solid.sum())
