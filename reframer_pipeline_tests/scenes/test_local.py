"""The local describer: difficulties, importance and sentences."""

from __future__ import annotations

import pytest

from reframer_pipeline.scenes import wording
from reframer_pipeline.scenes.describer import SceneFacts, TrackFigures, VideoFacts
from reframer_pipeline.scenes.local import LocalDescriber
from reframer_pipeline_tests.scenes.tracks import track_figures as track

VIDEO = VideoFacts(width=400, height=300, duration_seconds=10.0, frame_count=250)


def scene(*tracks: TrackFigures, seconds: float = 2.0, **more) -> SceneFacts:
    people = sum(one.present and one.object_class == "person" for one in tracks)
    products = sum(one.present and one.object_class == "product" for one in tracks)
    span = {"start_frame": 0, "end_frame": 50, "start_seconds": 0, "end_seconds": seconds}
    facts = {"sampled_frames": 10, "most_people": people, "most_products": products, "detections": 20, **more}
    return SceneFacts(video=VIDEO, scene_number=1, tracks=tracks, **span, **facts)


def told(*tracks: TrackFigures, **more) -> str:
    return LocalDescriber().describe_scene(scene(*tracks, **more)).description


def test_who_is_there_and_how_they_move():
    text = told(
        track("obj_001", "person", "person", area_share=0.2, horizontal="left", speed=0.3, heading="right"),
        track("obj_002", "person", "person", area_share=0.1, horizontal="right", scene_share=0.5, visible_seconds=1.0, occlusion=0.2),
        track("obj_003", vertical="bottom", area_share=0.01),
    )
    assert text == (
        "A scene of 2.0 s with two people and one bottle. "
        "The first person (obj_001), large at the left, moves quickly to the right, in view throughout. "
        "The second person (obj_002), of middle size at the right, stands still, in view for 1.0 s of 2.0 s, partly hidden. "
        "The bottle (obj_003), small at the bottom, stands still, in view throughout."
    )


def test_people_who_take_turns_are_not_said_to_be_together():
    people = [track(f"obj_00{n}", "person", "person") for n in (1, 2)]
    assert told(*people, most_people=1).startswith("A scene of 2.0 s with two people, never more than one person at once.")


def test_a_crowd_is_not_listed_one_by_one():
    text = told(*(track(f"obj_00{n}") for n in range(1, 8)))
    assert text.startswith("A scene of 2.0 s with seven bottles.")
    assert text.endswith("Three more less prominent.")
    assert "obj_005" not in text


def test_nobody_nothing_and_nothing_looked_at():
    assert told() == "A scene of 2.0 s without people or products."
    assert told(track(present=False)) == "A scene of 2.0 s without people or products. Something was seen too briefly to count."
    assert told(sampled_frames=0, seconds=0.1) == "A scene of 0.1 s: no frame of it was sampled, so nothing in it was looked at."


@pytest.mark.parametrize(
    ("classes", "kind"), [((), "none"), (("person",), "person"), (("product",), "product"), (("product", "person"), "both")]
)
def test_the_type_of_a_scene(classes, kind):
    tracks = [track(f"obj_00{n}", name) for n, name in enumerate(classes)]
    assert LocalDescriber().describe_scene(scene(*tracks)).scene_type == kind


def test_importance_runs_from_one_to_ten():
    dull = scene(seconds=0.01)
    rich = scene(track("obj_001", "person", area_share=0.5, speed=0.5), track("obj_002"), seconds=10.0)
    assert LocalDescriber().describe_scene(dull).importance == 1
    assert LocalDescriber().describe_scene(rich).importance == 10


def test_importance_by_hand():
    """Length 2 of 10 s: 0.3 * 0.4; prominence 0.1 * 1: 0.3 * 0.4; both: 0.3; speed 0.15: 0.05. 1 + 9 * 0.59 = 6.31."""
    middling = scene(track("obj_001", "person", area_share=0.1, speed=0.15), track("obj_002", area_share=0.02))
    assert LocalDescriber().describe_scene(middling).importance == 6


def test_each_present_track_is_an_element_with_its_figures_and_reasons():
    answer = LocalDescriber().describe_scene(scene(track(speed=0.4, heading="left"), track("obj_002", present=False)))
    (element,) = answer.replaceable_elements
    assert (element.type, element.label, element.tracks, element.source) == ("product", "bottle", ("obj_001",), "local")
    assert element.figures["speed"] == 0.4
    assert [reason.factor for reason in element.difficulty_reasons][0] == "motion"
    assert element.description == "Bottle in the centre, in view throughout; it moves 0.40 frame diagonals a second"


def test_what_does_not_make_it_harder_is_not_spoken_of():
    (element,) = LocalDescriber().describe_scene(scene(track(speed=0.05, overlap=0.1))).replaceable_elements
    assert [reason.difficulty for reason in element.difficulty_reasons] == ["easy"] * len(element.difficulty_reasons)
    assert element.description == "Bottle in the centre, in view throughout"


def test_a_missing_figure_is_left_out_of_the_element():
    (element,) = LocalDescriber().describe_scene(scene(track(mask_stability=None))).replaceable_elements
    assert "mask_stability" not in element.figures


@pytest.mark.parametrize(
    ("word", "plural"),
    [("person", "people"), ("bottle", "bottles"), ("box", "boxes"), ("toothbrush", "toothbrushes"), ("knife", "knives"),
     ("baseball glove", "baseball gloves"), ("wine glass", "wine glasses"), ("toy", "toys"), ("berry", "berries")],
)  # fmt: skip
def test_plurals(word, plural):
    assert wording.plural(word) == plural


@pytest.mark.parametrize(("value", "said"), [(0.44, "0.4 s"), (59.96, "60.0 s"), (125, "2 min 5 s"), (4000, "1 h 7 min")])
def test_times(value, said):
    assert wording.seconds(value) == said
