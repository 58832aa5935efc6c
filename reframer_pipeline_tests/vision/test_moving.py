"""What is in view between sampled frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from reframer_pipeline.vision import rle
from reframer_pipeline.vision.boxes import FrameDetections
from reframer_pipeline.vision.moving import FrameTime, Masks, Seen, in_view, items

TRACKS = {"a0": (1, "obj_001"), "a5": (1, "obj_001"), "a15": (1, "obj_001"), "b0": (2, "obj_002")}


def found(number: int, **boxes: Sequence[float]) -> FrameDetections:
    names, count = list(boxes), len(boxes)
    return FrameDetections(
        frame_number=number,
        timestamp=number / 25,
        detection_ids=names,
        labels=["cup"] * count,
        object_classes=["product"] * count,
        confidence=np.full(count, 0.9, np.float32),
        xyxy=np.array(list(boxes.values()), np.float32).reshape(-1, 4),
        candidate=np.zeros(count, bool),
    )


def frames(count: int = 20, stride: int = 5) -> list[FrameTime]:
    return [FrameTime(n, n / 25 + (0.01 if n == 2 else 0), n % stride == 0) for n in range(count)]


SEEN = [
    found(0, a0=[0, 0, 10, 20], b0=[50, 50, 60, 60], stray=[1, 1, 9, 9]),
    found(5, a5=[10, 0, 30, 20]),
    found(15, a15=[40, 0, 60, 20]),
]


def told(cuts: Sequence[int] = (0,), count: int = 20) -> dict[int, dict[str, Seen]]:
    return {frame.number: {one.track[1]: one for one in seen} for frame, seen in in_view(frames(count), SEEN, TRACKS, cuts)}


def test_a_box_moves_evenly_in_time_between_two_sampled_frames() -> None:
    seen = told()
    assert list(seen) == list(range(20))
    assert seen[0]["obj_001"].measured and seen[0]["obj_001"].xyxy.tolist() == [0, 0, 10, 20]
    assert seen[5]["obj_001"].measured and seen[5]["obj_001"].xyxy.tolist() == [10, 0, 30, 20]
    assert seen[3]["obj_001"].xyxy == pytest.approx([6, 0, 22, 20]) and not seen[3]["obj_001"].measured
    assert seen[2]["obj_001"].xyxy == pytest.approx([4.5, 0, 19, 20])  # it is 0.01 s late


def test_what_is_not_seen_again_stays_for_as_long_as_its_sighting_stands_for() -> None:
    seen = told()
    assert [number for number in seen if "obj_002" in seen[number]] == [0, 1, 2, 3, 4]
    assert all(seen[number]["obj_002"].xyxy.tolist() == [50, 50, 60, 60] for number in range(5))
    assert [number for number in seen if "obj_001" in seen[number]] == [*range(10), *range(15, 20)]  # lost for a while
    assert seen[9]["obj_001"].xyxy.tolist() == [10, 0, 30, 20]


def test_nothing_goes_over_a_cut() -> None:
    seen = told(cuts=(0, 3, 15))
    assert [number for number in seen if seen[number]] == [0, 1, 2, *range(5, 10), *range(15, 20)]


def test_a_video_of_nothing_and_one_that_begins_unseen() -> None:
    assert [seen for _, seen in in_view([], [], {}, [])] == []
    late = [FrameTime(0, 0.0, False), FrameTime(1, 0.04, False), FrameTime(2, 0.08, True)]
    assert [len(seen) for _, seen in in_view(late, [found(2, a0=[0, 0, 9, 9])], TRACKS, [0])] == [0, 0, 1]


def test_a_mask_goes_along_with_its_box() -> None:
    mask = np.zeros((40, 80), bool)
    mask[0:20, 0:10] = True
    compressed, _ = rle.encode(mask)
    masks, shown = Masks({0: {"a0": compressed}}.get, (40, 80), (20, 40)), {}
    for frame, seen in in_view(frames(), SEEN, TRACKS, [0]):
        masks.look(frame)
        shown[frame.number] = {item.text: item for item in items(seen, masks, (40, 80), (20, 40))}
    first, third = shown[0]["obj_001 cup"], shown[3]["obj_001 cup"]
    assert first.xyxy == (0, 0, 5, 10) and first.mask is not None and third.mask is not None
    assert first.mask[:10, :5].all() and first.mask.sum() == 50
    assert third.mask[:10, 3:11].mean() > 0.8 and third.mask.sum() == pytest.approx(80, abs=11)
    assert shown[3]["obj_002 cup"].mask is None and shown[5]["obj_001 cup"].mask is None  # nothing is kept of the sampled frame before
