"""From SAM2's logits to a mask's run lengths, on a CPU.

What belongs here: upscaling, cutting, and how stable the cut is. What does not: where logits come from (`sam2_single`), the same on a GPU
(`sam2_batched`), the run lengths' format (`rle`).

SAM2 predicts logits at a quarter of its input's side (256x256 for 1024), stretched over the whole frame. They stay at that size as long as
possible: each is upscaled alone, with the bilinear rule of SAM2's own `predict`, and encoded at once, so that a frame with fifty boxes
never has fifty full-size masks.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from reframer_pipeline.vision import rle
from reframer_pipeline.vision.boxes import Floats


def encoded(logits: Floats, height: int, width: int) -> tuple[str, int]:
    """Run lengths of one mask as `SAM2ImagePredictor.predict` upscales it: bilinear, pixel centres aligned, cut at 0.

    Only the part around logits above 0 is upscaled: beyond their neighbours nothing can be above 0.

    Args:
        logits: `(h, w)` over the whole frame.
        height: Of the frame.
        width: Of the frame.

    Returns:
        COCO's compressed counts, and the number of pixels set.
    """
    import cv2

    rows, columns = (np.flatnonzero((logits > 0).any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        return rle.encode_part(np.zeros((0, 0), bool), 0, 0, height, width)
    (down, top), (across, left) = _part(rows, logits.shape[0], height), _part(columns, logits.shape[1], width)
    # transposed, so that columns lie together; OpenCV does this 7 times faster than torch on a CPU
    part = np.ascontiguousarray(logits[down, across].T)
    upscaled = cv2.resize(part, None, fx=height / logits.shape[0], fy=width / logits.shape[1], interpolation=cv2.INTER_LINEAR)
    return rle.encode_part((upscaled[: width - left, : height - top] > 0).T, left, top, height, width)


def _part(inside: npt.NDArray[np.intp], low: int, full: int) -> tuple[slice, int]:
    """Of one axis with `low` logits for `full` pixels: the logits to upscale, and the pixel that they begin with.

    They are those inside and as many neighbours as the next pixel and a half needs. They begin where a pixel does, so that all pixels
    keep their places between the logits.
    """
    margin = 1 - (-3 * low // (2 * full))
    step = low // math.gcd(low, full)
    first = max(int(inside[0]) - margin, 0) // step * step
    return slice(first, int(inside[-1]) + 1 + margin), first * full // low


def stability(logits: Floats) -> float:
    """IoU of the masks cut at +1 and -1: the one lies in the other, so a ratio of areas."""
    wide = np.count_nonzero(logits > -1)
    return float(np.count_nonzero(logits > 1) / wide) if wide else 0.0
