"""Timelines, read back by OpenTimelineIO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import opentimelineio as otio
import pytest

from reframer_pipeline.exports.timeline import COLOURS
from reframer_pipeline.exports.videos import Video
from reframer_pipeline.reading.tables import ELEMENTS, SCENES
from reframer_pipeline_tests.exports import truth
from reframer_pipeline_tests.exports.conftest import HOSTILE, WORDS

Exported = Callable[..., Path]


@pytest.mark.models
def test_the_computed_clip_is_as_in_the_database(drawn: Video, exported: Exported) -> None:
    timeline = otio.adapters.read_from_file(exported("otio", drawn) / "drawn.otio")
    scenes, clips = truth.rows(drawn, SCENES), timeline.find_clips()
    assert timeline.duration() == otio.opentime.RationalTime(50, 25)
    assert [(clip.source_range.start_time.value, clip.source_range.end_time_exclusive().value) for clip in clips] == [
        (scene["start_frame"], scene["end_frame"]) for scene in scenes
    ]
    assert [clip.metadata["reframer"]["importance"] for clip in clips] == [scene["importance"] for scene in scenes]
    assert {clip.media_reference.target_url for clip in clips} == {"drawn.mp4"}
    elements = truth.rows(drawn, ELEMENTS)
    markers = [(place, marker) for place, clip in enumerate(clips, start=1) for marker in clip.markers]
    assert len(elements) == len(markers) > 0
    for element, (scene, marker) in zip(elements, markers, strict=True):
        assert (element["scene_number"], element["description"]) == (scene, marker.metadata["reframer"]["description"])
        assert f"{element['difficulty']} {element['class']}: {element['description']}".startswith(marker.name.rstrip("…"))
        assert marker.color == COLOURS[element["difficulty"]]
        assert list(marker.metadata["reframer"]["track_ids"]) == element["track_ids"]
        times = marker.marked_range.start_time.to_seconds(), marker.marked_range.end_time_exclusive().to_seconds()
        assert times == pytest.approx((element["start_seconds"], element["end_seconds"]), abs=0.021)


@pytest.mark.parametrize(("name", "ending"), [("edl", ".edl"), ("fcpxml", ".xml")])
@pytest.mark.models
def test_the_older_formats_say_the_same(drawn: Video, exported: Exported, name: str, ending: str) -> None:
    timeline = otio.adapters.read_from_file(exported(name, drawn) / f"drawn{ending}", **({"rate": 25} if name == "edl" else {}))
    scenes, clips = truth.rows(drawn, SCENES), timeline.find_clips()
    assert [(clip.source_range.start_time.value, clip.source_range.end_time_exclusive().value) for clip in clips] == [
        (scene["start_frame"], scene["end_frame"]) for scene in scenes
    ]
    assert sum(len(clip.markers) for clip in clips) == len(truth.rows(drawn, ELEMENTS))


def test_uneven_times_are_seconds_at_the_mean_rate(odd: Video, exported: Exported) -> None:
    (path,) = exported("otio", odd).iterdir()
    timeline = otio.adapters.read_from_file(path)
    clips, rate = timeline.find_clips(), 30000 / 1001
    spans = [(clip.source_range.start_time.to_seconds(), clip.source_range.end_time_exclusive().to_seconds()) for clip in clips]
    scenes = truth.rows(odd, SCENES)
    assert spans == [pytest.approx((scene["start_seconds"], scene["end_seconds"]), abs=0.51 / rate) for scene in scenes]
    assert clips[0].source_range.end_time_exclusive() == clips[1].source_range.start_time and timeline.duration().rate == rate
    (marker,) = clips[0].markers  # it lasts to the end of its scene, whatever was claimed
    assert marker.marked_range.end_time_exclusive() == clips[0].source_range.end_time_exclusive()
    assert marker.metadata["reframer"]["description"] == WORDS
    assert timeline.tracks[0].name == "scenes" and "/" not in clips[0].media_reference.target_url


def test_a_hostile_description_makes_no_event_of_its_own(odd: Video, exported: Exported) -> None:
    (path,) = exported("edl", odd).iterdir()
    events = [line for line in path.read_text().splitlines() if line and not line.startswith(("*", "TITLE"))]
    assert [line.split()[0] for line in events] == ["001", "002"]
    assert f"* FROM CLIP NAME:  {HOSTILE.rpartition('/')[2]}" in path.read_text().splitlines()
    (xml,) = exported("fcpxml", odd).iterdir()
    assert len(otio.adapters.read_from_file(xml).find_clips()) == 2
