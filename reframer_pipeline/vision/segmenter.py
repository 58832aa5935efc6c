"""Pixel masks for boxes.

What belongs here: the `Segmenter` protocol, SAM2 behind it, and the stage that turns detections into rows of `schemas.MASKS`.
What does not: run lengths (`rle`), loading weights (`models`), reading frames (`media`).

SAM2 predicts logits at a quarter of its input's side (256x256 for 1024), stretched over the whole frame. They stay at that size
as long as possible: each is upscaled alone, with the bilinear rule of SAM2's own `predict`, and encoded at once, so that a
frame with fifty boxes never has fifty full-size masks.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reframer_pipeline.handover import Progress, no_progress, record_batches
from reframer_pipeline.schemas import MASKS
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.boxes import Floats, FrameDetections, Rgb
from reframer_pipeline.vision.device import ShrinkingBatch

MAX_BOXES = 64  # boxes a decoder call; SAM2's decoder takes some 20 MB each at 1024 px


class LowResMask(NamedTuple):
    """One mask as SAM2 predicts it.

    Attributes:
        logits: `(h, w)` float32 over the whole frame; above 0 is inside.
        predicted_iou: The model's own estimate of its IoU with the truth.
    """

    logits: Floats
    predicted_iou: float


class Segmenter(Protocol):
    """Anything that masks boxes in pictures."""

    def segment(self, image: Rgb, xyxy: Floats) -> list[LowResMask]:
        """One mask per box `(n, 4)`, in pixels of the image; the image is encoded once."""


class Sam2Segmenter:
    """`SAM2ImagePredictor` without its upscaling: `multimask_output=False`, all boxes of a frame in one decoder call."""

    def __init__(self, model: Any, device: str = "cpu") -> None:
        """Wrap a `SAM2Base` model that lies on `device`, a result of `resolve_device`."""
        from reframer_pipeline.vision.sam2_build import bb_feat_sizes, import_sam2

        import_sam2()
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        _calm_logging()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sam2 scripts its image transform, which torch deprecates
            self._predictor = SAM2ImagePredictor(model)
        self._predictor._bb_feat_sizes = bb_feat_sizes(model.image_size)
        # predict() upscales all masks to the frame in float32 at once, 8 MB each at full HD: leave them small
        self._predictor._transforms.postprocess_masks = lambda masks, orig_hw: masks.float()
        self._device = device
        self._boxes = ShrinkingBatch(MAX_BOXES, "boxes of a frame")
        self._lock = threading.Lock()  # the predictor keeps the current picture in itself

    def segment(self, image: Rgb, xyxy: Floats) -> list[LowResMask]:
        """See `Segmenter.segment`.

        Raises:
            OutOfMemory: The picture, or one box, does not fit the device.
        """
        with self._lock, self._precision():
            ShrinkingBatch(1, "frames to mask").run([image], self._set_images)
            return self._boxes.run(list(xyxy), self._predict)

    def _set_images(self, images: Sequence[Rgb]) -> list[None]:
        self._predictor.set_image(images[0])
        return [None]

    def _predict(self, boxes: Sequence[Floats]) -> list[LowResMask]:
        logits, ious, _ = self._predictor.predict(box=np.stack(boxes), multimask_output=False, return_logits=True)
        low = logits.reshape(len(boxes), *logits.shape[-2:])
        return [LowResMask(mask, float(iou)) for mask, iou in zip(low, ious.reshape(-1), strict=True)]

    def _precision(self) -> AbstractContextManager[Any]:
        """bfloat16 on a GPU; on a CPU without AMX it is slower than float32."""
        import torch

        return torch.autocast("cuda", torch.bfloat16) if self._device.startswith("cuda") else nullcontext()


def segment_frames(
    detected: Iterable[FrameDetections],
    read_frame: Callable[[int], Rgb],
    segmenter: Segmenter,
    result_id: str,
    progress: Progress = no_progress,
    total: int = 0,
) -> Iterator[pa.RecordBatch]:
    """The masks stage.

    Args:
        detected: Frames with their detections, in order; candidates get no mask, and a frame without others is not read.
        read_frame: Picture of a source frame, as the boxes were found in.
        segmenter: Makes the masks; one encoding per frame.
        result_id: Of this stage's result.
        progress: Called after each frame with frames done.
        total: Number of frames with detections, 0 if unknown.

    Yields:
        Batches of `schemas.MASKS`, one row per detection that is no candidate, in the detections' order; an empty mask has
        area 0. `stability` is the area of logits above +1 over the area above -1, counted at the model's own resolution: how
        little the mask depends on where the line is drawn; 0 if nothing is above -1.

    Raises:
        OutOfMemory: Not even one box fits the device.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for done, frame in enumerate(detected, start=1):
            chosen = np.flatnonzero(~frame.candidate)
            if chosen.size:
                image = read_frame(frame.frame_number)
                masks = segmenter.segment(image, frame.xyxy[chosen])
                for index, mask in zip(chosen, masks, strict=True):
                    yield _row(frame, frame.detection_ids[index], mask, image.shape[0], image.shape[1], result_id)
            progress(done, total)

    return record_batches(rows(), MASKS)


def _row(frame: FrameDetections, detection_id: str, mask: LowResMask, height: int, width: int, result_id: str) -> dict[str, Any]:
    compressed, area = encoded(mask.logits, height, width)
    return {
        "mask_id": row_id(result_id, detection_id),
        "detection_id": detection_id,
        "frame_number": frame.frame_number,
        "timestamp": frame.timestamp,
        "height": height,
        "width": width,
        "rle": compressed,
        "area": area,
        "predicted_iou": mask.predicted_iou,
        "stability": stability(mask.logits),
    }


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


def _calm_logging() -> None:
    """sam2 calls `logging.info` for every picture, which installs a handler on the root logger: give it its own."""
    import logging

    from sam2 import sam2_image_predictor

    sam2_image_predictor.logging = logging.getLogger("sam2")
