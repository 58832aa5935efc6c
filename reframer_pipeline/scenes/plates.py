"""Clean plates: what of that which lies behind a track some sampled frame of its scene shows.

What belongs here: the measure. What does not: whether the camera stands still, without which nothing of this holds (`camera`), reading
sightings (`observations`), what it means for the difficulty (`difficulty`).

To take something out of a picture, an editor needs what lies behind it. Where the camera stands still, that is to be seen at the same place
in every other frame in which nothing covers it. With the sampled frames of one scene, on a grid of at most GRID cells at the longer side:

- A track covers in a frame the cells in which its mask has a pixel; where it has no mask, those of its box. Its area is the union of
  what it covers in all of them.
- A cell is free in a frame if nothing covers it: no track, and no other detection, not even one that the detector is unsure of (a
  candidate). Where a track is lost for some frames, it may be there all the same: what lies around its boxes before and after is
  not free. What the detector does not know counts as background.
- `plate_never_seen`: the share of its area that is free in no frame. `plate_missing`: that part of its area over the picture's.
- `plate_frames`: at most BEST frames that show most of it together, each with the share of its area that it shows and none before it does:
  the one that shows most comes first, then the one that adds most to it, as long as that is LEAST of its area. The earliest of equals.

Cells that are covered in part count as covered, so the edge of a mask, which is soft, is never taken for background. Held are a grid a
track, and the free cells of MOST frames as bits: of a longer scene every second is let go, again and again, and `plate_frames` are those
that are left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reframer_pipeline.handover import StageInput
from reframer_pipeline.scenes.describer import PlateFrame, VideoFacts
from reframer_pipeline.scenes.observations import Observations
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.boxes import COLUMNS, by_frame
from reframer_pipeline.vision.overlay import Cursor

Cells = npt.NDArray[np.bool_]

GRID: Final = 320
BEST: Final = 3
LEAST: Final = 0.01
MOST: Final = 1024


class Plate(NamedTuple):
    """What is seen behind one track: fields of `TrackFigures`."""

    plate_never_seen: float
    plate_missing: float
    plate_frames: tuple[PlateFrame, ...]


class StoredMask(NamedTuple):
    """A mask, and its row in the masks."""

    row: int
    detection_id: str
    compressed: str
    height: int
    width: int


class Patch(NamedTuple):
    """Cells that something covers: a part of the grid, and which of it."""

    top: int
    left: int
    part: Cells

    def onto(self, grid: Cells) -> None:
        """Mark them."""
        height, width = self.part.shape
        place = grid[self.top : self.top + height, self.left : self.left + width]
        place |= self.part[: place.shape[0], : place.shape[1]]


class Plates:
    """Measures scene after scene, and reads detections and masks once for all of them.

    Args:
        video: Size of the displayed frame.
        detections: `schemas.DETECTIONS`.
        masks: `schemas.MASKS`.
    """

    def __init__(self, video: VideoFacts, detections: StageInput, masks: StageInput) -> None:
        self._cell = -(-max(video.width, video.height) // GRID)
        self._shape = -(-video.height // self._cell), -(-video.width // self._cell)
        self._found = Cursor((one.frame_number, one) for one in by_frame(detections.batches(COLUMNS)))
        self._masks = Cursor(_by_frame(masks.batches(["frame_number", "detection_id", "rle", "height", "width", "area"])))

    def behind(self, frames: npt.NDArray[np.int32], seen: Observations, tracks: Collection[str]) -> dict[str, Plate]:
        """What is seen behind tracks in a scene whose camera stands still.

        Args:
            frames: Its sampled frames, ascending; after those of the call before.
            seen: Its sightings.
            tracks: The ids of the tracks that are meant, all seen there.

        Returns:
            By track id.
        """
        areas = {name: np.zeros(self._shape, bool) for name in tracks}
        ever, kept = np.zeros(self._shape, bool), _Kept()
        lost = _lost(frames, seen)
        for frame in frames.tolist():
            free = ~self._covered(frame, seen.within(frame, frame + 1), lost.get(frame, ()), areas)
            ever |= free
            kept.add(frame, free)
        return {name: _plate(area, ever, kept) for name, area in areas.items()}

    def _covered(self, frame: int, seen: Observations, lost: Sequence[npt.NDArray[np.float32]], areas: Mapping[str, Cells]) -> Cells:
        """The cells that anything covers in a frame; what tracks cover is added to their areas."""
        masks, found, taken = self._masks.at(frame) or (), self._found.at(frame), np.zeros(self._shape, bool)
        patches, masked = {mask.row: self._of_mask(mask) for mask in masks}, {mask.detection_id for mask in masks}
        told = () if found is None else zip(found.detection_ids, found.xyxy, strict=True)
        boxes = [box for detection_id, box in told if detection_id not in masked]
        for patch in (*patches.values(), *map(self._of_box, (*boxes, *lost))):
            patch.onto(taken)
        for track, row, box in zip(seen.track.tolist(), seen.mask.tolist(), seen.xyxy, strict=True):
            patch = patches[row] if row in patches else self._of_box(box)
            patch.onto(taken)
            if (area := areas.get(seen.tracks[track].track_id)) is not None:
                patch.onto(area)
        return taken

    def _of_mask(self, mask: StoredMask) -> Patch:
        left, top, part = rle.coarse(mask.compressed, mask.height, mask.width, self._cell)
        return Patch(top, left, part)

    def _of_box(self, xyxy: npt.NDArray[np.float32]) -> Patch:
        left, top = (max(0, int(side // self._cell)) for side in xyxy[:2])
        right, bottom = (max(0, int(-(-side // self._cell))) for side in xyxy[2:])
        return Patch(top, left, np.ones((max(0, bottom - top), max(0, right - left)), bool))


def _lost(frames: npt.NDArray[np.int32], seen: Observations) -> dict[int, list[npt.NDArray[np.float32]]]:
    """By frame in which a track is not sighted, but before and after: the rectangle around its boxes there."""
    found: dict[int, list[npt.NDArray[np.float32]]] = defaultdict(list)
    by_track = np.argsort(seen.track, kind="stable")
    track, xyxy, step = seen.track[by_track], seen.xyxy[by_track], np.searchsorted(frames, seen.frame[by_track])
    for row in np.flatnonzero((np.diff(track) == 0) & (np.diff(step) > 1)):
        around = np.concatenate((np.minimum(xyxy[row, :2], xyxy[row + 1, :2]), np.maximum(xyxy[row, 2:], xyxy[row + 1, 2:])))
        for frame in frames[step[row] + 1 : step[row + 1]].tolist():
            found[frame].append(around)
    return found


class _Kept:
    """The free cells of frames, as bits."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.bits: list[npt.NDArray[np.uint8]] = []
        self._step, self._count = 1, 0

    def add(self, frame: int, free: Cells) -> None:
        if self._count % self._step == 0:
            self.frames.append(frame)
            self.bits.append(np.packbits(free))
        self._count += 1
        if len(self.frames) > MOST:
            self.frames, self.bits, self._step = self.frames[::2], self.bits[::2], 2 * self._step

    def at(self, cells: npt.NDArray[np.int_]) -> Cells:
        """`(frames, cells)`: whether a cell is free in a frame."""
        places, which = np.unique(cells // 8, return_inverse=True)
        few = np.stack([bits[places] for bits in self.bits])
        return np.unpackbits(few, axis=1)[:, 8 * which + cells % 8].astype(bool)


def _plate(area: Cells, ever: Cells, kept: _Kept) -> Plate:
    size, missing = int(area.sum()), int((area & ~ever).sum())
    if size == 0:  # a box without extent
        return Plate(0.0, 0.0, ())
    shown, left = list[PlateFrame](), kept.at(np.flatnonzero(area & ever))
    while len(shown) < BEST and left.size:
        gains = left.sum(axis=1)
        best = int(gains.argmax())
        if gains[best] < LEAST * size:
            break
        shown.append(PlateFrame(frame=kept.frames[best], share=round(int(gains[best]) / size, 4)))
        left = left[:, ~left[best]]
    return Plate(round(missing / size, 4), round(missing / area.size, 4), tuple(shown))


def _by_frame(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, list[StoredMask]]]:
    """The masks of each frame that have a pixel, with their rows."""
    columns = ("frame_number", "detection_id", "rle", "height", "width", "area")
    rows = (row for batch in batches for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True))
    for frame, masks in groupby(enumerate(rows), key=lambda one: one[1][0]):
        yield frame, [StoredMask(row, *mask[1:5]) for row, mask in masks if mask[5] > 0]
