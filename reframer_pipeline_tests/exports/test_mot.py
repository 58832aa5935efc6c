"""MOT Challenge, read back by TrackEval."""

from __future__ import annotations

import configparser
import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import trackeval

from reframer_pipeline.exports.videos import Video
from reframer_pipeline.schemas import CLASSES
from reframer_pipeline_tests.exports import truth

Exported = Callable[..., Path]


def _rows(path: Path) -> list[list[float]]:
    return [[float(cell) for cell in row] for row in csv.reader(path.open())]


@pytest.mark.models
def test_the_computed_clip_agrees_with_itself(drawn: Video, exported: Exported) -> None:
    folder = exported("mot", drawn)
    _compare(folder, drawn)
    _perfect(folder, drawn)


def test_what_is_awkward_is_as_in_the_database(made: list[Video], exported: Exported) -> None:
    folder = exported("mot", *made)
    odd = made[0]
    for video in made:
        _compare(folder, video)
    _perfect(folder, odd)
    place = folder / odd.name
    assert _rows(place / "gt" / "gt.txt")[0] == [1, 1, 1, 1, 64, 48, 1, 1, 1]  # the first frame, the first pixel: both are 1
    assert (place / "gt" / "labels.txt").read_text().split() == list(CLASSES)
    info = configparser.ConfigParser()
    info.read(place / "seqinfo.ini")
    assert {**info["Sequence"]} == {
        "name": odd.name, "imdir": "img1", "framerate": "30", "seqlength": "18", "imwidth": "64", "imheight": "48", "imext": ".jpg",
    }  # fmt: skip


def _compare(folder: Path, video: Video) -> None:
    """Every line is a sighting of the database, and every sighting is there."""
    place, known, numbers = folder / video.name, truth.sightings(video), {}
    for row in known.values():
        if row["track_id"]:
            numbers.setdefault(row["track_id"], len(numbers) + 1)
    assert numbers.keys() == truth.tracks(video).keys()
    boxes = [[row["frame_number"] + 1, *_from_one(row)] for row in known.values()]
    tracked = [(row, numbers[row["track_id"]]) for row in known.values() if row["track_id"]]
    assert _rows(place / "det" / "det.txt") == [
        pytest.approx([frame, -1, *box, row["confidence"], -1, -1, -1], abs=1e-4)
        for (frame, *box), row in zip(boxes, known.values(), strict=True)
    ]
    assert _rows(place / "gt" / "gt.txt") == [
        pytest.approx([row["frame_number"] + 1, number, *_from_one(row), 1, CLASSES.index(row["class"]) + 1, 1], abs=1e-4)
        for row, number in tracked
    ]
    assert _rows(place / "results" / f"{video.name}.txt") == [
        pytest.approx([row["frame_number"] + 1, number, *_from_one(row), row["confidence"], -1, -1, -1], abs=1e-4)
        for row, number in tracked
    ]


def _from_one(row: truth.Row) -> tuple[float, float, float, float]:
    x, y, width, height = truth.box(row)
    return x + 1, y + 1, width, height


def _perfect(folder: Path, video: Video) -> None:
    """The tracks as an answer, measured by the tracks as the truth."""
    quiet = {"PRINT_RESULTS": False, "PRINT_CONFIG": False, "TIME_PROGRESS": False, "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False,
             "PLOT_CURVES": False, "OUTPUT_EMPTY_CLASSES": False, "BREAK_ON_ERROR": True}  # fmt: skip
    dataset = trackeval.datasets.MotChallenge2DBox({
        "GT_FOLDER": str(folder), "TRACKERS_FOLDER": str(folder / video.name), "TRACKERS_TO_EVAL": ["results"], "TRACKER_SUB_FOLDER": "",
        "SKIP_SPLIT_FOL": True, "SEQ_INFO": {video.name: None}, "DO_PREPROC": False, "PRINT_CONFIG": False,
    })  # fmt: skip
    metrics = [
        trackeval.metrics.HOTA(),
        trackeval.metrics.CLEAR({"PRINT_CONFIG": False}),
        trackeval.metrics.Identity({"PRINT_CONFIG": False}),
    ]
    results, _ = trackeval.Evaluator(quiet).evaluate([dataset], metrics)
    found = results["MotChallenge2DBox"]["results"][video.name]["pedestrian"]
    assert found["HOTA"]["HOTA"].min() == pytest.approx(1) and found["CLEAR"]["MOTA"] == 1 and found["Identity"]["IDF1"] == 1
    tracked = [row for row in truth.sightings(video).values() if row["track_id"]]
    assert found["Count"]["GT_Dets"] == len(tracked) and found["Count"]["GT_IDs"] == len(truth.tracks(video))
