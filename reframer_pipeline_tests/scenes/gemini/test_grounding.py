"""What becomes of an answer: its times against the cuts, its elements against the tracks."""

from __future__ import annotations

import itertools
import json
import math
import random
from typing import Any

import pytest

from reframer_pipeline import versions
from reframer_pipeline.scenes.describer import Box, Look, SceneFacts, TrackFigures
from reframer_pipeline.scenes.gemini.answer import KEYWORDS, AnsweredElement, AnsweredScene, VideoAnswer, answer_schema, check_answer
from reframer_pipeline.scenes.gemini.grounded import GeminiDescriber
from reframer_pipeline.scenes.gemini.matching import LEAST, UNTOLD, Match, match
from reframer_pipeline.scenes.gemini.prompt import question_digest, task
from reframer_pipeline.scenes.gemini.times import PlacedElement, place
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.scenes.test_local import VIDEO, track

LABELS = {"person": Settings().person_labels, "product": Settings().product_labels}
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
    assert {(check.action, check.of) for check in placed.checks} == {("refused", "Something happens.")}
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


def find(elements: list[AnsweredElement], scene: SceneFacts, span: tuple[float, float] | None = None) -> list[Match | None]:
    return match([PlacedElement(one, 0, span, ()) for one in elements], scene, LABELS)


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
    (found,) = find([element(**given)], facts(LEFT, RIGHT, PERSON))
    assert (found.track.track_id if found else None) == expected
    if found:
        assert LEAST <= found.confidence <= 1 and found.evidence


def test_time_decides_between_two_that_look_alike() -> None:
    early = LEFT.model_copy(update={"end_seconds": 1.0})
    late = LEFT.model_copy(update={"track_id": "obj_009", "first_seconds": 2.0, "end_seconds": 3.0})
    (found,) = find([element()], facts(early, late), (2.1, 2.9))
    assert found is not None and found.track.track_id == "obj_009"


def test_no_track_is_given_twice_and_classes_are_kept_apart() -> None:
    found = find([element(), element(), element(), element(type="person")], facts(LEFT, RIGHT, PERSON))
    ids = [one.track.track_id for one in found if one]
    assert len(ids) == len(set(ids)) == 3 and found[3] is not None and found[3].track is PERSON
    assert find([element(type="person")], facts(LEFT)) == [None]
    assert find([], facts(LEFT)) == []


def test_the_class_alone_is_weak_evidence_also_for_the_only_track() -> None:
    (alone,) = find([element(description="a spaceship")], facts(RIGHT))
    assert alone is not None and alone.confidence == UNTOLD == 0.5 and set(alone.evidence) == {"weight"}
    (timed,) = find([element(description="a spaceship")], facts(RIGHT), (0.0, 2.0))
    assert timed is not None and timed.confidence == 0.5
    (told,) = find([element(description="a cup")], facts(RIGHT))
    assert told is not None and told.confidence == 1


@pytest.mark.parametrize(
    ("description", "label", "words"),
    [("a bottle", "cup", 0), ("bottles", "cup", 0), ("a cup", "cup", 1), ("a red thing", "cup", None), ("a phone", "cell phone", 1),
     ("a cell phone", "phone", 1), ("wine glasses", "wine glass", 1), ("a cupboard", "cup", None), ("a cup by a laptop", "laptop", 1)],
)  # fmt: skip
def test_words_are_compared_with_all_labels_that_the_detector_knows(description: str, label: str, words: float | None) -> None:
    only = RIGHT.model_copy(update={"label": label})
    (found,) = find([element(description=description)], facts(only))
    if words == 0:
        assert found is None  # the only track is something else
    else:
        assert found is not None and found.evidence.get("words") == words


def test_a_box_is_compared_with_where_the_track_was_then() -> None:
    """Someone walks through the picture: the box at the end of the walk is nowhere near the mean of all boxes."""
    looks = tuple(Look(seconds=step * 0.3, bbox=Box(x=40.0 * step, y=60, width=40, height=180)) for step in range(9))
    walker = PERSON.model_copy(update={"looks": looks, "bbox": looks[4].bbox})
    at_end = element(type="person", box=[200, 800, 800, 900])
    (found,) = find([at_end], facts(walker))
    assert found is not None and found.evidence["box"] == 1 and found.confidence == 1
    (then,) = find([at_end], facts(walker), (2.3, 2.5))
    assert then is not None and then.evidence["box"] == 1
    assert find([at_end], facts(walker), (0.0, 1.0)) == [None]  # then it was elsewhere
    assert "looks" not in walker.model_dump()


def describe(answer: list[AnsweredScene], *scenes: SceneFacts) -> list[Any]:
    describer = GeminiDescriber(VideoAnswer(scenes=answer), "gemini-x", 1.0, LABELS)
    return list(describer.describe(iter(scenes), CUTS))


def test_a_shot_takes_what_speaks_of_it_and_the_rest_is_local_and_marked() -> None:
    elements = [{"type": "product", "description": "a cup", "difficulty": "hard", "reason": "shiny"}]
    answer = [said(0.2, 2.8, scene_type="product", replaceable_elements=elements, importance=9), said(20, 30)]
    first, second, third = describe(answer, facts(RIGHT), facts(LEFT, number=2), facts(number=3))
    assert (first.source, first.description, first.importance, first.model_version) == ("gemini", "Something happens.", 9, "gemini-x")
    assert [(check.edge, check.given, check.used) for check in first.time_checks] == [("start", 0.2, 0.0), ("end", 2.8, 3.0)]
    (one,) = first.replaceable_elements
    assert one.tracks == ("obj_002",) and one.matched and one.match_confidence == 1 and one.figures["visible_seconds"] == 2.0
    assert (one.model_difficulty, one.measured_difficulty, one.difficulty, one.model_reason) == ("hard", "easy", "easy", "shiny")
    assert second.source == "local" and second.replaceable_elements[0].source == "local" and second.time_checks == ()
    assert [check.given for check in third.time_checks] == [20, 30]  # refused scenes are noted once, at the end


def test_one_scene_over_two_shots_gives_each_what_is_seen_in_it() -> None:
    spans = {"early": (0, 2), "late": (4, 6), "lost": (9, 9.5), "over": (1, 3.2), "any": (None, None)}
    elements = [
        {"type": "product", "description": name, "difficulty": "easy", "start_seconds": start, "end_seconds": end}
        for name, (start, end) in spans.items()
    ]
    first, second = describe([said(0, 7, replaceable_elements=elements)], facts(LEFT), facts(number=2))
    assert [one.description for one in first.replaceable_elements] == ["early", "over"]
    assert [one.description for one in second.replaceable_elements] == ["late", "lost", "any"]  # its main shot is the longer one
    over = first.replaceable_elements[1]
    assert (over.start_seconds, over.end_seconds) == (1, 3)
    assert [(check.edge, check.given, check.used, check.action, check.of) for check in over.time_checks] == [
        ("end", 3.2, 3, "moved", "over")
    ]
    lost = second.replaceable_elements[1]
    assert [(check.given, check.action) for check in lost.time_checks] == [(9, "refused"), (9.5, "refused")]
    assert (lost.start_seconds, lost.end_seconds) == (None, None)
    assert not second.replaceable_elements[0].matched and second.replaceable_elements[0].tracks == ()


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (2, 500, "ends after"),
        (999, None, "begins after"),
        (2.5, 1.5, "does not end after"),
        (None, -3, "does not end"),
        (8, 9, "outside of its"),
    ],
)
def test_times_of_elements_are_checked_too(start: float | None, end: float | None, why: str) -> None:
    one = {"type": "product", "description": "a cup", "difficulty": "easy", "start_seconds": start, "end_seconds": end}
    (scene, *_) = describe([said(0, 3, replaceable_elements=[one])], facts(RIGHT))
    (found,) = scene.replaceable_elements
    assert found.matched and "time" not in found.match_evidence
    assert {check.action for check in found.time_checks} == {"refused"} and all(why in check.why for check in found.time_checks)
    assert [check.given for check in found.time_checks] == [at for at in (start, end) if at is not None]


def test_an_element_of_a_scene_that_is_mostly_elsewhere_is_not_lost() -> None:
    """The scene 0 to 5 speaks of the first shot only; what is seen from 3.5 to 5 stands in the second, in place of its local element."""
    one = {"type": "product", "description": "a cup", "difficulty": "hard", "start_seconds": 3.5, "end_seconds": 5}
    describer = GeminiDescriber(VideoAnswer(scenes=[said(0, 5, replaceable_elements=[one])]), "gemini-x", 1.0, LABELS)
    cuts = [0.0, 3.0, 10.0]
    second = facts(RIGHT, LEFT, number=2).model_copy(update={"end_seconds": 10.0})
    first, last = describer.describe(iter([facts(LEFT), second]), cuts)
    assert first.source == "gemini" and first.replaceable_elements == ()
    assert last.source == "local" and [(element.source, element.tracks) for element in last.replaceable_elements] == [
        ("gemini", ("obj_002",)),
        ("local", ("obj_001",)),
    ]


def test_every_element_of_a_placed_scene_stands_in_exactly_one_row() -> None:
    chance = random.Random(7)

    def moment() -> Any:
        return chance.choice([None, 0, round(chance.uniform(-3, 14), 2), round(chance.uniform(0, 10), 2), 999, 1e308, -1e308])

    for _ in range(300):
        cuts = [0.0, *sorted({round(chance.uniform(0.5, 9.5), 2) for _ in range(chance.randrange(4))}), 10.0]
        answer, names = [], []
        for number in range(chance.randrange(1, 4)):
            elements = [
                {"type": chance.choice(["person", "product"]), "description": f"{number}-{place}", "difficulty": "easy",
                 "start_seconds": moment(), "end_seconds": moment()}
                for place in range(4)
            ]  # fmt: skip
            scene = said(moment(), moment(), replaceable_elements=elements)
            answer.append(scene)
            names += [] if place(scene, cuts, 1.0).refused else [element["description"] for element in elements]
        rows = [
            SceneFacts.model_validate(
                {**facts(LEFT, PERSON).model_dump(), "scene_number": number, "start_seconds": start, "end_seconds": end}
            )
            for number, (start, end) in enumerate(itertools.pairwise(cuts), start=1)
        ]
        told = GeminiDescriber(VideoAnswer(scenes=answer), "gemini-x", 1.0, LABELS).describe(iter(rows), cuts)
        written = [one for row in told for one in row.replaceable_elements if one.source == "gemini"]
        assert sorted(one.description for one in written) == sorted(names)
        for one in written:
            assert one.start_seconds is None or 0 <= one.start_seconds < (one.end_seconds or 0) <= 10
        json.dumps([one.model_dump() for one in written], allow_nan=False)


def test_two_scenes_in_one_shot_are_joined() -> None:
    answer = [said(3, 5, description="First.", scene_type="person"), said(5, 7, description="Then.", scene_type="product", importance=8)]
    (only,) = describe(answer, facts(number=2))
    assert (only.description, only.importance, only.scene_type, only.measured_scene_type) == ("First. Then.", 8, "both", "none")


@pytest.mark.slow
def test_texts_are_cleaned_and_bounded_and_bad_boxes_are_no_boxes() -> None:
    wild = {"type": "person", "description": "a\x00b\ud800" + "x" * 900, "difficulty": "easy", "box": [1, 2, math.nan, 4]}
    scene = {"start_seconds": 0, "end_seconds": 3, "description": "\x00y" * 3000, "importance": 99, "scene_type": "none"}
    answer = check_answer({"scenes": [{**scene, "replaceable_elements": [wild] * 300}] * 1200})
    assert len(answer.scenes) == 1000 and answer.dropped == []
    scene = answer.scenes[0]
    assert len(scene.description) == 2000 and scene.importance == 10 and len(scene.replaceable_elements) == 100
    one = scene.replaceable_elements[0]
    assert one.description.startswith("a b xxx") and len(one.description) == 500 and one.box is None
    json.dumps(scene.model_dump(), allow_nan=False).encode()


HUGE = int("9" * 400)
GOOD = {"start_seconds": 0, "end_seconds": 3, "description": "x", "importance": 5, "scene_type": "none"}
CUP = {"type": "product", "description": "a cup", "difficulty": "easy"}


@pytest.mark.parametrize(
    ("bad", "field", "kept"),
    [
        ({"start_seconds": "0:05"}, "start_seconds", 5.0),
        ({"end_seconds": "1:02:03.5"}, "end_seconds", 3723.5),
        ({"end_seconds": "7"}, "end_seconds", 7.0),
        ({"end_seconds": "soon"}, "end_seconds", None),
        ({"end_seconds": HUGE}, "end_seconds", None),
        ({"importance": 7.5}, "importance", 8),
        ({"importance": -1e30}, "importance", 1),
        ({"replaceable_elements": None}, "replaceable_elements", []),
        ({"replaceable_elements": "none"}, "replaceable_elements", []),
    ],
)
def test_one_odd_field_does_not_cost_the_scene(bad: dict[str, Any], field: str, kept: Any) -> None:
    answer = check_answer({"scenes": [{**GOOD, **bad}]})
    assert getattr(answer.scenes[0], field) == kept and answer.dropped == []


@pytest.mark.parametrize(
    ("bad", "where"),
    [({"description": ""}, "description"), ({"importance": HUGE}, "importance"), ({"importance": None}, "importance"),
     ({"scene_type": "cat"}, "scene_type"), ({"description": None}, "description")],
)  # fmt: skip
def test_a_bad_scene_is_dropped_and_noted_and_the_others_stay(bad: dict[str, Any], where: str) -> None:
    answer = check_answer({"scenes": [{**GOOD, **bad}, GOOD, 7]})
    assert len(answer.scenes) == 1
    assert answer.dropped[0].startswith(f"scenes.0.{where}: ") and answer.dropped[1].startswith("scenes.2")
    with pytest.raises(ValueError, match=f"scenes.0.{where}"):
        check_answer({"scenes": [{**GOOD, **bad}]})


def test_a_bad_element_is_dropped_and_noted_and_the_others_stay() -> None:
    odd = [{**CUP, "position": None, "box": [0, 0, HUGE, 1]}, {**CUP, "description": " "}, "cup", {**CUP, "type": "cat"}, CUP]
    answer = check_answer({"scenes": [{**GOOD, "replaceable_elements": odd}]})
    assert [(one.description, one.position, one.box) for one in answer.scenes[0].replaceable_elements] == [("a cup", "", None)] * 2
    assert [note.split(":")[0] for note in answer.dropped] == [
        "scenes.0.replaceable_elements.1.description",
        "scenes.0.replaceable_elements.2",
        "scenes.0.replaceable_elements.3.type",
    ]


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
    assert (versions.GEMINI_PROMPT_VERSION, hashlib.sha256(asked.encode()).hexdigest()[:16]) == (1, "ec457a4554a7ee2e")


def test_the_schema_has_only_keywords_that_gemini_takes() -> None:
    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            assert set(schema) <= KEYWORDS
            for key, value in schema.items():
                for inner in value.values() if key in ("properties", "$defs") else value if isinstance(value, list) else [value]:
                    walk(inner)

    walk(answer_schema())
    assert not {"maxItems", "minItems", "minLength", "maxLength", "title", "default", "ge", "le"} & KEYWORDS
    scene = answer_schema()["$defs"]["AnsweredScene"]["properties"]
    assert scene["start_seconds"]["type"] == scene["end_seconds"]["type"] == "number"  # never null
    assert (scene["importance"]["minimum"], scene["importance"]["maximum"]) == (1, 10)
    assert "as the model sees it" not in json.dumps(answer_schema())  # docstrings are for us
