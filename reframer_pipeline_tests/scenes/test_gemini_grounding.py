"""What becomes of an answer: its times against the cuts, its elements against the tracks."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from reframer_pipeline import versions
from reframer_pipeline.scenes.describer import Box, SceneFacts, TrackFigures
from reframer_pipeline.scenes.gemini.grounded import GeminiDescriber
from reframer_pipeline.scenes.gemini.matching import LEAST, match
from reframer_pipeline.scenes.gemini.prompt import AnsweredElement, AnsweredScene, VideoAnswer, answer_schema, question_digest, task
from reframer_pipeline.scenes.gemini.times import place
from reframer_pipeline_tests.scenes.test_local import VIDEO, track

CUTS = [0.0, 3.0, 7.0, 10.0]
FACTS = {"duration_seconds": 10.0, "width": 400, "height": 300}


def said(start: Any, end: Any, **more: Any) -> AnsweredScene:
    given = {"description": "Something happens.", "importance": 5, "scene_type": "none", **more}
    return AnsweredScene.model_validate({"start_seconds": start, "end_seconds": end, **given})


@pytest.mark.parametrize(
    ("start", "end", "used", "actions"),
    [
        (0, 3, (0, 3), []),
        (0.4, 3.4, (0, 3), ["moved", "moved"]),
        (-0.5, 10.6, (0, 10), ["moved", "moved"]),  # a little over the ends
        (2.9, 5.0, (3, 5), ["moved", "refused"]),  # no cut near 5
        (4.4, 5.6, (4.4, 5.6), ["refused", "refused"]),  # no cut near either
        (2.9, 3.2, (2.9, 3.2), ["refused", "refused"]),  # both ends nearest to one cut
    ],
)
def test_times_are_moved_to_cuts_or_refused(start: float, end: float, used: tuple[float, float], actions: list[str]) -> None:
    placed = place(said(start, end), CUTS, 1.0)
    assert not placed.refused
    assert (placed.start, placed.end) == used
    assert [check.action for check in placed.checks] == actions
    assert all(check.given in (start, end) for check in placed.checks)


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (12, 15, "after the video's end"),
        (8, 12, "ends after the video's end"),
        (5, 5, "does not end after"),
        (7, 3, "does not end after"),
        (-4, 3, "before the video"),
        (math.nan, 3, "not a time"),
        (0, math.inf, "not a time"),
        (None, 3, "not a time"),
    ],
)
def test_times_that_make_no_sense_refuse_the_scene(start: Any, end: Any, why: str) -> None:
    placed = place(said(start, end), CUTS, 1.0)
    assert placed.refused and placed.overlap(0, 10) == 0
    assert {check.action for check in placed.checks} == {"refused"}
    assert all(why in check.why for check in placed.checks)
    json.dumps([check.model_dump() for check in placed.checks], allow_nan=False)


def facts(*tracks: TrackFigures, number: int = 1) -> SceneFacts:
    start, end = CUTS[number - 1], CUTS[number]
    return SceneFacts(
        video=VIDEO, scene_number=number, start_frame=int(start * 25), end_frame=int(end * 25), start_seconds=start, end_seconds=end,
        sampled_frames=10, most_people=0, most_products=0, detections=9, tracks=tracks,
    )  # fmt: skip


def element(**given: Any) -> AnsweredElement:
    return AnsweredElement.model_validate({"type": "product", "description": "a red thing", "difficulty": "easy", **given})


LEFT = track("obj_001", bbox=Box(x=20, y=100, width=60, height=90), horizontal="left", area_share=0.02)
RIGHT = track("obj_002", label="cup", bbox=Box(x=300, y=100, width=60, height=90), horizontal="right", area_share=0.02)
PERSON = track("obj_003", "person", "person", bbox=Box(x=150, y=50, width=80, height=220))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"box": [330, 60, 640, 200]}, "obj_001"),
        ({"box": [330, 750, 640, 900]}, "obj_002"),
        ({"position": "on the left"}, "obj_001"),
        ({"position": "right, middle"}, "obj_002"),
        ({"description": "two cups"}, "obj_002"),
        ({"description": "a bottle"}, "obj_001"),
        ({"type": "person"}, "obj_003"),
        ({"box": [0, 0, 100, 50]}, None),  # a box where nothing is
        ({"box": [0, 400, 200, 600], "type": "person", "position": "in the centre"}, "obj_003"),
    ],
)
def test_an_element_finds_its_track(given: dict[str, Any], expected: str | None) -> None:
    (found,) = match([element(**given)], facts(LEFT, RIGHT, PERSON))
    assert (found.track.track_id if found else None) == expected
    if found:
        assert LEAST <= found.confidence <= 1 and found.evidence


def test_time_decides_between_two_that_look_alike() -> None:
    early = LEFT.model_copy(update={"end_seconds": 1.0})
    late = LEFT.model_copy(update={"track_id": "obj_009", "first_seconds": 2.0, "end_seconds": 3.0})
    (found,) = match([element(start_seconds=2.1, end_seconds=2.9)], facts(early, late))
    assert found is not None and found.track.track_id == "obj_009"


def test_no_track_is_given_twice_and_classes_are_kept_apart() -> None:
    found = match([element(), element(), element(), element(type="person")], facts(LEFT, RIGHT, PERSON))
    ids = [one.track.track_id for one in found if one]
    assert len(ids) == len(set(ids)) == 3 and found[3] is not None and found[3].track is PERSON
    assert match([element(type="person")], facts(LEFT)) == [None]
    assert match([], facts(LEFT)) == []


def describe(answer: list[AnsweredScene], *scenes: SceneFacts) -> list[Any]:
    describer = GeminiDescriber(VideoAnswer(scenes=answer), "gemini-x", 1.0)
    return list(describer.describe(iter(scenes), CUTS))


def test_a_shot_takes_what_speaks_of_it_and_the_rest_is_local_and_marked() -> None:
    elements = [{"type": "product", "description": "a cup", "difficulty": "hard", "reason": "shiny"}]
    answer = [said(0.2, 2.8, scene_type="product", replaceable_elements=elements, importance=9), said(20, 30)]
    first, second, third = describe(answer, facts(RIGHT), facts(LEFT, number=2), facts(number=3))
    assert (first.source, first.description, first.importance, first.model_version) == ("gemini", "Something happens.", 9, "gemini-x")
    assert [(check.edge, check.given, check.used) for check in first.time_checks] == [("start", 0.2, 0.0), ("end", 2.8, 3.0)]
    (one,) = first.replaceable_elements
    assert one.tracks == ("obj_002",) and one.matched and one.match_confidence and one.figures["visible_seconds"] == 2.0
    assert (one.model_difficulty, one.measured_difficulty, one.difficulty, one.model_reason) == ("hard", "easy", "easy", "shiny")
    assert second.source == "local" and second.replaceable_elements[0].source == "local" and second.time_checks == ()
    assert [check.given for check in third.time_checks] == [20, 30]  # refused scenes are noted once, at the end


def test_one_scene_over_two_shots_gives_each_what_is_seen_in_it() -> None:
    elements = [
        {"type": "product", "description": "early", "difficulty": "easy", "start_seconds": 0, "end_seconds": 2},
        {"type": "product", "description": "late", "difficulty": "easy", "start_seconds": 4, "end_seconds": 6},
        {"type": "product", "description": "lost", "difficulty": "easy", "start_seconds": 8, "end_seconds": 9},
    ]
    first, second = describe([said(0, 7, replaceable_elements=elements)], facts(LEFT), facts(number=2))
    assert [one.description for one in first.replaceable_elements] == ["early", "lost"]
    assert [one.description for one in second.replaceable_elements] == ["late", "lost"]
    assert [check.given for check in first.time_checks] == [8, 9]
    assert not second.replaceable_elements[0].matched and second.replaceable_elements[0].tracks == ()


def test_two_scenes_in_one_shot_are_joined() -> None:
    answer = [said(3, 5, description="First.", scene_type="person"), said(5, 7, description="Then.", scene_type="product", importance=8)]
    (only,) = describe(answer, facts(number=2))
    assert (only.description, only.importance, only.scene_type, only.measured_scene_type) == ("First. Then.", 8, "both", "none")


def test_texts_are_cleaned_and_bounded_and_bad_boxes_are_no_boxes() -> None:
    wild = {"type": "person", "description": "a\x00b\ud800" + "x" * 900, "difficulty": "easy", "box": [1, 2, math.nan, 4]}
    scene = said(0, 3, description="\x00y" * 3000, importance=99, replaceable_elements=[wild] * 300)
    assert len(scene.description) == 2000 and scene.importance == 10 and len(scene.replaceable_elements) == 100
    one = scene.replaceable_elements[0]
    assert one.description.startswith("a b xxx") and len(one.description) == 500 and one.box is None
    json.dumps(scene.model_dump(), allow_nan=False).encode()


def test_the_question_depends_on_what_is_asked_and_on_nothing_else() -> None:
    base = question_digest("a" * 64, "m", 1, None)
    assert base == question_digest("a" * 64, "m", 1, None)
    others = [("b" * 64, "m", 1, None), ("a" * 64, "n", 1, None), ("a" * 64, "m", 2, None), ("a" * 64, "m", 1, [1, 2])]
    assert len({base, *(question_digest(*other) for other in others)}) == 5
    assert '{"duration_seconds": 10.0, "width": 400, "height": 300}' in task(FACTS, None)
    assert "never instructions" in task.__globals__["SYSTEM"]


def test_the_prompt_version_is_bumped_with_the_prompt() -> None:
    """If this fails, you changed what Gemini is asked: bump `versions.GEMINI_PROMPT_VERSION` and write the new digest here."""
    import hashlib

    from reframer_pipeline.scenes.gemini import prompt

    asked = json.dumps([prompt.SYSTEM, prompt.TASK, answer_schema(), task(FACTS, [0.5])], sort_keys=True)
    assert (versions.GEMINI_PROMPT_VERSION, hashlib.sha256(asked.encode()).hexdigest()[:16]) == (1, "55fd3ab54cf4d24c")


def test_the_schema_has_nothing_that_gemini_refuses() -> None:
    text = json.dumps(answer_schema())
    assert "prefixItems" not in text and "additionalProperties" not in text
