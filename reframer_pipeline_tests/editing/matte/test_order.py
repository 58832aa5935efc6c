"""What people name becomes one order, and its key says whether two mattes are the same."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from reframer_pipeline.editing.matte.order import MatteOrder, Stored, Wanted, order_of
from reframer_pipeline.editing.writing import Shape
from reframer_pipeline.failures import NothingThere, NotPublished
from reframer_pipeline.reading import sheets
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.media.made import numbered

pytestmark = pytest.mark.models
PNG = Shape("png")


@pytest.fixture(scope="module")
def results(shared: Storage, done: VideoOutcome) -> Stored:
    return sheets.published(shared, str(done.video_id))  # type: ignore[return-value]


def _scenes(results: Stored) -> list[dict]:
    return [row for batch in results["scenes"].batches() for row in batch.to_pylist()]


def test_a_track_goes_to_the_cut(shared: Storage, results: Stored) -> None:
    first, second = _scenes(results)
    order = order_of(results, shared.settings, Wanted(["obj_001"]), PNG)
    assert order.tracks == ("obj_001",) and order.start >= first["start_frame"] and order.stop <= first["end_frame"]
    assert order.sha256 == results["masks"].manifest.components["video"] and dict(order.results)["masks"] == results["masks"].result_id


def test_a_scene_alone_has_all_its_tracks(shared: Storage, results: Stored) -> None:
    first, second = _scenes(results)
    rows = [row for batch in results["trajectories"].batches() for row in batch.to_pylist()]
    order = order_of(results, shared.settings, Wanted(scene=2), PNG)
    assert order.tracks == tuple(sorted(row["track_id"] for row in rows if row["start_frame"] >= second["start_frame"])) and order.tracks
    assert (order.start, order.stop) == (second["start_frame"], second["end_frame"])


def test_an_element_is_its_tracks(shared: Storage, results: Stored) -> None:
    import json

    element = json.loads(_scenes(results)[0]["analysis"])["replaceable_elements"][0]
    assert order_of(results, shared.settings, Wanted(elements=[(1, 1)]), PNG).tracks == tuple(sorted(element["tracks"]))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted(["obj_001", "obj_999"]), "no track obj_999"),
        (Wanted(scene=7), "no scene 7; there are 2"),
        (Wanted(elements=[(1, 99)]), "Scene 1 has no element 99"),
        (Wanted(["obj_001"], scene=2), "has a frame there"),
    ],
)
def test_what_is_not_there_is_said(shared: Storage, results: Stored, wanted: Wanted, says: str) -> None:
    with pytest.raises(NothingThere, match=says):
        order_of(results, shared.settings, wanted, PNG)


def test_a_video_without_results_has_no_matte(shared: Storage, tmp_path: object) -> None:
    video_id = add(shared, numbered(tmp_path / "new.mp4", size="96x80"))  # type: ignore[operator]
    with pytest.raises(NotPublished):
        sheets.published(shared, video_id)


def test_everything_that_changes_a_matte_changes_its_key(shared: Storage, results: Stored) -> None:
    order = order_of(results, shared.settings, Wanted(["obj_001"]), PNG)
    again = order_of(results, shared.settings, Wanted(["obj_001"]), PNG)
    assert order.key == again.key and len(order.key) == 64
    others = {
        "video_id": "x", "sha256": "x", "results": (("masks", "x"),), "tracks": ("obj_002",), "start": 1, "stop": 7, "soften": 2.0,
        "shape": Shape("png", True), "weights": "sha256:x", "picture_side": 512, "code_version": 2,
    }  # fmt: skip
    assert others.keys() == {field.name for field in fields(MatteOrder)}
    keys = {replace(order, **{name: value}).key for name, value in others.items()}  # type: ignore[arg-type]
    assert len(keys | {order.key}) == len(others) + 1
