"""Exports of a corrected video: what is read from Parquet and what is read by SQL say the same, and it is the corrected whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reframer_pipeline.corrections.events import Delete, Merge, Reclass, Rename, Split
from reframer_pipeline.exports.formats import FORMATS
from reframer_pipeline.exports.videos import Video, published_videos
from reframer_pipeline.results.storage import Storage
from reframer_pipeline_tests.corrections.walkers import computed, correct
from reframer_pipeline_tests.exports import truth

Exported = Callable[..., Path]


@pytest.fixture
def corrected(storage: Storage) -> Video:
    """obj_001 is one again, obj_002 is two, obj_003 is a person called Mug, and obj_004 is gone."""
    video_id = computed(storage)
    correct(
        storage, video_id, Merge(track_id="obj_001", other_id="obj_005"), Split(track_id="obj_002", frame=50), Delete(track_id="obj_004"),
        Rename(track_id="obj_003", label="Mug"), Reclass.model_validate({"track_id": "obj_003", "class": "person"}),
    )  # fmt: skip
    return published_videos(storage, [video_id])[0]


def test_coco_has_the_corrected_tracks_labels_and_classes(corrected: Video, exported: Exported) -> None:
    found = json.loads((exported("coco", corrected) / "annotations.json").read_text())
    kinds = {one["id"]: (one["supercategory"], one["name"]) for one in found["categories"]}
    known = truth.sightings(corrected)
    assert {
        one["attributes"]["detection_id"]: (one["attributes"]["track"], *kinds[one["category_id"]]) for one in found["annotations"]
    } == {name: (row["track_id"], row["class"], row["label"]) for name, row in known.items()}
    assert {(one["track_id"], one["attributes"]["track"]) for one in found["annotations"]} == {
        (1, "obj_001"), (2, "obj_002"), (3, "obj_003"), (6, "obj_006"),
    }  # fmt: skip
    assert all("segmentation" in one for one in found["annotations"]) and kinds.keys() == {1, 2}


def test_mot_and_csv_have_them_too(corrected: Video, exported: Exported) -> None:
    rows = [line.split(",") for line in (exported("mot", corrected) / corrected.name / "gt" / "gt.txt").read_text().splitlines()]
    known = truth.sightings(corrected).values()
    assert sorted((int(row[0]) - 1, int(row[1]), int(row[7])) for row in rows) == sorted(
        (row["frame_number"], int(row["track_id"][4:]), ["person", "product"].index(row["class"]) + 1) for row in known
    )
    folder = exported("csv", corrected) / corrected.name
    tracks = list(csv.DictReader((folder / "tracks.csv").open()))
    assert [(row["track_id"], row["by_hand"]) for row in tracks] == [
        ("obj_001", "merged"), ("obj_002", "split"), ("obj_003", "class; label"), ("obj_006", "split"),
    ]  # fmt: skip
    assert len(list(csv.DictReader((folder / "masks.csv").open()))) == len(truth.masks(corrected)) == len(known) == 58


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_written(corrected: Video, exported: Exported, name: str) -> None:
    text = "".join(path.read_text(errors="replace") for path in exported(name, corrected).rglob("*") if path.is_file())
    assert "obj_004" not in text and "vase" not in text
