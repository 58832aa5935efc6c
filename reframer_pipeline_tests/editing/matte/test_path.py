"""Where a track is between its sightings, and where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reframer_pipeline.editing.matte.path import TrackPath, paths_of

SIZE = (640, 360)


def _path(
    frames: list[int], *, shots: list[tuple[int, int]], sampled: range | list[int], left: list[float] | None = None, buffer_s: float = 1.0
) -> TrackPath:
    """A box of 40x20 at 25 frames a second."""
    lefts = left or [10.0 * frame for frame in frames]
    seen: list[dict[str, Any]] = [
        {"frame": frame, "timestamp": frame / 25, "x1": x, "y1": 100.0, "x2": x + 40, "y2": 120.0, "detection_id": f"d{frame}"}
        for frame, x in zip(frames, lefts, strict=True)
    ]
    (found,) = paths_of([{"track_id": "obj_001", "frames": seen}], shots, np.array(sampled, np.int32), buffer_s, SIZE)
    return found


def _left(path: TrackPath, frame: int) -> float:
    place = path.at(frame, frame / 25)
    assert place is not None
    return float(place.xyxy[0])


def test_boxes_lie_straight_between_sightings_in_time() -> None:
    path = _path([0, 5, 10], shots=[(0, 50)], sampled=range(0, 50, 5))
    assert [_left(path, frame) for frame in (0, 3, 5, 9)] == pytest.approx([0, 30, 50, 90])
    late = path.at(3, 0.18)  # variable rate: the frame is shown late
    assert late is not None and late.xyxy[0] == pytest.approx(45)


def test_a_sighting_has_the_measured_box() -> None:
    path = _path([0, 5], shots=[(0, 50)], sampled=range(0, 50, 5), left=[1.25, 7.7])
    place = path.at(5, 0.2)
    assert place is not None and place.sightings == (1,) and np.array_equal(place.xyxy, path.xyxy[1])


def test_a_cut_ends_the_range() -> None:
    """Sightings in 50 and 55; cuts at 48 and 58, between sampled frames."""
    path = _path([50, 55], shots=[(0, 48), (48, 58), (58, 100)], sampled=range(0, 100, 5))
    assert path.spans == ((48, 58),)
    assert path.at(47, 47 / 25) is None and path.at(58, 58 / 25) is None
    assert _left(path, 48) == pytest.approx(480) and _left(path, 57) == pytest.approx(570)


def test_without_a_cut_it_ends_with_its_last_sighting() -> None:
    assert _path([10, 15, 20], shots=[(0, 50)], sampled=range(0, 50, 5)).spans == ((10, 21),)


def test_the_end_of_the_video_is_as_a_cut() -> None:
    assert _path([0, 5], shots=[(0, 8)], sampled=range(0, 8, 5)).spans == ((0, 8),)


def test_nothing_is_interpolated_over_a_cut_even_if_a_track_were_to_go_through_one() -> None:
    assert _path([0, 5, 10, 15], shots=[(0, 8), (8, 20)], sampled=range(0, 20, 5)).spans == ((0, 8), (8, 20))


def test_a_gap_longer_than_the_tracker_waits_has_no_matte() -> None:
    path = _path([0, 5, 45, 50], shots=[(0, 100)], sampled=range(0, 100, 5))
    assert path.spans == ((0, 6), (45, 51))
    assert path.at(20, 0.8) is None
    assert _path([0, 5, 25, 30], shots=[(0, 100)], sampled=range(0, 100, 5)).spans == ((0, 31),)  # 0.8 s: it was waited for


def test_slides_further_apart_than_the_tracker_waits_are_neighbours() -> None:
    assert _path([0, 40, 80], shots=[(0, 120)], sampled=range(0, 120, 40)).spans == ((0, 120),)


def test_boxes_stay_in_the_picture_and_keep_a_size() -> None:
    path = _path([0, 5], shots=[(0, 100)], sampled=[0, 5], left=[500, 600])
    place = path.at(99, 4.0)
    assert place is not None and place.sightings == (1,)
    assert (place.xyxy[2:] > place.xyxy[:2]).all() and place.xyxy[2] <= 640 and place.xyxy[0] >= 0


def test_a_track_seen_once_stands_still() -> None:
    path = _path([5], shots=[(3, 9)], sampled=[0, 5])
    assert path.spans == ((3, 9),) and [_left(path, frame) for frame in (3, 5, 8)] == [50, 50, 50]
