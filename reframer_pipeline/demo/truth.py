"""What is compared when a run is scored: boxes, masks and ids of sampled frames, true or found.

Here: the values, and how a clip's truth becomes one. An object *counts* if the longer side of its visible box is at least `MIN_SIZE`
and at least `MIN_VISIBLE` of it is visible. Not here: the metrics (`score`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reframer_pipeline.demo.world import Clip

MIN_SIZE = 64.0  # pixels
MIN_VISIBLE = 0.25


@dataclass(frozen=True)
class Frame:
    """Boxes of one sampled frame, of the truth or of a prediction.

    Attributes:
        xyxy: `(N, 4)` float, displayed pixels, half-open.
        object_class: `(N,)` str, `"person"` or `"product"`.
        conf: `(N,)` float; ones in the truth.
        ids: `(N,)` int, the object's or the track's id; -1 if it has none.
        counted: `(N,)` bool; False marks ignored truth.
        masks: N COCO run-length dicts (`pycocotools.mask.encode`), or empty.
    """

    xyxy: np.ndarray
    object_class: np.ndarray
    conf: np.ndarray
    ids: np.ndarray
    counted: np.ndarray
    masks: tuple[dict[str, Any], ...] = ()

    @staticmethod
    def of(
        xyxy: Any, object_class: Sequence[str], *, conf: Any = None, ids: Any = None, counted: Any = None,
        masks: Iterable[dict[str, Any]] = (),
    ) -> Frame:  # fmt: skip
        """Make a frame; what is left out is 1 for `conf`, -1 for `ids`, True for `counted`."""
        boxes = np.asarray(xyxy, float).reshape(-1, 4)
        n = len(boxes)
        return Frame(
            boxes,
            np.asarray(object_class, dtype=str),
            np.ones(n) if conf is None else np.asarray(conf, float),
            np.full(n, -1) if ids is None else np.asarray(ids, int),
            np.ones(n, bool) if counted is None else np.asarray(counted, bool),
            tuple(masks),
        )

    def of_class(self, object_class: str) -> Frame:
        """The boxes of one class."""
        return self.keep(self.object_class == object_class)

    def keep(self, chosen: np.ndarray) -> Frame:
        """The boxes where `chosen`, `(N,)` bool, is True."""
        masks = tuple(mask for mask, yes in zip(self.masks, chosen, strict=True) if yes) if self.masks else ()
        return Frame(self.xyxy[chosen], self.object_class[chosen], self.conf[chosen], self.ids[chosen], self.counted[chosen], masks)


@dataclass(frozen=True)
class ClipTruth:
    """Truth of one clip.

    Attributes:
        frames: One per sampled frame.
        cuts: First source frame of each later shot.
    """

    frames: tuple[Frame, ...]
    cuts: tuple[int, ...]


@dataclass(frozen=True)
class ClipPrediction:
    """What a run found in one clip; each tuple has one entry per sampled frame, in the truth's order.

    Attributes:
        sweep: Detections at conf 0.001, for the precision-recall curve.
        detections: Detections of the normal run, with masks.
        tracks: Boxes with the id of their track; boxes without a track (-1) are left out.
        cuts: Source frames at which later shots were found to begin.
    """

    sweep: tuple[Frame, ...]
    detections: tuple[Frame, ...]
    tracks: tuple[Frame, ...]
    cuts: tuple[int, ...] = ()


def truth_of(clip: Clip, frame_numbers: Iterable[int]) -> ClipTruth:
    """Draw the truth of a clip's sampled frames.

    Args:
        clip: The clip.
        frame_numbers: Source frames that the run sampled, e.g. `range(0, clip.n_frames, 5)`.

    Returns:
        The truth, masks included.
    """
    from pycocotools import mask as coco_mask

    frames = []
    for number in frame_numbers:
        _, things = clip.frame(number)
        counted = [max(t.xyxy[2] - t.xyxy[0], t.xyxy[3] - t.xyxy[1]) >= MIN_SIZE and t.visible_fraction >= MIN_VISIBLE for t in things]
        frames.append(
            Frame.of(
                [t.xyxy for t in things],
                [t.object_class for t in things],
                ids=[t.object_id for t in things],
                counted=counted,
                masks=[coco_mask.encode(np.asfortranarray(t.mask, np.uint8)) for t in things],
            )
        )
    return ClipTruth(tuple(frames), clip.cuts)
