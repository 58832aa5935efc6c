"""Mapping, second suppression, size filter and order."""

from __future__ import annotations

import numpy as np

from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.boxes import Boxes
from reframer_pipeline.vision.labels import mapped, pairwise_iou, suppressed_mask


def boxes(*rows: tuple[str, float, float, float, float, float]) -> Boxes:
    table = np.array([row[1:] for row in rows], np.float32).reshape(-1, 5)
    return Boxes(table[:, 1:], table[:, 0], [row[0] for row in rows])


def kept(found: Boxes, height: int = 400, width: int = 600, **settings: object) -> list[tuple[str, str, float]]:
    result, classes = mapped(found, height, width, Settings(**settings))  # type: ignore[arg-type]
    return [(label, name, round(float(c), 2)) for label, name, c in zip(result.labels, classes, result.confidence, strict=True)]


def test_a_bottle_also_seen_as_a_vase_is_one_product() -> None:
    found = boxes(("vase", 0.7, 10, 10, 110, 210), ("bottle", 0.9, 12, 10, 112, 210))
    assert kept(found) == [("bottle", "product", 0.9)]


def test_a_person_holding_a_book_stays_beside_the_book() -> None:
    found = boxes(("book", 0.8, 10, 10, 110, 210), ("person", 0.6, 10, 10, 110, 210))
    assert kept(found) == [("book", "product", 0.8), ("person", "person", 0.6)]


def test_labels_that_mean_nothing_go_and_settings_say_which() -> None:
    found = boxes(("giraffe", 0.9, 0, 0, 100, 100), ("person", 0.8, 0, 0, 100, 100))
    assert kept(found) == [("person", "person", 0.8)]
    assert kept(found, person_labels="giraffe", product_labels="person") == [("giraffe", "person", 0.9), ("person", "product", 0.8)]


def test_the_longer_side_decides_on_size_and_0_switches_it_off() -> None:
    found = boxes(("person", 0.9, 0, 0, 20, 64), ("person", 0.8, 100, 0, 163, 63))
    assert kept(found) == [("person", "person", 0.9)]
    assert len(kept(found, min_size=0)) == 2


def test_a_box_that_is_too_small_suppresses_nothing() -> None:
    found = boxes(("cup", 0.9, 0, 0, 60, 60), ("cup", 0.8, 0, 0, 70, 70))
    assert kept(found) == [("cup", "product", 0.8)]


def test_boxes_are_clipped_to_the_frame_and_empty_ones_go() -> None:
    found = boxes(("person", 0.9, -50, -10, 650, 410), ("person", 0.8, 700, 0, 800, 100), ("person", 0.7, 10, 10, 10, 200))
    result, _ = mapped(found, 400, 600, Settings())
    assert result.xyxy.tolist() == [[0, 0, 600, 400]]


def test_order_is_by_falling_confidence_and_stable() -> None:
    found = boxes(*((label, c, 100 * i, 0, 100 * i + 90, 90) for i, (label, c) in enumerate([("cup", 0.5), ("vase", 0.9), ("book", 0.5)])))
    assert [label for label, _, _ in kept(found)] == ["vase", "cup", "book"]


def test_no_boxes() -> None:
    assert kept(boxes()) == []


def test_suppression_and_overlap_agree_with_supervision() -> None:
    import supervision as sv

    rng = np.random.default_rng(3)
    for _ in range(40):
        corners = rng.uniform(0, 80, (30, 2))
        xyxy = np.hstack([corners, corners + rng.uniform(5, 60, (30, 2))]).astype(np.float32)
        classes = rng.integers(0, 2, 30)
        scores = -np.sort(-rng.random(30))
        theirs = sv.box_non_max_suppression(np.column_stack([xyxy, scores, classes]), iou_threshold=0.45)
        assert np.array_equal(~suppressed_mask(xyxy, classes.astype(str), 0.45), theirs)
        assert np.allclose(pairwise_iou(xyxy, xyxy), sv.box_iou_batch(xyxy, xyxy), atol=1e-5)
