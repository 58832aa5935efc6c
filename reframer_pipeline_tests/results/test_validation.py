"""Validation: good results pass, and each rule catches the result that breaks it alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import BY_NAME, NAMES
from reframer_pipeline.vision.rle import encode
from reframer_pipeline_tests.factories import Maker
from reframer_pipeline_tests.support import MemoryInput

Rows = list[dict[str, Any]]
MAKER = Maker("ab" * 32, Settings(conf=0.5, track_low_conf=0.1), candidates=True)


def judge(stage: str, rows: Rows, batch_rows: int = 5) -> set[str]:
    """Names of the checks that these rows fail."""
    upstream = {name: MemoryInput(name, MAKER.rows(name)) for name in NAMES[: NAMES.index(stage)]}
    validator = BY_NAME[stage].validator(MAKER.keys[stage], upstream)
    for start in range(0, len(rows), batch_rows):
        validator.feed(pa.RecordBatch.from_pylist(rows[start : start + batch_rows], schema=BY_NAME[stage].schema))
    try:
        checks = validator.verdict()
    except InvalidResult as failure:
        assert failure.checks
        return {check.name for check in failure.checks if not check.passed}  # type: ignore[attr-defined]
    assert all(check.passed for check in checks)
    return set()


def change(row: int, **values: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [{**r, **values} if at == row % len(rows) else r for at, r in enumerate(rows)]


def analysis(**values: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [{**rows[0], "analysis": json.dumps({**json.loads(rows[0]["analysis"]), **values})}, *rows[1:]]


def step(row: int, at: int, **values: Any) -> Callable[[Rows], Rows]:
    def act(rows: Rows) -> Rows:
        frames = list(rows[row]["frames"])
        frames[at] = {**frames[at], **values}
        return change(row, frames=frames)(rows)

    return act


UNKNOWN = "00000000-0000-5000-8000-000000000000"
DETECTION = MAKER.rows("detections")
BREAKS: list[tuple[str, str, Callable[[Rows], Rows]]] = [
    ("metadata", "one_row", lambda rows: []),
    ("metadata", "one_row", lambda rows: rows * 2),
    ("metadata", "size_positive", change(0, width=0)),
    ("metadata", "facts_plausible", change(0, rotation=45)),
    ("metadata", "facts_plausible", change(0, duration_seconds=float("nan"))),
    ("metadata", "same_file", change(0, sha256="0" * 64)),
    ("frames", "frame_numbers_contiguous", lambda rows: []),
    ("frames", "frame_numbers_contiguous", lambda rows: rows[:7] + rows[8:]),
    ("frames", "timestamps_rise_from_zero", change(0, timestamp=0.01)),
    ("frames", "timestamps_rise_from_zero", change(10, timestamp=0.0)),
    ("frames", "timestamps_rise_from_zero", change(-1, timestamp=float("nan"))),
    ("frames", "pts_rise", change(5, pts=1)),
    ("frames", "sampled_often_enough", change(5, sampled=False)),
    ("frames", "sampled_often_enough", change(0, sampled=False)),
    ("frames", "scores_in_range", change(3, content_score=256.0)),
    ("frames", "scores_in_range", change(3, content_score=float("nan"))),
    ("detections", "on_sampled_frames", change(0, timestamp=0.5)),
    ("detections", "on_sampled_frames", change(-1, frame_number=999)),
    ("detections", "ordered", lambda rows: [rows[1], rows[0], *rows[2:]]),
    ("detections", "ordered", lambda rows: rows[1:]),
    ("detections", "ordered", change(1, confidence=0.99)),
    ("detections", "boxes_inside_frame", change(2, x1=-0.5)),
    ("detections", "boxes_inside_frame", change(2, x2=64.5)),
    ("detections", "boxes_inside_frame", change(2, y1=9.0, y2=9.0)),
    ("detections", "boxes_inside_frame", change(2, y2=float("nan"))),
    ("detections", "classes_known", change(4, object_class="cup")),
    ("detections", "confidence_in_range", change(2, confidence=0.05)),
    ("detections", "confidence_in_range", change(2, candidate=False)),
    ("detections", "confidence_in_range", change(0, candidate=True)),
    ("detections", "confidence_in_range", change(0, confidence=1.5)),
    ("detections", "ids_unique", change(8, detection_id=DETECTION[0]["detection_id"])),
    ("masks", "size_is_frames", change(0, width=48, height=64)),
    ("masks", "rle_covers_frame", change(1, rle="04")),
    ("masks", "rle_covers_frame", change(1, rle="ü~")),
    ("masks", "area_is_rles", change(1, area=7)),
    ("masks", "no_orphans", change(2, detection_id=UNKNOWN)),
    ("masks", "no_orphans", change(2, detection_id=DETECTION[2]["detection_id"])),  # a candidate
    ("masks", "no_orphans", change(2, frame_number=45)),
    ("masks", "one_each", lambda rows: [*rows, rows[0]]),
    ("masks", "one_each", lambda rows: [rows[0], *rows]),
    ("masks", "none_missing", lambda rows: rows[:-1]),
    ("masks", "scores_finite", change(0, stability=float("nan"))),
    ("trajectories", "frames_rise", step(0, 1, frame=0)),
    ("trajectories", "span_is_frames", change(0, end_frame=49)),
    ("trajectories", "span_is_frames", change(1, start_frame=1)),
    ("trajectories", "span_is_frames", change(1, frames=[])),
    ("trajectories", "detections_exist", step(0, 2, detection_id=UNKNOWN)),
    ("trajectories", "detections_exist", step(0, 2, detection_id=DETECTION[0]["detection_id"])),  # of another frame
    ("trajectories", "detections_used_once", lambda rows: [rows[0], {**rows[0], "track_id": "obj_002"}]),
    ("trajectories", "track_ids_unique", change(1, track_id="obj_001")),
    ("trajectories", "classes_known", change(1, object_class="dog")),
    ("scenes", "cover_the_video", lambda rows: rows[:1]),
    ("scenes", "cover_the_video", lambda rows: []),
    ("scenes", "cover_the_video", change(0, start_frame=1)),
    ("scenes", "numbered_from_one", change(1, scene_number=3)),
    ("scenes", "times_rise", change(0, end_seconds=-1.0)),
    ("scenes", "analysis_agrees", analysis(end_frame=24)),
    ("scenes", "analysis_agrees", change(0, analysis="[]")),
    ("scenes", "words_known", analysis(importance=11)),
    ("scenes", "words_known", analysis(scene_type="animal")),
    ("scenes", "words_known", analysis(replaceable_elements=[{"type": "person", "description": "x", "difficulty": "trivial"}])),
    ("scenes", "words_known", analysis(replaceable_elements="none")),
    ("scenes", "tracks_exist", analysis(tracks=["obj_777"])),
    ("scenes", "tracks_exist", analysis(tracks=[{"track_id": "obj_777"}])),
]  # fmt: skip


@pytest.mark.parametrize("stage", NAMES)
@pytest.mark.parametrize("batch_rows", [1, 5, 1000])
def test_good_results_pass(stage: str, batch_rows: int) -> None:
    assert judge(stage, MAKER.rows(stage), batch_rows) == set()


@pytest.mark.parametrize(("stage", "check", "spoil"), BREAKS, ids=[f"{stage}-{check}-{at}" for at, (stage, check, _) in enumerate(BREAKS)])
def test_each_rule_catches_its_break(stage: str, check: str, spoil: Callable[[Rows], Rows]) -> None:
    spoiled = spoil(MAKER.rows(stage))
    assert check in judge(stage, spoiled)
    assert check in judge(stage, spoiled, batch_rows=1000)


def test_masks_mostly_outside_their_box_warn_and_break_nothing() -> None:
    rows, boxes = MAKER.rows("masks"), {row["detection_id"]: row for row in MAKER.rows("detections")}
    upstream = {name: MemoryInput(name, MAKER.rows(name)) for name in ("metadata", "frames", "detections")}
    box = boxes[rows[1]["detection_id"]]
    columns = np.arange(MAKER.width)
    for share, warned in ((0.0, True), (0.4, True), (0.6, False), (1.0, False)):
        mask = np.zeros((MAKER.height, MAKER.width), bool)
        there = np.flatnonzero((columns >= np.floor(box["x1"])) & (columns < np.ceil(box["x2"])))
        elsewhere = np.setdiff1d(columns, there)
        mask[int(box["y1"]), [*there[: round(5 * share)], *elsewhere[: 5 - round(5 * share)]]] = True
        rle, area = encode(mask)
        validator = BY_NAME["masks"].validator(MAKER.keys["masks"], upstream)
        validator.feed(
            pa.RecordBatch.from_pylist([rows[0], {**rows[1], "rle": rle, "area": area}, *rows[2:]], schema=BY_NAME["masks"].schema)
        )
        (check,) = [check for check in validator.verdict() if check.name == "mostly_inside_box"]
        assert (check.warns, check.passed, check.detail) == (True, not warned, "1 broken, first in row 1" if warned else "")


def test_videos_without_any_object_pass() -> None:
    for stage in ("detections", "masks", "trajectories"):
        upstream = {name: MemoryInput(name, MAKER.rows(name) if name in ("metadata", "frames") else []) for name in NAMES}
        assert all(check.passed for check in BY_NAME[stage].validator(MAKER.keys[stage], upstream).verdict())


@pytest.mark.parametrize("chosen", [{"mask_stride": 2}, {"mask_conf": 0.7}, {"mask_stride": 2, "mask_conf": 0.7}])
def test_masks_of_some_detections_are_these_and_no_others(chosen: dict[str, Any]) -> None:
    key = Maker("ab" * 32, Settings(conf=0.5, track_low_conf=0.1, **chosen), candidates=True).keys["masks"]
    upstream = {name: MemoryInput(name, MAKER.rows(name)) for name in NAMES[: NAMES.index("masks")]}
    frames = sorted({row["frame_number"] for row in DETECTION if not row["candidate"]})
    wanted = {
        row["detection_id"]
        for row in DETECTION
        if not row["candidate"]
        and frames.index(row["frame_number"]) % chosen.get("mask_stride", 1) == 0
        and row["confidence"] >= chosen.get("mask_conf", 0)
    }
    every = MAKER.rows("masks")
    good = [row for row in every if row["detection_id"] in wanted]
    assert 0 < len(good) < len(every)

    def failed(rows: Rows) -> set[str]:
        validator = BY_NAME["masks"].validator(key, upstream)
        validator.feed(pa.RecordBatch.from_pylist(rows, schema=BY_NAME["masks"].schema))
        try:
            validator.verdict()
        except InvalidResult as failure:
            return {check.name for check in failure.checks if not check.passed}
        return set()

    assert failed(good) == set()
    assert failed(every) == {"no_orphans"}
    assert failed(good[1:]) == {"none_missing"}


def test_a_choice_of_all_masks_changes_no_key() -> None:
    def key(**chosen: Any) -> str:
        return Maker("ab" * 32, Settings(**chosen)).keys["masks"].digest

    assert key(mask_stride=1, mask_conf=0.0, sam2_imgsz=1024) == key()
    assert len({key(), key(mask_stride=2), key(mask_conf=0.7), key(sam2_imgsz=512)}) == 4
