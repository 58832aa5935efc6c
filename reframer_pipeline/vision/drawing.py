"""Pictures that show what was seen: boxes, masks, ids and captions on frames, and sheets of several frames.

What belongs here: drawing on arrays in memory, and encoding small pictures. What does not: reading results (`overlay`), video
files (`preview`). A track has one colour wherever it is drawn.
"""

from __future__ import annotations

import colorsys
import io
import textwrap
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
INLINE_BYTES = 30_000  # Dagster's event log keeps every preview for ever
CAPTION_LINES = 3


@dataclass(frozen=True)
class Item:
    """One thing to draw on a frame.

    Attributes:
        xyxy: Box in pixels of the frame.
        text: Beside the box, such as `obj_001 person`.
        colour: RGB.
        mask: `(height, width)` bool of the whole frame, or None.
    """

    xyxy: tuple[float, float, float, float]
    text: str
    colour: Colour
    mask: npt.NDArray[np.bool_] | None = None


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
        unit, place = _unit(image), sv.ColorLookup.INDEX
        colours = sv.ColorPalette([sv.Color(*item.colour) for item in items])
        inks = sv.ColorPalette([sv.Color(*_ink_on(item.colour)) for item in items])
        found = sv.Detections(xyxy=np.array([item.xyxy for item in items], np.float32))
        for number, item in enumerate(items):
            if item.mask is not None:
                one = sv.Detections(xyxy=found.xyxy[number : number + 1], mask=item.mask[None])
                sv.MaskAnnotator(colours.colors[number], MASK_OPACITY, place).annotate(canvas, one)
                sv.PolygonAnnotator(colours.colors[number], 1, place).annotate(canvas, one)
        if boxes:
            sv.BoxAnnotator(colours, unit, place).annotate(canvas, found)
        if texts:
            labels = sv.RichLabelAnnotator(colours, place, inks, font_size=max(10, 7 * unit), text_padding=unit, smart_position=True)
            labels.annotate(canvas, found, [item.text for item in items])
    return np.ascontiguousarray(canvas[..., ::-1])


def captioned(image: Rgb, caption: str) -> Rgb:
    """The picture with a dark band below it, which covers nothing of it, for a sentence or two.

    Args:
        image: `(height, width, 3)` RGB.
        caption: Cut where it needs more than `CAPTION_LINES`; empty leaves the band empty, so that all frames stay of one shape.

    Returns:
        `(height + band, width, 3)`; the band's height depends on the picture's size alone.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image)
    unit = _unit(image)
    font = _font(max(12, 9 * unit))
    pen = ImageDraw.Draw(picture)
    step = int(pen.textbbox((0, 0), "Äg", font=font)[3]) + unit
    canvas = Image.new("RGB", (picture.width, picture.height + step * CAPTION_LINES + 4 * unit), (16, 16, 16))
    canvas.paste(picture)
    letter = max(1.0, pen.textlength("abcdefghij nopqrst", font=font) / 18)
    columns = max(8, int((picture.width - 8 * unit) / letter))
    pen = ImageDraw.Draw(canvas)
    for row, line in enumerate(textwrap.wrap(caption, columns, max_lines=CAPTION_LINES, placeholder=" …")):
        pen.text((4 * unit, picture.height + 2 * unit + row * step), line, font=font, fill=(255, 255, 255))
    return np.asarray(canvas)


def contact_sheet(
    images: Sequence[Rgb], captions: Sequence[str] = (), *, columns: int = 4, width: int = 1600, max_bytes: int | None = None
) -> bytes:
    """Frames side by side as one JPEG.

    Args:
        images: Frames of equal shape, at least one.
        captions: One short text per frame, drawn at its top, or none.
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
    sheet = Image.new("RGB", (cell[0] * columns, cell[1] * rows), (24, 24, 24))
    for place, image in enumerate(images):
        tile = Image.fromarray(image).resize(cell, Image.Resampling.LANCZOS)
        if place < len(captions) and captions[place]:
            pen, font = ImageDraw.Draw(tile, "RGBA"), _font(max(10, cell[0] // 26))
            _, _, right, bottom = pen.textbbox((0, 0), captions[place], font=font)
            pen.rectangle((0, 0, right + 6, bottom + 6), fill=(0, 0, 0, 170))
            pen.text((3, 3), captions[place], font=font, fill=(255, 255, 255))
        sheet.paste(tile, (place % columns * cell[0], place // columns * cell[1]))
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


def _unit(image: Rgb) -> int:
    """Line width, in proportion to the picture."""
    return max(1, round(min(image.shape[:2]) / 240))


@lru_cache(maxsize=16)
def _font(size: int) -> FreeTypeFont | ImageFont:
    """Pillow's own font: no file of this machine is needed."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)
