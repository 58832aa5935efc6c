"""CVAT for video 1.1, read back by datumaro."""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reframer_pipeline.exports.videos import Video
from reframer_pipeline_tests.exports import truth
from reframer_pipeline_tests.exports.conftest import HOSTILE
from reframer_pipeline_tests.support import REPOSITORY

Exported = Callable[..., Path]
DATUMARO = REPOSITORY / ".tools" / "datumaro" / "bin" / "python"


@pytest.mark.models
def test_datumaro_reads_the_computed_clip_as_in_the_database(drawn: Video, exported: Exported) -> None:
    _compare(exported("cvat", drawn), drawn)


def test_datumaro_reads_what_is_awkward_as_in_the_database(odd: Video, exported: Exported) -> None:
    _compare(exported("cvat", odd), odd)


def test_keyframes_are_sparse_and_tracks_go_outside(odd: Video, exported: Exported) -> None:
    root = ElementTree.parse(exported("cvat", odd) / f"{odd.name}.xml").getroot()
    assert [[(int(box.get("frame", "")), box.get("outside")) for box in track] for track in root.iter("track")] == [
        [(0, "0"), (5, "1"), (10, "0"), (15, "0")],  # not seen in frame 5, seen in the last sampled one
        [(0, "0"), (5, "1")],  # seen once
        [(15, "0")],
    ]
    assert root.findtext("meta/task/mode") == "interpolation" and root.findtext("meta/task/size") == "18"
    assert root.findtext("meta/source") == HOSTILE
    assert {label.findtext("name") for label in root.iter("label")} == {"person", "product"}
    # the mask of nothing is left out, its box is there
    assert [[shape.tag for shape in image] for image in root.iter("image")] == [["mask", "mask", "box"], ["mask"]]


def test_a_video_with_nothing_in_it_is_a_file_without_shapes(made: list[Video], exported: Exported) -> None:
    root = ElementTree.parse(exported("cvat", made[1]) / f"{made[1].name}.xml").getroot()
    assert root.findtext("meta/task/size") == "18" and not list(root.iter("track")) and not list(root.iter("image"))


def _compare(folder: Path, video: Video) -> None:
    """Every box and mask is one of the database, and each of these is there. (Boxes have two decimals in this format.)"""
    found = _read(folder, video)
    known, masks, places = truth.sightings(video), truth.masks(video), {}
    for row in known.values():
        if row["track_id"]:
            places.setdefault(row["track_id"], len(places) + 1)
    boxes = {
        (row["frame"], row["track"], *np.round(row["xywh"], 1)): row for row in found if row["kind"] == "bbox" and not row.get("outside")
    }
    assert len(boxes) == len(known)
    for row in known.values():
        one = min(
            (box for box in boxes.values() if box["frame"] == row["frame_number"] and box["track"] == (row["track_id"] or "")),
            key=lambda box: np.abs(np.subtract(box["xywh"], truth.box(row))).sum(),
        )
        assert one["xywh"] == pytest.approx(truth.box(row), abs=0.0101)
        assert (one["class"], one["group"]) == (row["class"], places.get(row["track_id"], 0))
        assert float(one["confidence"]) == pytest.approx(row["confidence"], abs=1e-3)
    drawn = [row for row in found if row["kind"] == "mask"]
    expected = [(row, masks[name]) for name, row in known.items() if name in masks and masks[name].any()]
    assert len(drawn) == len(expected)
    for row, mask in expected:
        assert any(
            (one["frame"], one["class"], one["track"]) == (row["frame_number"], row["class"], row["track_id"] or "")
            and one["pixels"] == np.flatnonzero(mask).tolist()
            for one in drawn
        )


def _read(folder: Path, video: Video) -> list[dict[str, Any]]:
    """What datumaro finds; it wants a picture for each frame that has shapes, but does not open them."""
    if not DATUMARO.exists():
        pytest.skip("datumaro is not here: scripts/setup.sh installs it where REFRAMER_TEST_SERVERS is set")
    path = folder / f"{video.name}.xml"
    (folder / "images").mkdir()
    for image in ElementTree.parse(path).getroot().iter("image"):
        (folder / "images" / str(image.get("name"))).touch()
    reader = [DATUMARO, Path(__file__).with_name("read_cvat.py"), folder]
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(reader, capture_output=True, text=True, env=kept, timeout=600)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found
