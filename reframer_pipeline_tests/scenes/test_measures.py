"""Figures against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.scenes.describer import TrackFigures, VideoFacts
from reframer_pipeline.scenes.measures import Sampling, measure_tracks, most_at_once
from reframer_pipeline.scenes.observations import load_observations
from reframer_pipeline.scenes.shots import Shot
from reframer_pipeline_tests.scenes.conftest import CUT, FPS, FRAMES, HEIGHT, STRIDE, WIDTH, HandMade

FIRST, SECOND = Shot(0, CUT, 0.0, 3.0), Shot(CUT, FRAMES, 3.0, 6.0)
VIDEO = VideoFacts(width=WIDTH, height=HEIGHT, duration_seconds=6.0, frame_count=FRAMES)
SAMPLED = np.arange(0, FRAMES, STRIDE, dtype=np.int32)
SAMPLING = Sampling(SAMPLED, SAMPLED / FPS)


def figures(video: HandMade, shot: Shot = FIRST) -> dict[str, TrackFigures]:
    given = video.inputs()
    seen = load_observations(given["trajectories"], given["masks"]).within(shot.start_frame, shot.end_frame)
    return {one.track_id: one for one in measure_tracks(shot, SAMPLING.within(shot), seen, VIDEO)}


def one_track(video: HandMade, boxes, **more) -> TrackFigures:
    video.add_track("obj_001", "product", "cup", boxes, **more)
    return figures(video)["obj_001"]


def test_spans_of_sampled_frames_add_up_to_the_shot():
    shot = Shot(3, 28, 0.3, 2.8)
    assert SAMPLING.within(shot).frame.tolist() == [5, 10, 15, 20, 25]
    assert SAMPLING.within(shot).spans(shot) == pytest.approx([0.7, 0.5, 0.5, 0.5, 0.3])


def test_a_walking_person(video):
    person = figures(video)["obj_001"]
    assert (person.visible_seconds, person.scene_share, person.sightings) == (3.0, 1.0, 6)
    assert (person.first_frame, person.end_frame) == (0, 26)
    assert person.area_share == pytest.approx(100 * 200 * 0.5 / (400 * 300), abs=1e-4)
    assert person.speed == pytest.approx(5 * 30 / 500 / 2.5)  # five steps of 30 pixels in 2.5 s
    assert person.heading == "right"
    assert (person.bbox.x, person.bbox.y, person.bbox.width, person.bbox.height) == (85, 50, 100, 200)
    assert (person.horizontal, person.vertical) == ("centre", "middle")  # mean centre 135 of 400, 150 of 300
    assert person.mask_stability == pytest.approx(0.97)
    assert (person.occlusion, person.gap_share, person.shape_change, person.border_share) == (0, 0, 0, 0)


def test_a_few_looks_are_kept_from_the_first_to_the_last(video):
    looks = figures(video)["obj_001"].looks
    assert [look.seconds for look in looks] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert [look.bbox.x for look in looks] == [10, 40, 70, 100, 130, 160]


def test_of_many_sightings_eight_are_kept(empty_video):
    empty_video.add_track("obj_001", "product", "cup", {5 * k: (10 * k, 0, 10 * k + 50, 50) for k in range(12)})
    looks = figures(empty_video, Shot(0, FRAMES, 0.0, 6.0))["obj_001"].looks
    assert len(looks) == 8 and (looks[0].seconds, looks[-1].seconds, looks[-1].bbox.x) == (0.0, 5.5, 110)


def test_overlap_counts_the_covered_part_of_each_own_box(video):
    """The person's right edge is at 110, 140 ... 260: it covers nothing, nothing, nothing, nothing, 20 and 20 pixels of the bottle."""
    both = figures(video)
    assert both["obj_002"].overlap == pytest.approx((0 + 0 + 0 + 0 + 50 / 60 + 50 / 60) / 6, abs=1e-4)
    assert both["obj_001"].overlap == pytest.approx(2 * (20 * 50) / (100 * 200) / 6, abs=1e-4)


def test_a_cup_that_comes_and_goes(video):
    """Seen in 30, 40 and 45 of 30, 35 ... 55."""
    cup = figures(video, SECOND)["obj_003"]
    assert cup.visible_seconds == 1.5
    assert cup.scene_share == 0.5
    assert cup.gap_share == cup.occlusion == 0.25  # 35 is missing of 30, 35, 40, 45
    assert cup.mask_stability is None
    assert cup.area_share == pytest.approx(60 * 60 / (400 * 300))  # by its box
    assert (cup.horizontal, cup.vertical) == ("right", "middle")
    assert (cup.speed, cup.heading) == (0, None)


def test_the_most_prominent_track_comes_first(video):
    assert list(figures(video)) == ["obj_001", "obj_002"]


def test_a_bite_out_of_the_mask_is_occlusion(empty_video):
    """Fill 0.8 as a rule, 0.34 in one of six sightings: half of what POSE leaves of the usual fill."""
    empty_video.add_track("obj_001", "product", "cup", {5 * k: (100, 100, 200, 200) for k in range(6)}, fill=0.8)
    empty_video.masks[3]["area"] = 3400
    assert figures(empty_video)["obj_001"].occlusion == pytest.approx((1 - 0.34 / (0.85 * 0.8)) / 6, abs=1e-4)


def test_the_pose_of_a_walking_person_is_no_occlusion(empty_video):
    empty_video.add_track("obj_001", "person", "person", {5 * k: (100, 100, 200, 200) for k in range(6)}, fill=0.5)
    for mask, area in zip(empty_video.masks, (5000, 4500, 4400, 5000, 4500, 4400), strict=True):
        mask["area"] = area
    person = figures(empty_video)["obj_001"]
    assert person.occlusion == 0
    assert person.shape_change == pytest.approx(0.1)  # median of 0.1, 0.022, 0.12, 0.1, 0.022


def test_growth_is_shape_change_even_across_boxes(empty_video):
    boxes = {5 * k: (100, 100, 100 + 50 * 2**k, 150) for k in range(3)}
    assert one_track(empty_video, boxes).shape_change == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("box", "touches"), [((0, 100, 50, 200), 1), ((10, 100, 399, 200), 1), ((10, 10, 390, 290), 0), ((10, 10, 20, 299), 1)]
)
def test_touching_the_border(empty_video, box, touches):
    assert one_track(empty_video, {0: box}).border_share == touches


@pytest.mark.parametrize(
    ("box", "words"),
    [((0, 0, 100, 100), ("left", "top")), ((150, 100, 250, 200), ("centre", "middle")), ((300, 220, 400, 300), ("right", "bottom"))],
)
def test_position_words(empty_video, box, words):
    track = one_track(empty_video, {0: box})
    assert (track.horizontal, track.vertical) == words


@pytest.mark.parametrize(("step", "heading"), [((10, 2), "right"), ((-10, 2), "left"), ((1, 9), "down"), ((1, -9), "up"), ((2, 2), None)])
def test_heading(empty_video, step, heading):
    boxes = {5 * k: (150 + step[0] * k, 120 + step[1] * k, 180 + step[0] * k, 150 + step[1] * k) for k in range(6)}
    assert one_track(empty_video, boxes).heading == heading


def test_presence_takes_half_a_second_or_half_the_shot(empty_video):
    empty_video.add_track("obj_001", "product", "cup", {0: (10, 10, 90, 90)})
    assert figures(empty_video)["obj_001"].present  # one sampled frame stands for 0.5 s
    brief = Shot(0, 8, 0.0, 0.8)
    assert figures(empty_video, brief)["obj_001"].visible_seconds == 0.5
    sliver = Shot(0, 30, 0.0, 3.0)
    seen = load_observations(empty_video.inputs()["trajectories"], empty_video.inputs()["masks"])
    dense = Sampling(np.arange(30, dtype=np.int32), np.arange(30) / 10)
    assert not measure_tracks(sliver, dense, seen, VIDEO)[0].present  # 0.1 s of 3 s


def test_a_mask_without_a_track_and_a_track_without_masks_are_harmless(video):
    video.masks[0]["detection_id"] = "nobody's"
    assert figures(video)["obj_001"].mask_stability == pytest.approx(0.97)


def test_where_some_sightings_have_masks_the_others_get_an_area_between(empty_video):
    """The box doubles its height from one sighting to the next; masks at the second and the fourth fill 0.4 and 0.8 of it."""
    empty_video.add_track("obj_001", "product", "cup", {5 * k: (100, 0, 110, 10 * 2**k) for k in range(5)})
    empty_video.add_track("obj_002", "product", "cup", {0: (0, 0, 50, 50)}, fill=None)
    for mask, fill, height in zip(empty_video.masks, (None, 0.4, None, 0.8, None), (10, 20, 40, 80, 160), strict=True):
        mask["area"] = None if fill is None else int(fill * 10 * height)
    empty_video.masks[:] = [mask for mask in empty_video.masks if mask["area"] is not None]
    given = empty_video.inputs()
    some = load_observations(given["trajectories"], given["masks"])
    every = some.with_all_areas()
    of_first = every.track == 0
    assert every.area[of_first].tolist() == pytest.approx([0.4 * 100, 0.4 * 200, 0.6 * 400, 0.8 * 800, 0.8 * 1600])
    assert every.area[~of_first].tolist() == [2500]  # a track without any mask goes by its boxes
    assert np.isnan(every.mask_area).sum() == np.isnan(some.mask_area).sum() == 4  # and nothing was measured of them


@pytest.mark.parametrize("batch_rows", [1, 2, 5])
def test_the_size_of_batches_changes_nothing(video, batch_rows):
    whole, small = video.inputs(), video.inputs(batch_rows)
    one = load_observations(whole["trajectories"], whole["masks"])
    other = load_observations(small["trajectories"], small["masks"])
    assert one.tracks == other.tracks
    for name in ("track", "frame", "xyxy", "confidence", "mask_area", "stability"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_most_at_once(video):
    seen = load_observations(video.inputs()["trajectories"], video.inputs()["masks"])
    assert most_at_once(seen, {"obj_002", "obj_003"}) == 1
    assert most_at_once(seen, {"obj_001", "obj_002", "obj_003"}) == 2
    assert most_at_once(seen, set()) == 0


def test_a_sighting_where_nothing_was_sampled_is_refused(empty_video):
    empty_video.add_track("obj_001", "product", "cup", {7: (10, 10, 90, 90)})
    with pytest.raises(InvalidResult, match="not sampled"):
        figures(empty_video)
