"""What is seen behind tracks: against the truth of drawn shots, and on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reframer_pipeline.demo.render import SCENERY
from reframer_pipeline.demo.shots import make_shot
from reframer_pipeline.scenes.describer import VideoFacts
from reframer_pipeline.scenes.observations import load_observations
from reframer_pipeline.scenes.plates import MOST, Plate, Plates
from reframer_pipeline_tests.scenes.conftest import HEIGHT, WIDTH, HandMade
from reframer_pipeline_tests.scenes.drawn import Drawn, draw
from reframer_pipeline_tests.support import MemoryInput

VIDEO = VideoFacts(width=WIDTH, height=HEIGHT, duration_seconds=6.0, frame_count=60)
CLOSE = 0.06  # cells have 2 pixels, and one that is covered in part counts as covered: so never less is missing than is true


def behind(tables: dict[str, MemoryInput], frames: np.ndarray, video: VideoFacts = VIDEO) -> dict[str, Plate]:
    seen = load_observations(tables["trajectories"], tables["masks"]).within(int(frames[0]), int(frames[-1]) + 1)
    tracks = {seen.tracks[one].track_id for one in seen.track.tolist()}
    return Plates(video, tables["detections"], tables["masks"]).behind(frames, seen, tracks)


@pytest.fixture(scope="module")
def shots() -> list[Drawn]:
    """Shots whose camera stands still, with people who walk, stand, enter and leave before products."""
    shots = [make_shot(np.random.default_rng([1_000_000, seed]), 640, 360, 0, 100, 25.0, 1) for seed in range(8)]
    return [draw(replace(one, pan=(0.0,) * 4, zoom=(1.1, 1.1), shake=(0.0, 0.0))) for one in shots]


def test_what_is_never_seen_is_what_is_true_of_drawn_shots(shots: list[Drawn]) -> None:
    truths, off = [], []
    for shot in shots:
        found = behind(shot.tables, shot.frames, VideoFacts(width=640, height=360, duration_seconds=4, frame_count=100))
        for name, plate in found.items():
            never, missing = shot.seen_behind(int(name.removeprefix("obj_")))
            assert -1e-4 <= plate.plate_never_seen - never <= CLOSE, name
            assert -1e-4 <= plate.plate_missing - missing <= CLOSE * max(missing, 0.1), name
            truths.append(never)
            off.append(plate.plate_never_seen - never)
    assert np.mean(off) < 0.015
    low, high = np.mean(np.array(truths) < 0.3), np.mean(np.array(truths) == 1)
    assert low > 0.1 and high > 0.1 and low + high < 0.9  # or the shots would prove little


def test_the_frames_show_what_they_are_said_to(shots: list[Drawn]) -> None:
    told = 0
    for shot in shots:
        found = behind(shot.tables, shot.frames, VideoFacts(width=640, height=360, duration_seconds=4, frame_count=100))
        for name, plate in found.items():
            owners = shot.owners.values()
            left = area = np.any([owner == int(name.removeprefix("obj_")) for owner in owners], axis=0)
            for one in plate.plate_frames:
                free = shot.owners[one.frame] == SCENERY
                assert one.share == pytest.approx((left & free).sum() / area.sum(), abs=CLOSE), name
                best = max((left & (owner == SCENERY)).sum() / area.sum() for owner in owners)
                assert one.share >= best - CLOSE
                left, told = left & ~free, told + 1
            assert sum(one.share for one in plate.plate_frames) <= 1 - plate.plate_never_seen + 1e-3
    assert told > 10


def on_paper(video: HandMade, *frames: int) -> dict[str, Plate]:
    return behind(video.inputs(), np.array(frames, np.int32))


def test_of_two_places_each_shows_what_the_other_hides(empty_video: HandMade) -> None:
    empty_video.add_track("obj_001", "product", "cup", {0: (0, 0, 40, 40), 5: (20, 0, 60, 40)}, fill=None)
    (plate,) = on_paper(empty_video, 0, 5).values()
    # 60 by 40 in all; 20 by 40 in the middle is covered in both
    assert plate.plate_never_seen == pytest.approx(1 / 3, abs=1e-4) and plate.plate_missing == pytest.approx(
        20 * 40 / (400 * 300), abs=1e-4
    )
    assert [(one.frame, one.share) for one in plate.plate_frames] == [(0, 0.3333), (5, 0.3333)]


def test_a_frame_without_it_shows_all_and_the_earliest_of_equals_is_named(empty_video: HandMade) -> None:
    empty_video.add_track("obj_001", "product", "cup", {5: (0, 0, 40, 40)}, fill=None)
    assert [(one.frame, one.share) for one in on_paper(empty_video, 0, 5, 10)["obj_001"].plate_frames] == [(0, 1.0)]
    (plate,) = on_paper(empty_video, 5).values()
    assert plate == Plate(1.0, round(1600 / 120000, 4), ())


def test_who_stands_there_meanwhile_hides_it_as_well(empty_video: HandMade) -> None:
    empty_video.add_track("obj_001", "product", "cup", {0: (0, 0, 40, 40)}, fill=None)
    empty_video.add_track("obj_002", "person", "person", {5: (0, 0, 20, 40)}, fill=None)
    assert on_paper(empty_video, 0, 5)["obj_001"].plate_never_seen == 0.5


@pytest.mark.parametrize("candidate", [False, True])
def test_so_does_a_detection_in_no_track_however_unsure(empty_video: HandMade, candidate: bool) -> None:
    empty_video.add_track("obj_001", "product", "cup", {0: (0, 0, 40, 40)}, fill=None)
    empty_video.add_track("obj_002", "product", "vase", {5: (0, 0, 20, 40)}, fill=None)
    del empty_video.trajectories[1]
    empty_video.detections[-1]["candidate"] = candidate
    assert on_paper(empty_video, 0, 5)["obj_001"].plate_never_seen == 0.5


def test_a_track_that_is_lost_for_a_while_may_be_there_all_the_same(empty_video: HandMade) -> None:
    empty_video.add_track("obj_001", "product", "cup", {0: (0, 0, 40, 40), 15: (0, 0, 40, 40)}, fill=None)
    assert on_paper(empty_video, 0, 5, 10, 15)["obj_001"] == Plate(1.0, round(1600 / 120000, 4), ())
    empty_video.add_track("obj_002", "product", "vase", {0: (100, 0, 140, 40), 10: (140, 0, 180, 40)}, fill=None)
    (plate,) = (one for name, one in on_paper(empty_video, 0, 5, 10, 15).items() if name == "obj_002")
    assert [(one.frame, one.share) for one in plate.plate_frames] == [(15, 1.0)]  # in frame 5 it may be at either place


def test_a_track_found_again_among_the_candidates_covers_its_box(empty_video: HandMade) -> None:
    empty_video.add_track("obj_001", "product", "cup", {0: (0, 0, 40, 40), 5: (0, 0, 20, 40)}, fill=None)
    empty_video.detections[-1]["candidate"] = True
    assert on_paper(empty_video, 0, 5)["obj_001"].plate_never_seen == 0.5


def test_boxes_outside_the_picture_or_without_extent_fail_nothing(empty_video: HandMade) -> None:
    empty_video.add_track("obj_001", "product", "cup", {0: (-20, -20, 40, 40), 5: (390, 290, 450, 320)}, fill=None)
    empty_video.add_track("obj_002", "product", "cup", {0: (40, 40, 40, 40)}, fill=None)
    found = on_paper(empty_video, 0, 5)
    assert found["obj_001"].plate_never_seen == 0 and found["obj_002"] == Plate(0.0, 0.0, ())


def test_of_a_long_scene_the_frames_that_are_held_have_an_end(empty_video: HandMade) -> None:
    count = 3 * MOST
    empty_video.add_track("obj_001", "product", "cup", {0: (0, 0, 40, 40), **{k: (0, 0, 20, 40) for k in range(1, count - 1)}}, fill=None)
    (plate,) = on_paper(empty_video, *range(count)).values()
    assert plate.plate_never_seen == 0  # the last frame is without it, and counts whether or not it is held
    assert all(one.frame % 4 == 0 for one in plate.plate_frames) and plate.plate_frames[0].share == 0.5
