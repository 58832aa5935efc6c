"""Mattes that keep still: of what the segmenter finds frame by frame, what its neighbours bear out.

What belongs here: bringing masks of neighbouring frames together. What does not: finding them (`mattes`).

The segmenter sees each frame alone, so its edges tremble. A *stretch* is a run of frames between two that are known: their masks are
stored, or were given out already. Each known mask is carried through it along the optical flow, from either end. In a frame between, a
pixel is inside where the sum of three signed distances to an edge is above 0: of the mask carried from before, of the one carried from
after, the nearer end counting more, and of the segmenter's own, which counts `OWN`. Distances are cut at `REACH`, so that far from an edge
nobody's opinion is worth more than another's.

What that gains over the segmenter alone, and over holding the last stored mask, is measured by `python -m benchmarks.mattes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline.vision.boxes import Floats, Rgb

BoolMask = npt.NDArray[np.bool_]
OWN: Final = 0.5
REACH: Final = 8 / 640  # of the picture's longer side
ONE_END: Final = 0.5  # what a mask carried from one end counts where the other end is not known
_FLOW_SIDE: Final = 640  # longer side of the pictures that the flow is found in


@dataclass(frozen=True)
class Flow:
    """How a stretch moves.

    Attributes:
        back: For each frame but the first, `(h, w, 2)` float32: where its pixels lie in the frame before, as a step in its own pixels.
        ahead: For each frame but the last: where they lie in the frame after.
        scale: Pixels of the frame a pixel of these.
    """

    back: tuple[Floats, ...]
    ahead: tuple[Floats, ...]
    scale: float


def flow_of(pictures: Sequence[Rgb]) -> Flow:
    """The flow through a stretch of pictures of one size."""
    import cv2

    height, width = pictures[0].shape[:2]
    scale = max(1.0, max(height, width) / _FLOW_SIDE)
    size = max(1, round(width / scale)), max(1, round(height / scale))
    small = [cv2.resize(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for one in pictures]
    if min(size) < 16:  # the method wants patches
        still = tuple(np.zeros((size[1], size[0], 2), np.float32) for _ in small[1:])
        return Flow(still, still, scale)
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    pairs = list(zip(small, small[1:], strict=False))
    back = tuple(finder.calc(after, before, None) for before, after in pairs)
    ahead = tuple(finder.calc(before, after, None) for before, after in pairs)
    return Flow(back, ahead, scale)


def steadied(known: Mapping[int, BoolMask], own: Mapping[int, BoolMask], flow: Flow, size: tuple[int, int]) -> dict[int, BoolMask]:
    """The masks of one track in a stretch.

    Args:
        known: By place in the stretch, `(height, width)`: masks that stay as they are, at its ends.
        own: The segmenter's, of the other frames in which the track is.
        flow: Of the stretch.
        size: Width and height of the frames.

    Returns:
        Those of `own`, steadied.
    """
    if not own or not known:
        return dict(own)
    places = sorted({*known, *own})
    part = _Part.around([*known.values(), *own.values()], flow, size)
    if part is None:
        return dict(own)
    before, after = part.carried(places, known, back=True), part.carried(places[::-1], known, back=False)
    found = {}
    for at, mask in own.items():
        total = OWN * part.signed(mask) + _ends(at, known, before, after)
        found[at] = np.zeros_like(mask)
        found[at][part.rows, part.columns] = total > 0
    return found


def _ends(at: int, known: Mapping[int, BoolMask], before: Mapping[int, Floats], after: Mapping[int, Floats]) -> Floats | float:
    """What the carried masks say of a frame."""
    if at in before and at in after:
        first, last = max(one for one in known if one < at), min(one for one in known if one > at)
        share = (at - first) / (last - first)
        return (1 - share) * before[at] + share * after[at]
    ends = before if at in before else after
    return ONE_END * ends[at] if at in ends else 0.0


@dataclass(frozen=True)
class _Part:
    """The part of the frames in which a track is: masks are carried within it alone.

    Attributes:
        rows, columns: Of the frame.
        reach: Pixels beyond which distances do not count.
        flow: The flow.
        size: Width and height of the frame.
    """

    rows: slice
    columns: slice
    reach: float
    flow: Flow
    size: tuple[int, int]

    @staticmethod
    def around(masks: Sequence[BoolMask], flow: Flow, size: tuple[int, int]) -> _Part | None:
        """The part with all of these masks, and a margin; None if all are empty."""
        filled = [np.flatnonzero(np.logical_or.reduce([one.any(axis=axis) for one in masks])) for axis in (1, 0)]
        if not filled[0].size:
            return None
        reach = max(size) * REACH
        margin = int(2 * reach) + 1
        rows, columns = (slice(max(int(one[0]) - margin, 0), int(one[-1]) + 1 + margin) for one in filled)
        return _Part(slice(rows.start, min(rows.stop, size[1])), slice(columns.start, min(columns.stop, size[0])), reach, flow, size)

    def signed(self, mask: BoolMask) -> Floats:
        """Pixels to the edge, above 0 inside, cut at `reach`."""
        import cv2

        inside = np.ascontiguousarray(mask[self.rows, self.columns], np.uint8)
        if not inside.any():
            return np.full(inside.shape, -self.reach, np.float32)
        if inside.all():
            return np.full(inside.shape, self.reach, np.float32)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
        return np.clip(distance, -self.reach, self.reach)

    def carried(self, places: Sequence[int], known: Mapping[int, BoolMask], *, back: bool) -> dict[int, Floats]:
        """Known masks, carried from place to place; nothing is carried over a frame in which the track is not."""
        found: dict[int, Floats] = {}
        for at in places:
            beside = at - 1 if back else at + 1
            if at in known:
                found[at] = self.signed(known[at])
            elif beside in found:
                found[at] = self._pulled(found[beside], self.flow.back[at - 1] if back else self.flow.ahead[at])
        return found

    def _pulled(self, values: Floats, flow: Floats) -> Floats:
        import cv2

        (height, width), scale = values.shape, self.flow.scale
        rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
        if scale == 1:
            step = flow[self.rows, self.columns]
        else:
            across, down = np.meshgrid((columns + self.columns.start + 0.5) / scale - 0.5, (rows + self.rows.start + 0.5) / scale - 0.5)
            step = cv2.remap(flow, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) * np.float32(scale)
        return cv2.remap(
            values, columns[None] + step[..., 0], rows[:, None] + step[..., 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=-self.reach,
        )  # fmt: skip
