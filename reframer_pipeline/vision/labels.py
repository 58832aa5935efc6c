"""From the model's many labels to person and product.

What belongs here: the map, and whether the model has its labels; the second suppression, the size filter and the order of a frame's
detections; pure numpy. What does not: the model's own suppression (`detector`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.boxes import Boxes, Floats


def class_map(settings: Settings) -> dict[str, str]:
    """Label to `person` or `product`; a label in both lists is a person."""
    return {**dict.fromkeys(settings.product_labels, "product"), **dict.fromkeys(settings.person_labels, "person")}


def require_labels(settings: Settings, names: Iterable[str]) -> None:
    """Refuse labels that would silently find nothing.

    The default lists name what COCO and the demo models know together; a model may lack any of them, as long as something is left.

    Args:
        settings: `person_labels` and `product_labels` are used.
        names: The model's labels.

    Raises:
        SettingsInvalid: A list was given and has a label that the model lacks, or the model knows no label of either list.
    """
    there = list(dict.fromkeys(names))
    has = textwrap.shorten(f"It has: {', '.join(there)}.", 300, placeholder=" …")
    for field in ("person_labels", "product_labels"):
        given = getattr(settings, field)
        lacking = [label for label in given if label not in there]
        if not lacking or given == Settings.model_fields[field].default:
            continue
        folded = {name.casefold(): name for name in there}
        near = [folded[one] for label in lacking for one in get_close_matches(label.casefold(), folded, 1, 0.75)]
        what = f"{', '.join(map(repr, lacking))}, {'a label' if len(lacking) == 1 else 'labels'} that the model does not have"
        raise SettingsInvalid(f"{Settings.variable(field)} names {what}.", f"Did you mean {', '.join(near)}? {has}" if near else has)
    if not class_map(settings).keys() & set(there):
        lists = " or ".join(map(Settings.variable, ("person_labels", "product_labels")))
        raise SettingsInvalid("The model has none of the labels that are looked for.", f"Name some of its own in {lists}. {has}")


def mapped(boxes: Boxes, height: int, width: int, settings: Settings) -> tuple[Boxes, list[str]]:
    """Keep what counts, as what it counts.

    Boxes are clipped to the frame; unnamed labels, empty boxes and boxes whose longer side is below `min_size` go, and do not
    suppress others. Then, within each mapped class, the weaker of two boxes that overlap by more than `iou` goes: the model
    suppressed per label, so a bottle also seen as a vase is still there twice.

    Args:
        boxes: One frame's boxes.
        height: Of the frame, pixels.
        width: Of the frame, pixels.
        settings: `person_labels`, `product_labels`, `min_size` and `iou` are used.

    Returns:
        The kept boxes by falling confidence (ties in the model's order), and the class of each.
    """
    names = class_map(settings)
    limits = np.array([width, height, width, height], np.float32)
    boxes = Boxes(np.clip(boxes.xyxy.reshape(-1, 4), 0, limits), boxes.confidence, boxes.labels)
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    known = np.array([label in names for label in boxes.labels], dtype=bool)
    wanted = known & (sides.min(axis=1, initial=np.inf) > 0) & (sides.max(axis=1, initial=0) >= settings.min_size)
    order = np.argsort(-boxes.confidence, kind="stable")
    boxes = boxes.take(order[wanted[order]])
    classes = np.array([names[label] for label in boxes.labels])
    kept = np.flatnonzero(suppressed_mask(boxes.xyxy, classes, settings.iou) == 0)
    return boxes.take(kept), [str(classes[row]) for row in kept]


def suppressed_mask(xyxy: Floats, classes: npt.NDArray[np.str_], iou: float) -> npt.NDArray[np.bool_]:
    """Greedy class-wise non-maximum suppression.

    Not supervision's: it compares in single precision and turns ties round, and either would change stored detections.

    Args:
        xyxy: `(n, 4)` boxes, strongest first.
        classes: `(n,)` class of each.
        iou: Overlap above which the weaker box goes.

    Returns:
        `(n,)` bool, true for boxes that go.
    """
    gone = np.zeros(len(xyxy), dtype=bool)
    overlaps = pairwise_iou(xyxy, xyxy)
    for row in range(len(xyxy)):
        if not gone[row]:
            gone[row + 1 :] |= (overlaps[row, row + 1 :] > iou) & (classes[row + 1 :] == classes[row])
    return gone


def pairwise_iou(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """Intersection over union of every box of `a` `(n, 4)` with every box of `b` `(m, 4)`: `(n, m)`."""
    first, second = a[:, None].astype(np.float64), b[None].astype(np.float64)
    sides = np.clip(np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2]), 0, None)
    shared = sides.prod(axis=-1)
    areas = (first[..., 2:] - first[..., :2]).prod(axis=-1) + (second[..., 2:] - second[..., :2]).prod(axis=-1)
    return shared / np.maximum(areas - shared, 1e-12)
