"""The whole stage, and the JSON that it leaves behind."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from pydantic import ValidationError

from reframer_pipeline import schemas
from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.scenes.analysis import analyse_scenes
from reframer_pipeline.scenes.describer import MAX_DESCRIPTION, SceneDescription, one_line
from reframer_pipeline.scenes.local import LocalDescriber
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.scenes import ScenesValidator
from reframer_pipeline_tests.factories import Maker


def analyse(video, describer=None, batch_rows=1000, **more):
    batches = list(analyse_scenes(**video.inputs(batch_rows), describer=describer or LocalDescriber(), settings=Settings(), **more))
    table = pa.Table.from_batches(batches, schema=schemas.SCENES)
    return table.to_pylist(), [json.loads(row["analysis"]) for row in table.to_pylist()]


def test_rows_and_the_references_json(video):
    rows, scenes = analyse(video)
    assert [(row["scene_number"], row["start_frame"], row["end_frame"]) for row in rows] == [(1, 0, 30), (2, 30, 60)]
    assert [(row["start_seconds"], row["end_seconds"], row["describer"]) for row in rows] == [(0, 3, "local"), (3, 6, "local")]
    first, second = scenes
    assert {name: first[name] for name in ("scene_number", "start_frame", "end_frame", "scene_type")} == {
        "scene_number": 1, "start_frame": 0, "end_frame": 30, "scene_type": "both",
    }  # fmt: skip
    assert second["scene_type"] == "product"
    assert [(one["type"], one["label"], one["tracks"]) for one in first["replaceable_elements"]] == [
        ("person", "person", ["obj_001"]),
        ("product", "bottle", ["obj_002"]),
    ]
    assert [one["difficulty"] for one in first["replaceable_elements"]] == ["medium", "medium"]  # the person walks past the bottle
    assert [one["track_id"] for one in first["tracks"]] == ["obj_001", "obj_002"]
    assert (first["sampled_frames"], first["detections"], first["most_people"], first["most_products"]) == (6, 12, 1, 1)
    assert first["description"].startswith("A scene of 3.0 s with one person and one bottle. The person (obj_001)")


def test_the_storage_layer_accepts_the_rows(video):
    """What storage validates before it writes is what this stage promises."""
    inputs = video.inputs()
    validator = ScenesValidator(Maker("ab" * 32, Settings()).keys["scenes"], inputs)
    for batch in analyse_scenes(**inputs, describer=LocalDescriber(), settings=Settings()):
        validator.feed(batch)
    assert all(check.passed for check in validator.verdict())


def test_a_video_without_anything_still_has_scenes(empty_video):
    rows, scenes = analyse(empty_video)
    assert len(rows) == 2
    assert all(one["scene_type"] == "none" and one["replaceable_elements"] == [] and one["tracks"] == [] for one in scenes)


def test_a_video_without_frames_has_no_scenes(empty_video):
    empty_video.frames, empty_video.metadata["frame_count"] = [], 0
    assert analyse(empty_video) == ([], [])


def test_a_scene_without_a_sampled_frame(empty_video):
    for frame in empty_video.frames:
        frame["sampled"] = frame["frame_number"] < 30
    _, (_, second) = analyse(empty_video)
    assert (second["sampled_frames"], second["importance"]) == (0, 4)


def test_candidates_are_not_counted_as_detections(video):
    video.detections[0]["candidate"] = True
    assert analyse(video)[1][0]["detections"] == 11


@pytest.mark.parametrize("said", [None, False, True])
def test_what_lies_behind_is_measured_where_the_camera_stands_still(empty_video, said):
    empty_video.add_track("obj_001", "product", "cup", {5 * k: (40 * k, 0, 40 * k + 40, 40) for k in range(6)}, fill=None)
    _, (first, second) = analyse(empty_video, camera=lambda *_: said)
    (track,), (element,) = first["tracks"], first["replaceable_elements"]
    told = {"plate_never_seen": 0.0, "plate_missing": 0.0} if said else {}
    assert {name: value for name, value in element["figures"].items() if name.startswith("plate")} == told
    assert track["plate_never_seen"] == told.get("plate_never_seen") and (first["camera_still"], second["camera_still"]) == (said, None)
    shown = [(0, 0.8333), (5, 0.1667)] if said else []  # of six places one is hidden in each frame
    assert (
        [(one["frame"], one["share"]) for one in element["plate_frames"]]
        == shown
        == [(o["frame"], o["share"]) for o in track["plate_frames"]]
    )


@pytest.mark.parametrize("batch_rows", [1, 7])
def test_the_size_of_batches_changes_nothing(video, batch_rows):
    assert analyse(video, batch_rows=batch_rows) == analyse(video)


def test_progress_counts_scenes(video):
    seen = []
    analyse(video, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_many_scenes_come_in_several_batches(empty_video):
    empty_video.frames = [
        {"frame_number": n, "pts": n * 100, "timestamp": n / 10, "content_score": 60.0 * (n % 10 == 0 and n > 0), "sampled": True}
        for n in range(1000)
    ]
    empty_video.metadata |= {"frame_count": 1000, "duration_seconds": 100.0}
    batches = list(analyse_scenes(**empty_video.inputs(), describer=LocalDescriber(), settings=Settings()))
    assert [batch.num_rows for batch in batches] == [64, 36]


def test_hostile_labels_become_harmless_text(empty_video):
    empty_video.add_track("obj_001", "product", "bot\x00tle\n\x1b[31m" + "x" * 500, {5 * k: (10, 10, 60, 60) for k in range(6)})
    rows, (first, _) = analyse(empty_video)
    label = first["tracks"][0]["label"]
    assert label.startswith("bot tle [31mxxx") and len(label) == 80
    assert "\\u0000" not in rows[0]["analysis"] and "\\u001b" not in rows[0]["analysis"]


class Rambler:
    """A describer that takes all scenes before it answers, and answers badly."""

    name = "rambler"

    def __init__(self, text: str) -> None:
        self.text = text

    def describe(self, scenes, cuts):
        for scene in list(scenes):
            yield SceneDescription(
                description=f"{self.text}{scene.scene_number}", importance=5, scene_type="none", replaceable_elements=(), source="rambler"
            )


def test_a_describer_may_take_all_scenes_first_and_its_text_is_cleaned(video):
    rows, scenes = analyse(video, Rambler("a\ud800b\u0000c\u2028d  "))
    assert [one["description"] for one in scenes] == ["a b c d 1", "a b c d 2"]
    assert rows[0]["describer"] == scenes[0]["describer"] == "rambler"
    assert len(analyse(video, Rambler("x" * 5000))[1][0]["description"]) == MAX_DESCRIPTION


def test_a_describer_that_loses_a_scene_is_found_out(video):
    class Lazy(Rambler):
        def describe(self, scenes, cuts):
            yield next(iter(super().describe(scenes, cuts)))

    with pytest.raises(InvalidResult, match="rambler answered for 1 of 2 scenes"):
        analyse(video, Lazy("x"))


@pytest.mark.parametrize("wrong", [{"importance": 0}, {"importance": 11}, {"scene_type": "cat"}, {"description": "\x00 "}, {"mood": "sad"}])
def test_answers_outside_the_limits_are_refused(wrong):
    right = {"description": "x", "importance": 5, "scene_type": "none", "replaceable_elements": [], "source": "x"}
    assert SceneDescription.model_validate(right)
    with pytest.raises(ValidationError):
        SceneDescription.model_validate(right | wrong)


def test_clean_text_keeps_what_people_write():
    assert one_line("Ünïcode, 日本語 and 🎬 stay", 100) == "Ünïcode, 日本語 and 🎬 stay"
    assert one_line("one two three", 8) == "one two…"
