"""COCO, read back by pycocotools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from reframer_pipeline.exports.videos import Video
from reframer_pipeline_tests.exports import truth
from reframer_pipeline_tests.exports.conftest import LABEL

Exported = Callable[..., Path]


@pytest.mark.models
def test_the_computed_clip_is_as_in_the_database(drawn: Video, exported: Exported) -> None:
    _compare(COCO(exported("coco", drawn) / "annotations.json"), [drawn])


def test_what_is_awkward_is_as_in_the_database(made: list[Video], exported: Exported) -> None:
    coco = COCO(exported("coco", *made) / "annotations.json")
    _compare(coco, made)
    assert [image["frame_number"] for image in coco.imgs.values()] == [0, 5, 10, 15] * 3  # those without a detection as well
    assert coco.imgs[3]["timestamp"] == 10 / 30 + 0.5
    assert not coco.getAnnIds(imgIds=[5, 6, 7, 8])
    assert [one["name"] for one in coco.loadCats(coco.getCatIds(supNms=["product"]))] == [LABEL, "cup", 'a "cup"\\x']
    assert not {"info", "licenses"} & coco.dataset.keys()


def _compare(coco: COCO, videos: list[Video]) -> None:
    """Every annotation is a sighting of the database, and every sighting is there."""
    found = {one["attributes"]["detection_id"]: one for one in coco.loadAnns(coco.getAnnIds())}
    assert sum(len(truth.sightings(video)) for video in videos) == len(found)
    assert len({one["track_id"] for one in found.values() if "track_id" in one}) == sum(len(truth.tracks(video)) for video in videos)
    for video in videos:
        masks = truth.masks(video)
        for detection_id, row in truth.sightings(video).items():
            one = found[detection_id]
            image = coco.imgs[one["image_id"]]
            assert (image["frame_number"], image["timestamp"]) == (row["frame_number"], row["timestamp"])
            assert image["file_name"] == f"{video.name}/{row['frame_number']:08d}.jpg"
            assert tuple(one["bbox"]) == truth.box(row) and one["score"] == row["confidence"]
            assert one["attributes"].get("track") == row["track_id"]
            category = coco.cats[one["category_id"]]
            assert (category["name"], category["supercategory"]) == (row["label"], row["class"])
            if detection_id in masks:
                mask = coco.annToMask(one)
                assert np.array_equal(mask, masks[detection_id]) and one["area"] == mask.sum()
            else:
                assert "segmentation" not in one


@pytest.mark.models
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_as_results_it_agrees_with_itself(drawn: Video, exported: Exported, kind: str) -> None:
    path = exported("coco", drawn) / "annotations.json"
    coco = COCO(path)
    taken = ("image_id", "category_id", "score", "bbox" if kind == "bbox" else "segmentation")
    results = coco.loadRes([{name: one[name] for name in taken} for one in json.loads(path.read_text())["annotations"] if taken[-1] in one])
    measured = COCOeval(coco, results, kind)
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    assert measured.stats[0] == pytest.approx(1.0)
