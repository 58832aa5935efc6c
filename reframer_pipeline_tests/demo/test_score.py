"""The metrics, on cases whose answers are known by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pycocotools import mask as coco_mask

from reframer_pipeline.cli import app, score
from reframer_pipeline.database import embedded
from reframer_pipeline.demo.score import map50, score_clips, shot_f1
from reframer_pipeline.demo.truth import ClipPrediction, ClipTruth, Frame, truth_of
from reframer_pipeline.demo.world import FIRST_EVALUATION_SEED, make_clip
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.settings import Settings

pytestmark = pytest.mark.slow

PERSON, PRODUCT = (10.0, 10.0, 60.0, 110.0), (200.0, 20.0, 280.0, 90.0)


def mask_of(xyxy: tuple[float, ...]) -> dict[str, object]:
    mask = np.zeros((120, 320), np.uint8, order="F")
    x0, y0, x1, y1 = map(int, xyxy)
    mask[y0:y1, x0:x1] = 1
    return dict(coco_mask.encode(mask))


def frame(boxes: list[tuple[float, ...]], classes: list[str], ids: list[int], **rest: object) -> Frame:
    return Frame.of(boxes, classes, ids=ids, masks=[mask_of(box) for box in boxes], **rest)


def clip_of(frames: list[Frame], cuts: tuple[int, ...] = (5,)) -> ClipTruth:
    return ClipTruth(tuple(frames), cuts)


def found(frames: list[Frame], cuts: tuple[int, ...] = (5,)) -> ClipPrediction:
    return ClipPrediction(tuple(frames), tuple(frames), tuple(frames), cuts)


TRUTH = [frame([PERSON, PRODUCT], ["person", "product"], [1, 2]) for _ in range(4)]


def test_a_perfect_run_scores_one() -> None:
    tracks = [frame([PERSON, PRODUCT], ["person", "product"], [7, 9]) for _ in range(4)]
    scores = score_clips([(clip_of(TRUTH), found(tracks))])
    assert scores == pytest.approx({"clips": 1, "map50": 1, "mask_iou": 1, "hota": 1, "idf1": 1, "shot_f1": 1})


def test_one_class_missed_everywhere_halves_the_scores() -> None:
    people = [frame([PERSON], ["person"], [7]) for _ in range(4)]
    scores = score_clips([(clip_of(TRUTH), found(people, cuts=()))])
    assert scores["map50"] == pytest.approx(0.5)
    assert scores["mask_iou"] == pytest.approx(0.5)
    assert scores["idf1"] == pytest.approx(2 * 4 / (2 * 4 + 4))
    assert scores["hota"] == pytest.approx(np.sqrt(0.5))  # DetA = 4 / 8, AssA = 1
    assert scores["shot_f1"] == 0


def test_an_id_that_changes_half_way_costs_association_only() -> None:
    tracks = [frame([PERSON, PRODUCT], ["person", "product"], [7 if i < 2 else 8, 9]) for i in range(4)]
    scores = score_clips([(clip_of(TRUTH), found(tracks))])
    assert scores["map50"] == scores["mask_iou"] == 1
    assert scores["idf1"] == pytest.approx(6 / 8)
    assert scores["hota"] == pytest.approx(np.sqrt((4 * 0.5 + 4 * 1) / 8))


def test_swapped_ids_are_found() -> None:
    left, right = (10.0, 10.0, 60.0, 110.0), (200.0, 10.0, 250.0, 110.0)
    truth = [frame([left, right], ["person", "person"], [1, 2]) for _ in range(4)]
    swapped = [frame([left, right], ["person", "person"], [7, 8] if i < 2 else [8, 7]) for i in range(4)]
    scores = score_clips([(clip_of(truth), found(swapped))])
    assert scores["idf1"] == pytest.approx(0.5)
    assert scores["hota"] == pytest.approx(np.sqrt(1 / 3))  # each pair: 2 together, 6 in either


def test_the_wrong_class_is_a_miss_and_a_false_alarm() -> None:
    wrong = [frame([PERSON, PRODUCT], ["product", "product"], [7, 9]) for _ in range(4)]
    scores = score_clips([(clip_of(TRUTH), found(wrong))])
    assert scores["mask_iou"] == pytest.approx(0.5)
    assert scores["idf1"] == pytest.approx(4 / 8)


def test_ignored_objects_neither_help_nor_hurt() -> None:
    truth = [frame([PERSON, PRODUCT], ["person", "product"], [1, 2], counted=[True, False]) for _ in range(4)]
    both = [frame([PERSON, PRODUCT], ["person", "product"], [7, 9]) for _ in range(4)]
    one = [frame([PERSON], ["person"], [7]) for _ in range(4)]
    for tracks in (both, one):
        scores = score_clips([(clip_of(truth), found(tracks))])
        assert (scores["map50"], scores["mask_iou"], scores["hota"], scores["idf1"]) == pytest.approx((1, 1, 1, 1))


def test_average_precision_of_a_confident_false_alarm() -> None:
    far = (100.0, 10.0, 150.0, 110.0)
    guess = Frame.of([far, PERSON], ["person", "person"], conf=[0.9, 0.8])
    assert map50([(Frame.of([PERSON], ["person"]), guess)]) == pytest.approx(0.5)
    guess = Frame.of([far, PERSON], ["person", "person"], conf=[0.7, 0.8])
    assert map50([(Frame.of([PERSON], ["person"]), guess)]) == pytest.approx(1)


def test_half_a_mask_is_half_the_iou() -> None:
    half = Frame.of([PERSON], ["person"], masks=[mask_of((10, 10, 60, 60))])
    truth = frame([PERSON], ["person"], [1])
    scores = score_clips([(clip_of([truth]), ClipPrediction((half,), (half,), (half,), (5,)))])
    assert scores["mask_iou"] == pytest.approx(0.5)


def test_cuts_must_be_exact() -> None:
    assert shot_f1([((10, 20), (10, 21))]) == pytest.approx(0.5)
    assert shot_f1([((), ())]) == 1
    assert shot_f1([((), (4,)), ((7,), (7,))]) == pytest.approx(2 / 3)


def test_frames_without_boxes_are_fine() -> None:
    empty = Frame.of([], [])
    scores = score_clips([(clip_of([empty, TRUTH[0]]), found([empty, empty]))])
    assert scores["map50"] == scores["mask_iou"] == scores["idf1"] == 0


def test_drawn_truth_scores_one_against_itself() -> None:
    truth = truth_of(make_clip(FIRST_EVALUATION_SEED + 1), range(0, 150, 50))
    scores = score_clips([(truth, ClipPrediction(truth.frames, truth.frames, truth.frames, truth.cuts))])
    assert all(value == pytest.approx(1) for value in scores.values())


def test_the_drawn_clips_stay_out_of_the_users_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`demo --score` has a home of its own, whatever database the user has, and its server is stopped afterwards."""
    used: list[Settings] = []

    def run(settings: Settings, *_: object) -> tuple[ClipTruth, ClipPrediction]:
        used.append(settings)
        assert storage_of(settings).db.fetch("SELECT * FROM videos") == []
        tracks = [frame([PERSON, PRODUCT], ["person", "product"], [7, 9]) for _ in range(4)]
        return clip_of(TRUTH), found(tracks)

    monkeypatch.setattr(score, "_run", run)
    monkeypatch.setattr(score, "write_clip", lambda clip, path: None)
    monkeypatch.setenv("REFRAMER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("REFRAMER_STORE_URL", str(tmp_path / "store"))
    ran = CliRunner().invoke(app, ["demo", "--score", "--clips", "1", "--json", "--home", str(tmp_path)], catch_exceptions=False)
    assert json.loads(ran.stdout)["clips"] == 1
    assert used[0].home_dir == tmp_path / "demo" / "score" and [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert embedded.running(used[0]) is None
