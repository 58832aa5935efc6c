"""What must stay in view: where tracks are between sightings, which of them count."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from reframer_pipeline.editing.reframe.subject import Subject, chosen, read_tracks, subject_of
from reframer_pipeline.failures import NothingThere
from reframer_pipeline_tests.editing.reframe.made import Place, crossing, even, still, track
from reframer_pipeline_tests.support import MemoryInput

PICTURE, WINDOW = (640, 360), (202, 360)
TIMES = even(50)


def subject(*places: tuple[Place, tuple[int, int], str]) -> Subject:
    rows = [track(f"obj_{number:03}", place, TIMES, frames, kind=kind) for number, (place, frames, kind) in enumerate(places, start=1)]
    return subject_of(read_tracks(MemoryInput("trajectories", rows, batch_rows=1)), np.array(TIMES), PICTURE, WINDOW)


def test_between_sightings_it_goes_on_evenly() -> None:
    box = subject((crossing(100), (10, 31), "person")).xyxy
    assert np.isnan(box[:6]).all()  # not before it can have come
    assert box[22] == pytest.approx([20 + 88, 60, 100 + 88, 300], abs=0.01)
    assert box[7, 0] == pytest.approx(20 + 28, abs=0.01) and box[33, 0] == pytest.approx(20 + 132, abs=0.01)
    assert np.isnan(box[35:]).all()


def test_of_two_that_are_far_apart_the_heavier_one_counts_alone() -> None:
    found = subject((still(0, 200, 60, 300), (0, 50), "person"), (still(500, 40, 620, 340), (0, 50), "person"))
    assert [one for one, _ in found.tracks] == ["obj_002"] and found.xyxy[20] == pytest.approx([500, 40, 620, 340])
    assert found.whole[20] == pytest.approx([0, 40, 620, 340])


def test_what_fits_beside_it_counts_too_and_what_is_passed_by_does_not() -> None:
    found = subject(
        (still(300, 40, 420, 340), (0, 50), "person"),
        (still(430, 200, 480, 260), (0, 50), "product"),
        (crossing(250, 0, 60), (0, 50), "product"),
    )
    assert [one for one, _ in found.tracks] == ["obj_001", "obj_002"]
    assert found.xyxy[10] == pytest.approx([300, 40, 480, 340]) and found.first[10] == pytest.approx([300, 40, 420, 340])


def test_a_person_weighs_more_than_a_product_of_the_same_size_and_time_more_than_size() -> None:
    same = subject((still(0, 100, 100, 300), (0, 50), "product"), (still(500, 100, 600, 300), (0, 50), "person"))
    assert same.tracks[0][0] == "obj_002"
    longer = subject((still(0, 40, 150, 340), (0, 6), "person"), (still(500, 100, 600, 300), (0, 50), "person"))
    assert longer.tracks[0][0] == "obj_002" and longer.tracks[0][1] == 1.0


def test_a_crowd_takes_no_memory_for_frames_that_it_is_not_in() -> None:
    times = even(20_000)
    rows = [track(f"obj_{number:03}", still(0, 0, 50, 99), times, (number * 50, number * 50 + 60)) for number in range(398)]
    tracks = read_tracks(MemoryInput("trajectories", rows))
    tracemalloc.start()
    try:
        found = subject_of(tracks, np.array(times), PICTURE, WINDOW)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * 32 * len(times)  # boxes a frame
    assert not np.isnan(found.whole[:19_800]).any() and len(found.tracks) == 8


def test_one_after_the_other_both_count() -> None:
    found = subject((still(0, 100, 100, 300), (0, 21), "person"), (still(500, 100, 600, 300), (30, 50), "person"))
    assert {one for one, _ in found.tracks} == {"obj_001", "obj_002"}
    assert found.xyxy[10, 0] == 0 and found.xyxy[40, 0] == 500


def test_what_somebody_chose() -> None:
    rows = [
        track("obj_001", still(0, 0, 9, 9), TIMES, (0, 50), kind="product", label="cup"),
        track("obj_002", still(0, 0, 9, 9), TIMES, (0, 50)),
    ]
    tracks = read_tracks(MemoryInput("trajectories", rows))
    assert chosen(tracks, [], None) == set() and chosen(tracks, ["obj_002"], None) == {"obj_002"}
    assert chosen(tracks, [], "CUP") == {"obj_001"} and chosen(tracks, [], "product") == {"obj_001"}
    assert chosen(tracks, ["obj_002"], "cup") == {"obj_001", "obj_002"}
    with pytest.raises(NothingThere, match="obj_009"):
        chosen(tracks, ["obj_001", "obj_009"], None)
    with pytest.raises(NothingThere, match="boat.*cup, person"):
        chosen(tracks, [], "boat")
