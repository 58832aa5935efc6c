"""Plans: each shot by itself, the subject inside, and what happens where nothing is as it should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.editing.reframe.path import JERK, SPEED
from reframer_pipeline.editing.reframe.plan import Reframing, Wishes, reframing, share_inside
from reframer_pipeline.editing.reframe.window import Ratio
from reframer_pipeline.failures import NothingThere
from reframer_pipeline.handover import StageInput
from reframer_pipeline_tests.editing.reframe.made import STRIDE, crossing, even, results, still, track

TALL = Wishes(Ratio.read("9:16"))


def planned(made: dict[str, StageInput], **wishes: Any) -> Reframing:
    return reframing(made, "video", "clip.mp4", Wishes(**{"ratio": TALL.ratio, **wishes}))


def test_a_still_subject_has_one_keyframe() -> None:
    times = even(100)
    (shot,) = planned(results([track("obj_001", still(400, 50, 480, 330), times, (0, 100))], times)).shots
    assert len(shot.keys) == 1 and shot.inside == 1.0 and shot.window == (202, 360)
    assert np.ptp(shot.pixels, axis=0).tolist() == [0, 0] and shot.pixels[0] == pytest.approx([339, 0], abs=1)


def test_a_subject_that_crosses_is_followed() -> None:
    times = even(150)
    (shot,) = planned(results([track("obj_001", crossing(90), times, (0, 150))], times)).shots
    assert shot.inside == 1.0
    assert shot.curves[0].speed <= SPEED * 640 and shot.curves[0].jerk <= JERK * 640
    assert (np.diff(shot.pixels[:, 0]) >= 0).all() and np.ptp(shot.pixels[:, 0]) > 300


def test_the_window_jumps_exactly_at_the_cut_and_the_shots_know_nothing_of_each_other() -> None:
    times, cut = even(120), 57
    before = track("obj_001", crossing(60), times, (0, cut))
    after = track("obj_002", still(500, 50, 580, 330), times, (cut, 120))
    first, second = planned(results([before, after], times, [cut])).shots
    assert (first.end_frame, second.start_frame, second.keys[0]) == (cut, cut, 0)
    assert np.ptp(second.pixels, axis=0).tolist() == [0, 0] and second.pixels[0, 0] - first.pixels[-1, 0] > 150
    alone, nothing = planned(results([before], times, [cut])).shots
    assert (alone.pixels == first.pixels).all() and nothing.subject.tracks == ()
    _, alone = planned(results([after], times, [cut])).shots
    assert (alone.pixels == second.pixels).all()


def test_what_was_chosen_and_does_not_fit_is_counted_and_named() -> None:
    times = even(100)
    pair = [track("obj_001", still(0, 40, 80, 340), times, (0, 100)), track("obj_002", still(560, 40, 640, 340), times, (0, 100))]
    made = results(pair, times)
    both = planned(made, track_ids=frozenset({"obj_001", "obj_002"}))
    assert both.inside == 0.0 and both.left_out == ["obj_002"]
    by_weight = planned(made)
    assert by_weight.inside == 1.0 and by_weight.left_out == []
    alone = planned(made, track_ids=frozenset({"obj_002"}))
    assert alone.inside == 1.0 and alone.left_out == []
    barred = planned(made, label="person", letterbox=True)
    assert barred.inside == 1.0 and barred.left_out == []


def test_of_a_crowd_that_was_chosen_all_count() -> None:
    times = even(50)
    row = [track(f"obj_{number:03}", still(number * 60, 40, number * 60 + 50, 340), times, (0, 50)) for number in range(10)]
    crowd = planned(results(row, times), label="person")
    assert crowd.inside == 0.0 and "obj_009" in crowd.left_out


def test_a_subject_wider_than_the_window_fills_it() -> None:
    times = even(60)
    (shot,) = planned(results([track("obj_001", still(100, 0, 500, 360), times, (0, 60))], times)).shots
    assert shot.inside == 0.0 and shot.pixels[0, 0] == pytest.approx(300 - 101, abs=1) and len(shot.keys) == 1


def test_one_that_is_taller_is_shown_from_its_top() -> None:
    times = even(60)
    made = results([track("obj_001", still(20, 100, 300, 600), times, (0, 60))], times, picture=(360, 640))
    (shot,) = planned(made, ratio=Ratio.read("16:9")).shots
    assert shot.window == (360, 202) and 100 <= shot.pixels[0, 1] <= 121


def test_of_two_far_apart_one_is_shown_whole_or_both_with_bars() -> None:
    times = even(60)
    left = track("obj_001", still(0, 40, 120, 340), times, (0, 60))
    right = track("obj_002", still(520, 100, 600, 330), times, (0, 60))
    made = results([left, right], times)
    (shot,) = planned(made).shots
    assert shot.pixels[0, 0] == 0 and shot.inside == 1.0 and [one for one, _ in shot.subject.tracks] == ["obj_001"]
    (shot,) = planned(made, track_ids=frozenset({"obj_002"})).shots
    assert shot.pixels[0, 0] == 438 and not shot.whole
    (shot,) = planned(made, letterbox=True).shots
    assert shot.whole and shot.window == (640, 360) and shot.inside == 1.0


def test_bars_only_where_they_are_needed() -> None:
    times = even(100)
    tracks = [track("obj_001", still(0, 40, 400, 340), times, (0, 50)), track("obj_002", still(300, 40, 380, 340), times, (50, 100))]
    plan = planned(results(tracks, times, [50]), letterbox=True)
    assert [shot.whole for shot in plan.shots] == [True, False] and plan.size == (202, 360)


def test_where_no_chosen_track_is_in_view_whatever_is_there_counts() -> None:
    times = even(100)
    tracks = [
        track("obj_001", still(0, 40, 80, 340), times, (0, 50)),
        track("obj_002", still(500, 100, 560, 300), times, (0, 50), kind="product", label="cup"),
        track("obj_003", still(540, 40, 620, 340), times, (50, 100)),
    ]
    first, second = planned(results(tracks, times, [50]), label="cup").shots
    assert [one for one, _ in first.subject.tracks] == ["obj_002"] and [one for one, _ in second.subject.tracks] == ["obj_003"]


def test_an_empty_scene_and_one_of_a_single_frame() -> None:
    times = even(41)
    empty, single = planned(results([], times, [40])).shots
    assert (len(empty.seconds), len(single.seconds)) == (40, 1)
    for shot in (empty, single):
        assert shot.inside is None and shot.pixels[0].tolist() == [219, 0] and len(shot.keys) == 1
    assert planned(results([], times, [40])).inside is None
    seen = track("obj_001", still(0, 0, 60, 60), times, (40, 41))
    assert planned(results([seen], times, [40])).shots[1].pixels[0].tolist() == [0, 0]


def test_one_scene_alone_and_one_that_is_not_there() -> None:
    times = even(100)
    made = results([track("obj_001", crossing(60), times, (0, 100))], times, [50])
    (shot,) = planned(made, scene=2).shots
    assert (shot.scene_number, shot.start_frame, shot.end_frame) == (2, 50, 100) and shot.inside == 1.0
    with pytest.raises(NothingThere, match="scene 3"):
        planned(made, scene=3)


def test_drawn_subjects_are_inside_at_every_frame_and_the_window_is_calm() -> None:
    """The true boxes of every fifth frame, held against those of all frames."""
    clip = make_clip(5_000_031, n_frames=100, shots=2)
    boxes: dict[int, dict[int, tuple[float, ...]]] = {}
    kinds = {}
    for frame in range(clip.n_frames):
        for one in clip.frame(frame)[1]:
            if one.visible_fraction >= 0.25:
                boxes.setdefault(one.object_id, {})[frame] = one.xyxy
                kinds[one.object_id] = one.object_class
    times, tracks = even(clip.n_frames), []
    for number, seen in boxes.items():
        frames = [frame for frame in seen if frame % STRIDE == 0]
        if frames:
            whole = track(f"obj_{number:03}", still(0, 0, 1, 1), times, (frames[0], frames[-1] + 1), kind=kinds[number])
            for step in (steps := [step for step in whole["frames"] if step["frame"] in seen]):
                step.update(zip(("x1", "y1", "x2", "y2"), seen[step["frame"]], strict=True))
            tracks.append({**whole, "frames": steps})
    shots = planned(results(tracks, times, clip.cuts)).shots
    shares, centred = [], []
    for shot in shots:
        heaviest = int(shot.subject.tracks[0][0].removeprefix("obj_"))
        true = np.array([boxes[heaviest].get(frame, (np.nan,) * 4) for frame in range(shot.start_frame, shot.end_frame)])
        shares.append(share_inside(true, shot.pixels, shot.window, slack=1))
        centred.append(share_inside(true, np.full_like(shot.pixels, 219) * [1, 0], shot.window, slack=1))
        assert shot.curves[0].speed <= SPEED * 640 and shot.curves[0].jerk <= JERK * 640 * (1 + 1e-9)
    assert min(shares) >= 0.98 > min(centred)
