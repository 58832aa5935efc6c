"""SAM2, a frame at a time: on CPUs, where more at once gain nothing, and on any device.

What belongs here: SAM2's own predictor as a `Segmenter`. What does not: many frames at once (`sam2_batched`), building models
(`sam2_build`), upscaling (`logits`).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

import numpy as np

from reframer_pipeline.vision.boxes import Floats, Rgb
from reframer_pipeline.vision.device import ShrinkingBatch
from reframer_pipeline.vision.logits import encoded, stability
from reframer_pipeline.vision.segmenter import Mask

MAX_BOXES = 64  # boxes a decoder call; SAM2's decoder takes some 20 MB each at 1024 px


class LowResMask(NamedTuple):
    """One mask as SAM2 predicts it.

    Attributes:
        logits: `(h, w)` float32 over the whole frame; above 0 is inside.
        predicted_iou: The model's own estimate of its IoU with the truth.
    """

    logits: Floats
    predicted_iou: float

    def at(self, height: int, width: int) -> Mask:
        """The mask in a frame of that size."""
        return Mask(*encoded(self.logits, height, width), self.predicted_iou, stability(self.logits))


class Sam2Segmenter:
    """`SAM2ImagePredictor` without its upscaling: `multimask_output=False`, all boxes of a frame in one decoder call."""

    frames: Final = 1

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

    def segment(self, frames: Sequence[tuple[Rgb, Floats]]) -> list[list[Mask]]:
        """See `Segmenter.segment`.

        Raises:
            OutOfMemory: A picture, or one box, does not fit the device.
        """
        return [[mask.at(*image.shape[:2]) for mask in self.predict(image, xyxy)] for image, xyxy in frames]

    def predict(self, image: Rgb, xyxy: Floats) -> list[LowResMask]:
        """A mask per box `(n, 4)`, in pixels of the image, as SAM2 gives it. Raises as `segment` does."""
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


def _calm_logging() -> None:
    """sam2 calls `logging.info` for every picture, which installs a handler on the root logger: give it its own."""
    import logging

    from sam2 import sam2_image_predictor

    sam2_image_predictor.logging = logging.getLogger("sam2")
