"""Many tracks in large pictures: memory is that of one of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from reframer_pipeline.editing.matte.mattes import LONGEST, mattes
from reframer_pipeline.editing.matte.path import TrackPath
from reframer_pipeline.editing.source import SourceFrame
from reframer_pipeline.schemas import MASKS
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.boxes import Floats, Rgb
from reframer_pipeline.vision.segmenter import Mask
from reframer_pipeline_tests.support import MemoryInput

SIZE = (1280, 720)
FRAMES = 2 * LONGEST + 1
STEP = 16  # pixels from one track to the next


class Boxes:
    """A segmenter that finds what the box holds."""

    frames = 4

    def segment(self, frames: Sequence[tuple[Rgb, Floats]]) -> list[list[Mask]]:
        return [[Mask(*_filled(box, picture), 1.0, 1.0) for box in boxes] for picture, boxes in frames]


def _filled(box: Floats, picture: Rgb) -> tuple[str, int]:
    mask = np.zeros(picture.shape[:2], np.uint8)
    left, top, right, bottom = box.astype(int)
    mask[top:bottom, left:right] = 1
    return rle.encode(mask)


def _frames() -> Iterator[SourceFrame]:
    still = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    for number in range(FRAMES):
        yield SourceFrame(still, number=number, pts=number, seconds=number / 25)


def _paths(count: int) -> list[TrackPath]:
    corner = np.array([[STEP * n, STEP * n // 2] for n in range(count)], np.float32)
    boxes = np.hstack([corner, corner + 12])
    ends = np.array([0, FRAMES - 1], np.int32)
    return [
        TrackPath(f"obj_{n:03}", ends, ends / 25, np.stack([boxes[n]] * 2), (f"{n}:0", f"{n}:1"), ((0, FRAMES),), SIZE)
        for n in range(count)
    ]


def _stored(paths: Sequence[TrackPath]) -> MemoryInput:
    """All are stored in the first frame."""
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    named = {name: None for name in MASKS.names}
    rows = []
    for path in paths:
        compressed, area = _filled(path.xyxy[0], picture)
        rows.append(
            {
                **named, "mask_id": path.track_id, "detection_id": path.detection_ids[0], "frame_number": 0, "timestamp": 0.0,
                "height": SIZE[1], "width": SIZE[0], "rle": compressed, "area": area, "predicted_iou": 1.0, "stability": 1.0,
            }
        )  # fmt: skip
    return MemoryInput("masks", rows)


@pytest.mark.parametrize("steady", [True, False])
def test_memory_does_not_grow_with_the_tracks(steady: bool) -> None:
    count = 40
    paths = _paths(count)
    whole = np.logical_or.reduce([rle.decode(_filled(path.xyxy[0], np.zeros((SIZE[1], SIZE[0], 3)))[0], *SIZE[::-1]) for path in paths])
    seen = 0
    tracemalloc.start()
    try:
        for _, matte in mattes(_frames(), paths, _stored(paths), {0, FRAMES - 1}, Boxes(), steady=steady):
            assert np.array_equal(matte == 255, whole)
            seen += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    one = SIZE[0] * SIZE[1]  # bytes of a mask
    assert seen == FRAMES and peak < count * LONGEST * one / 3
