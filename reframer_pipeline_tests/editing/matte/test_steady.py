"""Masks are carried along what moves, and tremble less than what the segmenter finds."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.editing.matte.steady import flow_of, steadied

RNG = np.random.default_rng(4)


def _scene(count: int, size: tuple[int, int], step: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures in which a textured square moves to the right, and its masks."""
    width, height = size
    ground, square = RNG.integers(0, 90, (height, width, 3)), RNG.integers(120, 255, (height // 3, height // 3, 3))
    pictures, masks = [], []
    for at in range(count):
        left, top = width // 4 + step * at, height // 3
        picture, mask = ground.astype(np.uint8).copy(), np.zeros((height, width), bool)
        picture[top : top + len(square), left : left + len(square)] = square
        mask[top : top + len(square), left : left + len(square)] = True
        pictures.append(picture)
        masks.append(mask)
    return pictures, masks


def _ragged(mask: np.ndarray) -> np.ndarray:
    """The mask with an edge that trembles, as a segmenter finds it."""
    import cv2

    wide = mask.shape[1] / 320
    small = RNG.normal(0, 1, (180, 320)).astype(np.float32)
    noise = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2), mask.shape[::-1])
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3 * wide) + 0.6 * noise > 0.5


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("size", [(320, 180), (1280, 720)])
def test_between_two_known_masks_the_edge_is_borne_out(size: tuple[int, int]) -> None:
    pictures, masks = _scene(6, size, size[0] // 160)
    own = {at: _ragged(masks[at]) for at in range(1, 5)}
    found = steadied({0: masks[0], 5: masks[5]}, own, flow_of(pictures), size)
    for at in range(1, 5):
        assert _iou(found[at], masks[at]) > 0.97 > _iou(own[at], masks[at])


def test_one_end_bears_out_what_the_segmenter_loses() -> None:
    pictures, masks = _scene(4, (320, 180), 2)
    own = {at: masks[at].copy() for at in (1, 2, 3)}
    own[2][:, 100:106] = False  # a crack
    found = steadied({0: masks[0]}, own, flow_of(pictures), (320, 180))
    assert _iou(own[2], masks[2]) < 0.93 and all(_iou(found[at], masks[at]) > 0.95 for at in own)


def test_without_a_known_mask_it_is_the_segmenters() -> None:
    pictures, masks = _scene(3, (320, 180), 2)
    own = {1: _ragged(masks[1])}
    assert np.array_equal(steadied({}, own, flow_of(pictures), (320, 180))[1], own[1])


def test_nothing_is_carried_over_frames_in_which_the_track_is_not() -> None:
    pictures, masks = _scene(5, (320, 180), 2)
    own = {3: _ragged(masks[3])}
    assert np.array_equal(steadied({0: masks[0]}, own, flow_of(pictures), (320, 180))[3], own[3])


def test_empty_masks_stay_empty() -> None:
    pictures, masks = _scene(3, (320, 180), 2)
    empty = np.zeros_like(masks[0])
    assert not steadied({0: empty, 2: empty}, {1: empty}, flow_of(pictures), (320, 180))[1].any()


def test_a_picture_of_a_few_pixels_has_no_flow() -> None:
    flow = flow_of([np.zeros((8, 300, 3), np.uint8)] * 3)
    assert len(flow.back) == 2 and not flow.back[0].any()
