"""Run lengths against pycocotools, which is the definition of the format."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.vision import rle


def masks_of_many_kinds() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    masks = [np.zeros((1, 1), bool), np.ones((1, 1), bool), np.zeros((5, 9), bool), np.ones((9, 5), bool)]
    for _ in range(150):
        height, width = (int(n) for n in rng.integers(1, 60, 2))
        masks.append(rng.random((height, width)) < rng.random())
    for _ in range(20):  # few, long runs: numbers of several groups, and large negative differences
        mask = np.zeros((700, 900), bool)
        for _ in range(int(rng.integers(1, 4))):
            top, left = int(rng.integers(0, 700)), int(rng.integers(0, 900))
            mask[top : top + int(rng.integers(1, 700)), left : left + int(rng.integers(1, 900))] ^= True
        masks.append(mask)
    return masks


def text_of(compressed: str) -> str:
    return ",".join(map(str, rle.counts_of(compressed)))


def mask_of(text: str, height: int, width: int) -> np.ndarray:
    """What the README says `mask_rle` means: runs down the columns, zeros first."""
    runs = [int(count) for count in text.split(",")]
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape((height, width), order="F")


def test_encode_is_cocos_and_decode_is_its_inverse() -> None:
    for mask in masks_of_many_kinds():
        compressed, area = rle.encode(mask)
        assert area == mask.sum()
        assert np.array_equal(rle.decode(compressed, *mask.shape), mask)
        read = {"size": list(mask.shape), "counts": compressed.encode()}
        assert np.array_equal(coco.decode(read), mask)


def test_a_part_is_encoded_as_the_whole_with_nothing_around_it() -> None:
    rng = np.random.default_rng(3)
    for part in masks_of_many_kinds():
        top, left, below, right = rng.choice([0, 1, 40], 4).tolist()
        whole = np.pad(part, ((top, below), (left, right)))
        assert rle.encode_part(part, left, top, *whole.shape) == rle.encode(whole)
    assert rle.encode_part(np.zeros((0, 0), bool), 0, 0, 4, 3) == rle.encode(np.zeros((4, 3), bool))


def test_a_small_mask_has_the_pixels_in_the_middle_of_its_own() -> None:
    mask = np.zeros((60, 90), bool)
    mask[20:40, 30:75] = True
    compressed, _ = rle.encode(mask)
    assert np.array_equal(rle.decode_small(compressed, 60, 90, (60, 90)), mask)
    small = rle.decode_small(compressed, 60, 90, (6, 9))
    assert np.array_equal(small, mask[5::10, 5::10]) and small.sum() == 2 * 4


def test_text_is_what_pycocotools_reads_as_plain_counts() -> None:
    for mask in masks_of_many_kinds():
        height, width = mask.shape
        compressed, _ = rle.encode(mask)
        text = text_of(compressed)
        plain = {"size": [height, width], "counts": [int(n) for n in text.split(",")]}
        assert coco.frPyObjects(plain, height, width)["counts"].decode() == compressed
        assert np.array_equal(mask_of(text, height, width), mask)


def test_the_references_example() -> None:
    mask = mask_of("3,5,10", 6, 3)
    assert mask.T.reshape(-1).tolist() == [False] * 3 + [True] * 5 + [False] * 10
    assert text_of(rle.encode(mask)[0]) == "3,5,10"


def test_first_pixel_set_starts_with_a_run_of_zero_zeros() -> None:
    assert text_of(rle.encode(np.ones((2, 3), bool))[0]) == "0,6"


def test_integers_and_any_memory_order_are_taken() -> None:
    mask = np.array([[0, 2, 0], [0, 2, 7]])
    assert rle.encode(mask) == rle.encode(np.asfortranarray(mask > 0)) == rle.encode((mask > 0)[:, ::1])


@pytest.mark.parametrize("compressed", ["", "P", "\x10", "é", "0", "o" * 40 + "0"])
def test_damaged_compressed_masks_are_refused(compressed: str) -> None:
    with pytest.raises(InvalidResult):
        rle.decode(compressed, 6, 3)


def test_pixels_in_a_box_are_counted_from_the_runs() -> None:
    rng = np.random.default_rng(4)
    for _ in range(60):
        height, width = rng.integers(1, 40, 2).tolist()
        mask = rng.random((height, width)) < rng.choice([0.0, 0.1, 0.6, 1.0])
        x1, x2 = np.sort(rng.uniform(0, width, 2))
        y1, y2 = np.sort(rng.uniform(0, height, 2))
        there = mask[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))].sum()
        assert rle.inside(rle.counts_of(rle.encode(mask)[0]), height, np.array([x1, y1, x2, y2], np.float32)) == there


def test_a_cropped_mask_is_the_mask_within_its_rectangle() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        height, width = rng.integers(1, 40, 2).tolist()
        mask = rng.random((height, width)) < rng.choice([0.02, 0.1, 0.6, 1.0])
        mask[rng.integers(height), rng.integers(width)] = True
        left, top, pixels = rle.cropped(rle.encode(mask)[0], height, width)
        assert all(pixels[edge].any() for edge in (0, -1, np.s_[:, 0], np.s_[:, -1]))
        assert pixels.sum() == mask.sum()
        assert np.array_equal(mask[top : top + pixels.shape[0], left : left + pixels.shape[1]], pixels)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_a_coarse_mask_has_the_squares_in_which_there_is_a_pixel(share: float) -> None:
    rng = np.random.default_rng(7)
    for _ in range(60):
        (height, width), cell = rng.integers(1, 40, 2).tolist(), int(rng.integers(1, 9))
        mask = rng.random((height, width)) < share
        mask[rng.integers(height), rng.integers(width)] = True
        left, top, part = rle.coarse(rle.encode(mask)[0], height, width, cell)
        true = np.zeros((-(-height // cell), -(-width // cell)), bool)
        true[tuple(np.argwhere(mask).T // cell)] = True
        found = np.zeros_like(true)
        found[top : top + part.shape[0], left : left + part.shape[1]] = part
        assert np.array_equal(found, true) and part.any(axis=0)[[0, -1]].all() and part.any(axis=1)[[0, -1]].all()


def test_a_mask_of_nothing_and_a_damaged_one_have_no_rectangle() -> None:
    for compressed, height in ((rle.encode(np.zeros((6, 3), bool))[0], 6), (rle.encode(np.ones((6, 3), bool))[0], 5), ("", 6)):
        with pytest.raises(InvalidResult):
            rle.cropped(compressed, height, 3)


@pytest.mark.parametrize(("bits", "lengths"), [([0, 0, 1], [2, 1]), ([1, 0], [0, 1, 1]), ([1], [0, 1]), ([0], [1])])
def test_runs_begin_with_zeros(bits: list[int], lengths: list[int]) -> None:
    assert rle.runs(np.array(bits, bool)).tolist() == lengths
