"""Mapping, second suppression, size filter and order."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import COCO_PRODUCTS, DEMO_PRODUCTS, Settings
from reframer_pipeline.vision.boxes import Boxes
from reframer_pipeline.vision.labels import mapped, pairwise_iou, require_labels, suppressed_mask


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


COCO = ("person", "bicycle", "bottle", "wine glass", "cup", "cell phone")


def test_what_the_default_lists_name_beyond_the_model_is_left_out_silently() -> None:
    require_labels(Settings(), COCO)
    require_labels(Settings(product_labels=COCO_PRODUCTS + DEMO_PRODUCTS), ("person", "box"))


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ({"person_labels": "Person"}, "REFRAMER_PERSON_LABELS names 'Person', a label that", "Did you mean person?"),
        ({"product_labels": "botle, cup,cellphone"}, "names 'botle', 'cellphone', labels that", "Did you mean bottle, cell phone?"),
        ({"product_labels": "spaceship"}, "names 'spaceship'", "It has: person, bicycle, bottle, wine glass, cup, cell phone."),
    ],
)
def test_a_given_label_that_the_model_does_not_have_is_refused(given: dict[str, str], message: str, remedy: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        require_labels(Settings(**given), COCO)  # type: ignore[arg-type]
    assert message in refused.value.message
    assert remedy in refused.value.remedy


def test_a_model_that_knows_none_of_the_wanted_labels_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="none of the labels") as refused:
        require_labels(Settings(), ("shoe", "sock"))
    assert "It has: shoe, sock." in refused.value.remedy
    require_labels(Settings(product_labels="shoe"), ("shoe", "sock"))  # type: ignore[arg-type]


def test_a_long_list_of_labels_is_cut() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        require_labels(Settings(product_labels="x"), [f"thing {n}" for n in range(1000)])  # type: ignore[arg-type]
    assert len(refused.value.remedy) < 400


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
