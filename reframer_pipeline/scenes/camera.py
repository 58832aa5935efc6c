"""Whether the camera stands still in a shot, seen from its sampled frames.

What belongs here: that rule. What does not: what follows from it (`plates`), reading stored pictures (`media`).

Corners of the first sampled frame are looked for in every other one (Shi-Tomasi corners, pyramidal Lucas-Kanade), in pictures with SIDE
pixels at the longer side. Corners in the box of a track, in either frame, do not count. The picture is parted into TILES x TILES tiles. A
tile is where it was if at least FEW of its corners, and a QUARTER of them, moved by less than TOLERANCE pixels. The camera stands still if
in every sampled frame that holds for at least FEWEST tiles, and for a THIRD of those that have FEW corners.

A camera that pans, shakes or zooms leaves next to no corner where it was, whatever moves before it. And nothing but a still camera leaves
corners all over the picture where they were: so hardly a title or a watermark deceives, and what no detector knows may walk about. Where it
cannot be told, as before a blank wall, the camera does not count as still.

In real clips 11 to 100 % of all corners stay where the camera is on a stand, and up to 3 % where it is held or turned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline.scenes.observations import Observations
from reframer_pipeline.scenes.shots import Shot

Picture = npt.NDArray[np.uint8]
Camera = Callable[[Shot, npt.NDArray[np.int32], Observations], bool | None]
"""Says of a shot, its sampled frames and its sightings whether the camera stands still; None: it was not looked at."""

SIDE: Final = 320  # pixels
TOLERANCE: Final = 0.5  # pixels; what sensors, compression and the method itself do is some 0.2
TILES: Final = 4
FEW: Final = 2
QUARTER, THIRD = 1 / 4, 1 / 3
FEWEST: Final = 3
CORNERS, QUALITY, APART = 400, 0.002, 6  # at most; of the best one's strength; pixels
AROUND: Final = 2  # pixels beyond a box that count as its own


def not_looked_at(shot: Shot, frames: npt.NDArray[np.int32], seen: Observations) -> None:
    """A `Camera` where there are no pictures."""


def stands_still(
    frames: npt.NDArray[np.int32], seen: Observations, width: int, height: int, picture: Callable[[int, int], Picture]
) -> bool:
    """Whether the camera stands still.

    Args:
        frames: The sampled frames of a shot, ascending.
        seen: The sightings in them.
        width: Of the video, displayed pixels; boxes are in these.
        height: Likewise.
        picture: Gives the RGB picture of a frame with about so many pixels, such as `FrameStore.thumbnail`.
    """
    import cv2

    if frames.size < 2:
        return frames.size == 1  # one frame lines up with itself
    pixels = round(width * height * min(1.0, SIDE / max(width, height)) ** 2)

    def look(frame: int) -> tuple[Picture, npt.NDArray[np.float32]]:
        grey = np.asarray(cv2.cvtColor(picture(frame, pixels), cv2.COLOR_RGB2GRAY), np.uint8)
        scale = np.array(grey.shape[::-1], np.float32) / (width, height)
        return grey, seen.within(frame, frame + 1).xyxy * np.tile(scale, 2)

    first, boxes = look(int(frames[0]))
    found = cv2.goodFeaturesToTrack(first, CORNERS, QUALITY, APART)
    corners = np.empty((0, 2), np.float32) if found is None else found.reshape(-1, 2)
    corners = corners[~_within(corners, boxes)]
    column, row = (corners * TILES / first.shape[::-1]).astype(np.intp).T
    tile = TILES * row + column
    for frame in frames[1:].tolist():
        if len(corners) < FEW * FEWEST:
            return False
        grey, boxes = look(frame)
        moved, known, _ = cv2.calcOpticalFlowPyrLK(first, grey, corners, np.empty_like(corners), winSize=(15, 15), maxLevel=2)
        there = (known.ravel() == 1) & (np.linalg.norm(moved - corners, axis=1) < TOLERANCE)
        if not _most_stand_still(tile, there, ~_within(corners, boxes)):
            return False
    return True


def _most_stand_still(tile: npt.NDArray[np.intp], there: npt.NDArray[np.bool_], counts: npt.NDArray[np.bool_]) -> bool:
    corners, still = np.bincount(tile[counts], minlength=TILES**2), np.bincount(tile[counts & there], minlength=TILES**2)
    stand = np.count_nonzero((still >= FEW) & (still >= QUARTER * corners))
    return bool(stand >= max(FEWEST, THIRD * np.count_nonzero(corners >= FEW)))


def _within(points: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which points `(n, 2)` lie in one of the boxes `(m, 4)`."""
    after, before = points[:, None] >= boxes[None, :, :2] - AROUND, points[:, None] <= boxes[None, :, 2:] + AROUND
    return np.asarray(np.any(np.all(after & before, axis=2), axis=1))
