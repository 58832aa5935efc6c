"""SAM2, several frames at once: for GPUs.

What belongs here: frames that share one call of the image encoder, boxes of all of them in one call of the mask decoder, and run lengths
found where the logits lie, so that what comes back to the host is a few numbers a mask. What does not: one frame at a time (`sam2_single`),
building models (`sam2_build`), the run lengths' format (`rle`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from reframer_pipeline.vision.boxes import Floats, Rgb
from reframer_pipeline.vision.device import ShrinkingBatch
from reframer_pipeline.vision.rle import encode_edges
from reframer_pipeline.vision.segmenter import Mask

MOST_FRAMES: Final = 8  # a call of the encoder
MOST_BOXES: Final = 32  # a call of the decoder; at 1024 px each has 16 MB of features in single precision
MOST_PIXELS: Final = 1 << 24  # upscaled at once: 64 MB


class _Box(NamedTuple):
    """A box `(4,)` in pixels of a frame, and which of the encoded frames that is."""

    xyxy: Floats
    frame: int


class BatchedSam2Segmenter:
    """A `Segmenter` over a `SAM2Base` model: masks as `SAM2ImagePredictor.predict` gives them with `multimask_output=False`."""

    def __init__(self, model: Any, device: str) -> None:
        """Wrap a model that lies on `device`, a result of `resolve_device`."""
        from reframer_pipeline.vision.sam2_build import bb_feat_sizes, import_sam2

        import_sam2()
        from sam2.utils.transforms import SAM2Transforms

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sam2 scripts its image transform, which torch deprecates
            self._prepared = SAM2Transforms(model.image_size, mask_threshold=0.0).transforms
        self._model, self._device = model, device
        self._levels = bb_feat_sizes(model.image_size)
        self._frames = ShrinkingBatch(MOST_FRAMES, "frames to mask")
        self._boxes = ShrinkingBatch(MOST_BOXES, "boxes of frames")

    @property
    def frames(self) -> int:
        """As many as were last seen to fit."""
        return self._frames.size

    def segment(self, frames: Sequence[tuple[Rgb, Floats]]) -> list[list[Mask]]:
        """See `Segmenter.segment`.

        Raises:
            OutOfMemory: A picture, or one box, does not fit the device.
        """
        import torch

        with torch.inference_mode(), self._precision():
            return self._frames.run(frames, self._segment)

    def _segment(self, frames: Sequence[tuple[Rgb, Floats]]) -> list[list[Mask]]:
        levels = self._encode([image for image, _ in frames])
        height, width = frames[0][0].shape[:2]
        boxes = [_Box(box, number) for number, (_, xyxy) in enumerate(frames) for box in xyxy]
        masks = iter(self._boxes.run(boxes, lambda some: self._decode(some, levels, height, width)))
        return [[next(masks) for _ in xyxy] for _, xyxy in frames]

    def _encode(self, images: Sequence[Rgb]) -> list[Any]:
        """The features of all pictures, from fine to coarse: `(frames, channels, side, side)` each."""
        import torch

        pixels = torch.from_numpy(np.stack(images)).to(self._device, non_blocking=True)
        found = self._model.forward_image(self._prepared(pixels.permute(0, 3, 1, 2).float() / 255))
        _, features, _, _ = self._model._prepare_backbone_features(found)
        if self._model.directly_add_no_mem_embed:
            features[-1] = features[-1] + self._model.no_mem_embed
        shaped = zip(features, self._levels, strict=True)
        return [feature.permute(1, 2, 0).reshape(len(images), -1, *size) for feature, size in shaped]

    def _decode(self, boxes: Sequence[_Box], levels: Sequence[Any], height: int, width: int) -> list[Mask]:
        import torch

        model = self._model
        corners = torch.from_numpy(np.stack([box.xyxy for box in boxes])).to(self._device).reshape(-1, 2, 2)
        corners = corners / corners.new_tensor([width, height]) * model.image_size
        kinds = torch.tensor([[2, 3]], dtype=torch.int, device=self._device).expand(len(boxes), -1)  # SAM's labels of a box's corners
        sparse, dense = model.sam_prompt_encoder(points=(corners, kinds), boxes=None, masks=None)
        *fine, coarse = (level[torch.tensor([box.frame for box in boxes], device=self._device)] for level in levels)
        logits, ious, _, _ = model.sam_mask_decoder(
            image_embeddings=coarse,
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            repeat_image=False,
            high_res_features=fine,
        )
        return _masks(logits[:, 0].float(), ious[:, 0].float(), height, width)

    def _precision(self) -> AbstractContextManager[Any]:
        """bfloat16 on a GPU."""
        import torch

        return torch.autocast("cuda", torch.bfloat16) if self._device.startswith("cuda") else nullcontext()


def _masks(logits: Any, ious: Any, height: int, width: int) -> list[Mask]:
    """The masks of logits `(n, h, w)`, with `ious` `(n,)`."""
    import torch

    areas = torch.stack([(logits > 1).sum((1, 2)), (logits > -1).sum((1, 2))])
    (close, wide), scores = areas.cpu().numpy(), ious.cpu().numpy()
    few = max(1, MOST_PIXELS // (height * width))
    edges = [found for part in logits.split(few) for found in _edges(part, height, width)]
    return [
        Mask(*encode_edges(edges[n], height, width), float(scores[n]), float(close[n] / wide[n]) if wide[n] else 0.0)
        for n in range(len(edges))
    ]


def _edges(logits: Any, height: int, width: int) -> list[npt.NDArray[np.int64]]:
    """Where the runs of each mask begin and end, counted down the columns; upscaled as SAM2's `predict` does it, cut at 0."""
    import torch
    from torch.nn import functional

    full = functional.interpolate(logits[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0] > 0
    lined = functional.pad(full.transpose(1, 2).flatten(1), (1, 1))  # zeros before and behind
    places = (lined[:, 1:] != lined[:, :-1]).nonzero()
    counts = torch.bincount(places[:, 0], minlength=len(logits)).cpu().numpy()
    return np.split(places[:, 1].cpu().numpy(), np.cumsum(counts)[:-1])
