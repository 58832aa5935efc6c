"""Pixel masks for boxes.

What belongs here: the `Segmenter` protocol, and the stage that turns detections into rows of `schemas.MASKS`. What does not: SAM2 behind it
(`sam2_single`, `sam2_batched`), run lengths (`rle`), loading weights (`models`), reading frames (`media`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reframer_pipeline.handover import Progress, no_progress, record_batches
from reframer_pipeline.schemas import MASKS
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.boxes import Floats, FrameDetections, Rgb


class Mask(NamedTuple):
    """The mask of one box.

    Attributes:
        rle: COCO's compressed counts over the whole frame.
        area: Pixels that are set.
        predicted_iou: The model's own estimate of its IoU with the truth.
        stability: The area of logits above +1 over the area above -1, counted at the model's own resolution: how little the mask depends
            on where the line is drawn; 0 if nothing is above -1.
    """

    rle: str
    area: int
    predicted_iou: float
    stability: float


@dataclass(frozen=True)
class MaskChoice:
    """Which detections get a mask.

    Attributes:
        mask_stride: Of the frames with detections that are no candidates every N-th counts, the first among them.
        mask_conf: Least confidence.
    """

    mask_stride: int = 1
    mask_conf: float = 0.0

    def of(self, nth: npt.ArrayLike, confidence: npt.ArrayLike, candidate: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each of some detections gets one.

        Args:
            nth: `(n,)`, or one number: which of these frames each lies in, counted from 0.
            confidence: `(n,)` float32.
            candidate: `(n,)` bool: kept for the tracker alone, and never masked.
        """
        chosen = (np.asarray(nth) % self.mask_stride == 0) & (np.asarray(confidence) >= np.float32(self.mask_conf))
        return np.asarray(chosen & ~np.asarray(candidate, bool))


class Segmenter(Protocol):
    """Anything that masks boxes in pictures."""

    @property
    def frames(self) -> int:
        """How many frames it wants at once."""

    def segment(self, frames: Sequence[tuple[Rgb, Floats]]) -> list[list[Mask]]:
        """Of each frame one mask per box.

        Args:
            frames: Pictures, all of one size, and the boxes `(n, 4)` of each, in its pixels; each picture is encoded once.
        """


def segment_frames(
    detected: Iterable[FrameDetections],
    read_frame: Callable[[int], Rgb],
    segmenter: Segmenter,
    result_id: str,
    progress: Progress = no_progress,
    total: int = 0,
    choice: MaskChoice = MaskChoice(),
) -> Iterator[pa.RecordBatch]:
    """The masks stage.

    Args:
        detected: Frames with their detections, in order; a frame of which none is chosen is not read.
        read_frame: Picture of a source frame, as the boxes were found in.
        segmenter: Makes the masks; one encoding per frame.
        result_id: Of this stage's result.
        progress: Called with frames done, whenever none waits for others to be masked with it.
        total: Number of frames with detections, 0 if unknown.
        choice: Which detections get a mask; candidates never do.

    Yields:
        Batches of `schemas.MASKS`, one row per detection that is chosen, in the detections' order; an empty mask has
        area 0.

    Raises:
        OutOfMemory: Not even one box fits the device.
    """

    def rows() -> Iterator[dict[str, Any]]:
        wanted, nth, done = list[_Wanted](), 0, 0
        for done, frame in enumerate(detected, start=1):
            chosen = np.flatnonzero(choice.of(nth, frame.confidence, frame.candidate))
            nth += not frame.candidate.all()
            if chosen.size:
                wanted.append((frame, chosen))
            if len(wanted) == segmenter.frames:
                yield from _masked(wanted, read_frame, segmenter, result_id)
                wanted = []
            if not wanted:
                progress(done, total)
        if wanted:
            yield from _masked(wanted, read_frame, segmenter, result_id)
            progress(done, total)

    return record_batches(rows(), MASKS)


_Wanted = tuple[FrameDetections, npt.NDArray[np.intp]]  # a frame, and which of its detections get a mask


def _masked(wanted: Sequence[_Wanted], read_frame: Callable[[int], Rgb], segmenter: Segmenter, result_id: str) -> Iterator[dict[str, Any]]:
    images = [read_frame(frame.frame_number) for frame, _ in wanted]
    masks = segmenter.segment([(image, frame.xyxy[chosen]) for image, (frame, chosen) in zip(images, wanted, strict=True)])
    for image, (frame, chosen), found in zip(images, wanted, masks, strict=True):
        for index, mask in zip(chosen, found, strict=True):
            yield _row(frame, frame.detection_ids[index], mask, image, result_id)


def _row(frame: FrameDetections, detection_id: str, mask: Mask, image: Rgb, result_id: str) -> dict[str, Any]:
    return {
        "mask_id": row_id(result_id, detection_id),
        "detection_id": detection_id,
        "frame_number": frame.frame_number,
        "timestamp": frame.timestamp,
        "height": image.shape[0],
        "width": image.shape[1],
        **mask._asdict(),
    }
