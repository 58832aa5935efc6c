"""Pictures that show what was seen: boxes, masks, ids and captions on frames, and sheets of several frames.

What belongs here: drawing on arrays in memory, and encoding small pictures. What does not: reading results (`overlay`), video
files (`preview`). A track has one colour wherever it is drawn.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from reframer_pipeline.vision.boxes import Rgb

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

Colour = tuple[int, int, int]

MASK_OPACITY = 0.45
FAINT_OPACITY = 0.3  # of a mask between sampled frames
INLINE_BYTES = 30_000  # Dagster's event log keeps every preview for ever


@dataclass(frozen=True)
class Item:
    """One thing to draw on a frame.

    Attributes:
        xyxy: Box in pixels of the frame.
        text: Beside the box, such as `obj_001 person`.
        colour: RGB.
        mask: `(height, width)` bool of the whole frame, or None.
        measured: Whether this was seen in this very frame; else its box is dashed and its mask fainter, without an edge.
    """

    xyxy: tuple[float, float, float, float]
    text: str
    colour: Colour
    mask: npt.NDArray[np.bool_] | None = None
    measured: bool = True


@lru_cache(maxsize=4096)
def colour_of(number: int) -> Colour:
    """Colour of the n-th track: hues a golden angle apart, so that neighbours in number are far apart in hue."""
    hue = (number * 0.618034 + 0.05) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def annotate(image: Rgb, items: Sequence[Item], boxes: bool = True, texts: bool = True) -> Rgb:
    """Draw items on a copy of a frame.

    Args:
        image: `(height, width, 3)` RGB.
        items: Masks go under all boxes, later items over earlier ones. Labels stay inside the picture and make way for one another.
        boxes: Whether boxes are drawn.
        texts: Whether labels are.

    Returns:
        The annotated frame, of the same shape.
    """
    import supervision as sv

    canvas = np.ascontiguousarray(image[..., ::-1])  # supervision draws on arrays as BGR
    if items:
        unit, place = unit_of(image.shape[:2]), sv.ColorLookup.INDEX
        colours = sv.ColorPalette([sv.Color(*item.colour) for item in items])
        inks = sv.ColorPalette([sv.Color(*_ink_on(item.colour)) for item in items])
        found = sv.Detections(xyxy=np.array([item.xyxy for item in items], np.float32))
        for number, item in enumerate(items):
            if item.mask is not None:
                one = sv.Detections(xyxy=found.xyxy[number : number + 1], mask=item.mask[None])
                sv.MaskAnnotator(colours.colors[number], MASK_OPACITY if item.measured else FAINT_OPACITY, place).annotate(canvas, one)
                if item.measured:
                    sv.PolygonAnnotator(colours.colors[number], 1, place).annotate(canvas, one)
        for number, item in enumerate(items if boxes else ()):
            if item.measured:
                sv.BoxAnnotator(colours.colors[number], unit, place).annotate(canvas, found[number : number + 1])
            else:
                _dashed(canvas, item, unit)
        if texts:
            labels = sv.RichLabelAnnotator(colours, place, inks, font_size=max(10, 7 * unit), text_padding=unit, smart_position=True)
            labels.annotate(canvas, found, [item.text for item in items])
    return np.ascontiguousarray(canvas[..., ::-1])


def _dashed(canvas: Rgb, item: Item, unit: int) -> None:
    """A box of dashes, on BGR; each side begins and ends with one."""
    import cv2

    x1, y1, x2, y2 = (int(side) for side in item.xyxy)
    for start, end in (((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x1, y2), (x2, y2)), ((x1, y1), (x1, y2))):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        count = 2 * max(1, length // (10 * unit)) + 1  # dashes and gaps between them
        edges = np.linspace(start, end, count + 1).round().astype(int).tolist()
        for one, other in zip(edges[::2], edges[1::2], strict=True):
            cv2.line(canvas, one, other, item.colour[::-1], unit)


def contact_sheet(
    images: Sequence[Rgb], captions: Sequence[str] = (), *, columns: int = 4, width: int = 1600, max_bytes: int | None = None
) -> bytes:
    """Frames side by side as one JPEG.

    Args:
        images: Frames of equal shape, at least one.
        captions: One short text per frame, which stands above it, or none.
        columns: Most frames in a row.
        width: Of the sheet, pixels.
        max_bytes: The JPEG gets smaller and coarser until it fits; `INLINE_BYTES` for Dagster's metadata.

    Returns:
        JPEG bytes.
    """
    from PIL import Image, ImageDraw

    columns = min(columns, len(images))
    height, full_width = images[0].shape[:2]
    cell = (max(1, width // columns), max(1, round(width / columns * height / full_width)))
    rows = -(-len(images) // columns)
    font = font_of(max(10, cell[0] // 26))
    strip = int(font.getbbox("Äg")[3]) + 6 if any(captions) else 0
    sheet = Image.new("RGB", (cell[0] * columns, (strip + cell[1]) * rows), (24, 24, 24))
    pen = ImageDraw.Draw(sheet)
    for place, image in enumerate(images):
        tile = Image.fromarray(image).resize(cell, Image.Resampling.LANCZOS)
        left, top = place % columns * cell[0], place // columns * (strip + cell[1])
        sheet.paste(tile, (left, top + strip))
        if place < len(captions):
            pen.text((left + 3, top + 3), captions[place], font=font, fill=(255, 255, 255))
    return jpeg(sheet, max_bytes)


def jpeg(picture: Image, max_bytes: int | None = None) -> bytes:
    """JPEG of a Pillow picture; with `max_bytes`, coarser and then smaller until it fits: mostly at the first try, or the second."""
    from PIL import Image

    limit = max_bytes or float("inf")
    while True:
        for quality in (88,) if max_bytes is None else (75, 50):
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality, optimize=True)
            if out.tell() <= limit or max(picture.size) < 64:
                return out.getvalue()
        scale = min(0.9, 0.95 * (limit / out.tell()) ** 0.5)
        picture = picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))), Image.Resampling.LANCZOS)


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices below `count`, evenly spread, each in the middle of its share."""
    wanted = min(count, wanted)
    return [(2 * place + 1) * count // (2 * wanted) for place in range(wanted)]


def _ink_on(ground: Colour) -> Colour:
    """Black or white, whichever reads better (luma of ITU-R BT.601)."""
    luma = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return (0, 0, 0) if luma > 110 else (255, 255, 255)


def unit_of(size: tuple[int, ...]) -> int:
    """Line width, in proportion to the sides of a picture."""
    return max(1, round(min(size) / 240))


@lru_cache(maxsize=16)
def font_of(size: int) -> FreeTypeFont | ImageFont:
    """Pillow's own font: no file of this machine is needed."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)
