"""An export of some tracks has what belongs to them, in every format, and the scenes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from reframer_pipeline.exports.formats import FORMATS
from reframer_pipeline.exports.packing import download, write
from reframer_pipeline.exports.videos import Video, published_videos
from reframer_pipeline.failures import NothingThere
from reframer_pipeline.reading.tables import ELEMENTS, MASKS, SIGHTINGS, TRACKS, Table, page
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome


@pytest.fixture(scope="module")
def whole(shared: Storage, done: VideoOutcome) -> Video:
    (video,) = published_videos(shared, [done.video_id])
    return video


@pytest.fixture(scope="module")
def chosen(whole: Video) -> list[str]:
    """The second and the fourth track."""
    return [row["track_id"] for row in page(whole.storage.db, TRACKS, whole.result_id)][1:4:2]


def listed(video: Video, table: Table) -> list[dict[str, object]]:
    return [row for batch in video.rows(table) for row in batch.to_pylist()]


def test_rows_are_those_of_the_tracks(whole: Video, chosen: list[str]) -> None:
    part = whole.of_tracks(chosen)
    sightings = [row for row in listed(whole, SIGHTINGS) if row["track_id"] in chosen]
    ids = {row["detection_id"] for row in sightings}
    assert 0 < len(sightings) < len(listed(whole, SIGHTINGS)) and listed(part, SIGHTINGS) == sightings
    assert [row["track_id"] for row in listed(part, TRACKS)] == chosen
    assert listed(part, MASKS) == [row for row in listed(whole, MASKS) if row["detection_id"] in ids]
    assert listed(part, ELEMENTS) == [row for row in listed(whole, ELEMENTS) if not set(chosen).isdisjoint(row["track_ids"])]  # type: ignore[call-overload]


def test_files_have_the_tracks_alone(whole: Video, chosen: list[str], tmp_path: Path) -> None:
    part = whole.of_tracks(chosen)
    for name in FORMATS:
        write(FORMATS[name], [part], tmp_path / name)
    coco = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert {one["attributes"]["track"] for one in coco["annotations"]} == set(chosen)
    assert len(coco["annotations"]) == len(listed(part, SIGHTINGS))
    davis = json.loads((tmp_path / "davis" / "meta.json").read_text())
    assert {one["track"] for video in davis["videos"].values() for one in video["objects"].values()} == set(chosen)
    (tracks,) = (tmp_path / "csv").rglob("tracks.csv")
    assert [row["track_id"] for row in csv.DictReader(io.StringIO(tracks.read_text()))] == chosen
    (mot,) = (tmp_path / "mot").rglob("det.txt")
    assert len(mot.read_text().splitlines()) == len(listed(part, SIGHTINGS))
    (cvat,) = (tmp_path / "cvat").glob("*.xml")
    assert cvat.read_text().count("<track id=") == len(chosen)
    assert len(next((tmp_path / "vtt").glob("*.vtt")).read_text().split("-->")) > 2  # all scenes


def test_a_file_is_named_by_video_and_tracks(whole: Video, chosen: list[str]) -> None:
    names = [row["track_id"] for row in page(whole.storage.db, TRACKS, whole.result_id)]
    part = whole.of_tracks(chosen[::-1])
    assert (whole.title, part.title) == (whole.name, f"{whole.name}-{chosen[0]}-{chosen[1]}")
    assert whole.of_tracks(names[:4]).title == f"{whole.name}-4-tracks"
    assert download(FORMATS["davis"], [part]).filename == f"{part.title}-davis.zip"


def test_a_track_that_is_not_there(whole: Video) -> None:
    assert whole.of_tracks([]) is whole
    with pytest.raises(NothingThere, match="obj_999"):
        whole.of_tracks(["obj_001", "obj_999"])
