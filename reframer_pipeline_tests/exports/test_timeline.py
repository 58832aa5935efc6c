"""Timelines, read back by OpenTimelineIO."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import opentimelineio as otio
import pytest

from reframer_pipeline.editing import keeping
from reframer_pipeline.editing.reframe.timeline import EFFECT
from reframer_pipeline.editing.wishes import AnyWish, MatteWish, ReframeWish
from reframer_pipeline.exports.timeline import COLOURS
from reframer_pipeline.exports.videos import Video
from reframer_pipeline.reading.tables import ELEMENTS, SCENES, TRACKS
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline_tests.editing.kept import TOKEN, made, text
from reframer_pipeline_tests.exports import truth
from reframer_pipeline_tests.exports.conftest import HOSTILE, WORDS

Exported = Callable[..., Path]
Kept = Callable[[AnyWish], Deliverable]


@pytest.fixture
def kept(drawn: Video) -> Iterator[Kept]:
    """Makes and keeps something of the drawn clip; nothing is left of it."""
    yield lambda wish: made(drawn.storage, keeping.ask(drawn.storage, drawn.video_id, wish, filename=drawn.filename))
    for one in drawn.storage.db.fetch("SELECT id::text AS id FROM deliverables WHERE result_id = %s", (drawn.result_id,)):
        deliverables.delete(drawn.storage.db, drawn.storage.store, one["id"])


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


@pytest.mark.models
def test_what_is_kept_is_opened_again_by_opentimelineio(drawn: Video, kept: Kept, exported: Exported) -> None:
    scenes, track = truth.rows(drawn, SCENES), max(truth.rows(drawn, TRACKS), key=lambda row: row["start_frame"])
    matte = kept(MatteWish(tracks=[track["track_id"]], form="webm", cutout=True))
    pictures = kept(MatteWish(scene=2, form="png"))
    clip, path, short = (kept(ReframeWish(ratio=ratio, form=form)) for ratio, form in (("9:16", "mp4"), ("9:16", "json"), ("1:1", "json")))
    alone = kept(ReframeWish(ratio="4:5", form="json", scene=2))
    keeping.ask(drawn.storage, drawn.video_id, MatteWish(scene=1))  # nobody has made it
    evicted = kept(MatteWish(scene=1, form="luma"))
    deliverables.lost(drawn.storage.db, evicted.id, str(evicted.object_key))
    assert track["start_frame"] > 0

    timeline = otio.adapters.read_from_file(exported("otio", drawn) / "drawn.otio")
    below, film, sequence = timeline.video_tracks()
    clips = list(below.find_clips())
    assert timeline.duration() == otio.opentime.RationalTime(50, 25) and len(clips) == len(scenes) == 2
    (cutout,), (stills,) = film.find_clips(), sequence.find_clips()
    for shown, one in ((cutout, matte), (stills, pictures)):
        told, place = shown.metadata["reframer"], shown.range_in_parent()
        start, stop = one.ordered["start"], one.ordered["stop"]
        assert (told["deliverable_id"], list(told["tracks"])) == (one.id, one.ordered["tracks"])
        assert (place.start_time, place.end_time_exclusive()) == (
            otio.opentime.RationalTime(start, 25),
            otio.opentime.RationalTime(stop, 25),
        )
        whole = otio.opentime.TimeRange(otio.opentime.RationalTime(0, 25), otio.opentime.RationalTime(stop - start, 25))
        assert shown.source_range == shown.media_reference.available_range == whole
    name = f"drawn-matte-{track['track_id']}-cutout.webm"
    assert cutout.media_reference.target_url == cutout.media_reference.name == name
    assert (cutout.metadata["reframer"]["form"], cutout.metadata["reframer"]["cutout"]) == ("webm", True)
    with drawn.storage.store.open_object(str(pictures.object_key)) as file, zipfile.ZipFile(file) as archive:
        names = sorted(archive.namelist())
    reference = stills.media_reference
    assert [reference.target_url_for_image_number(number) for number in range(len(names))] == [
        f"drawn-{pictures.filename.removesuffix('.zip')}/{name}" for name in names
    ]

    documents = {one.id: json.loads(text(drawn.storage, one)) for one in (path, short, alone)}
    said = [[dict(effect.metadata["reframer"]) for effect in one.effects] for one in clips]
    assert [[effect.effect_name for effect in one.effects] for one in clips] == [[EFFECT] * 2, [EFFECT] * 3]
    assert not any(effect.enabled for one in clips for effect in one.effects)
    assert [list(effect["deliverable_ids"]) for effect in said[1]] == [[clip.id, path.id], [short.id], [alone.id]]
    for shot, found in enumerate(said):
        for effect, one in zip(found, (path, short, alone), strict=False):
            (wanted,) = (it for it in documents[one.id]["shots"] if it["scene_number"] == shot + 1)
            assert [dict(key) for key in effect["keyframes"]] == wanted["keyframes"]
            assert (effect["ratio"], dict(effect["output"])) == (documents[one.id]["ratio"], documents[one.id]["output"])


@pytest.mark.models
def test_older_formats_hold_what_they_can(drawn: Video, kept: Kept, exported: Exported) -> None:
    matte, _, _ = kept(MatteWish(scene=2, form="luma")), kept(MatteWish(scene=2, form="png")), kept(ReframeWish(ratio="9:16", form="json"))
    below, above = otio.adapters.read_from_file(exported("fcpxml", drawn) / "drawn.xml").video_tracks()
    (shown,) = above.find_clips()
    place = shown.range_in_parent()
    assert (place.start_time.value, place.end_time_exclusive().value) == (matte.ordered["start"], matte.ordered["stop"])
    assert shown.media_reference.target_url == f"drawn-{matte.filename}" and not any(clip.effects for clip in below.find_clips())
    (line,) = otio.adapters.read_from_file(exported("edl", drawn) / "drawn.edl", rate=25).video_tracks()
    assert len(line.find_clips()) == len(below.find_clips()) == 2


@pytest.mark.models
def test_of_some_tracks_alone_there_are_the_mattes_of_these(drawn: Video, kept: Kept, exported: Exported) -> None:
    first, second = (row["track_id"] for row in truth.rows(drawn, TRACKS)[:2])
    one, _ = (kept(MatteWish(tracks=tracks, form="png")) for tracks in ([first], [first, second]))
    timeline = otio.adapters.read_from_file(next(exported("otio", drawn.of_tracks([first])).iterdir()))
    assert [clip.metadata["reframer"]["deliverable_id"] for clip in timeline.video_tracks()[-1].find_clips()] == [one.id]
    assert len(timeline.video_tracks()) == 2


def test_a_matte_of_uneven_times_lies_at_its_seconds(odd: Video, exported: Exported, tmp_path: Path) -> None:
    """Kept without a film, of which this set has none: its row alone counts."""
    one = keeping.ask(odd.storage, odd.video_id, MatteWish(tracks=["obj_003"]), filename=odd.filename)
    named = keeping.ask(odd.storage, odd.video_id, ReframeWish(ratio="1:1", form="json"), filename="as others call it.mp4")
    (tmp_path / "file").write_bytes(b"film")
    for each in (one, named):
        assert deliverables.claim(odd.storage.db, each.id, TOKEN)
        deliverables.keep(odd.storage.db, odd.storage.store, each, TOKEN, tmp_path / "file", 1.0)
    timeline = otio.adapters.read_from_file(next(exported("otio", odd).iterdir()))
    below, above = timeline.video_tracks()
    (clip,) = above.find_clips()
    place, rate = clip.range_in_parent(), 30000 / 1001
    start, end = one.ordered["start"] / 30 + 0.5, 18 / 30 + 0.5  # the pause is before it
    assert (place.start_time.to_seconds(), place.end_time_exclusive().to_seconds()) == pytest.approx((start, end), abs=0.51 / rate)
    assert "/" not in clip.media_reference.target_url and clip.media_reference.name.startswith("=passwd <&>")
    assert not any(clip.effects for clip in below.find_clips())  # who calls the video otherwise does not see that one
    for each in (one, named):
        deliverables.delete(odd.storage.db, odd.storage.store, each.id)
