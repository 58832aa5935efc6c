"""The masks stage against `SAM2ImagePredictor.predict` at full size."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reframer_pipeline.schemas import MASKS
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.boxes import FrameDetections
from reframer_pipeline.vision.logits import encoded, stability
from reframer_pipeline.vision.sam2_batched import BatchedSam2Segmenter
from reframer_pipeline.vision.sam2_build import bb_feat_sizes, build_sam2_model
from reframer_pipeline.vision.sam2_single import LowResMask, Sam2Segmenter
from reframer_pipeline.vision.segmenter import Mask, MaskChoice, segment_frames
from reframer_pipeline.vision.single_frames import for_single_frames

pytestmark = pytest.mark.models

RESULT = "00000000-0000-5000-8000-000000000002"
BOXES = np.array([[10, 20, 200, 300], [300, 100, 420, 330], [0, 0, 639, 359], [500, 5, 540, 50]], np.float32)


def detections(frame_number: int, xyxy: np.ndarray, candidate: list[bool] | None = None) -> FrameDetections:
    n = len(xyxy)
    return FrameDetections(
        frame_number,
        frame_number / 25,
        [row_id(RESULT, f"{frame_number}:{i}") for i in range(n)],
        ["person"] * n,
        ["person"] * n,
        np.full(n, 0.9, np.float32),
        xyxy,
        np.array(candidate or [False] * n),
    )


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def full_size_masks(model: Any, image: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = bb_feat_sizes(model.image_size)
    predictor.set_image(image)
    masks, ious, _ = predictor.predict(box=xyxy, multimask_output=False)
    return masks.reshape(len(xyxy), *image.shape[:2]).astype(bool), ious.reshape(-1)


@pytest.mark.parametrize("shape", [(360, 640), (640, 360), (100, 90)])  # the last is smaller than the model's own masks' frame
def test_masks_equal_sam2s_own_predict_at_full_size(sam2: Any, frames: list, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    image = frames[0][2] if shape == (360, 640) else rng.integers(0, 255, (*shape, 3), dtype=np.uint8)
    xyxy = BOXES * np.array([shape[1] / 640, shape[0] / 360] * 2, np.float32)
    theirs, their_ious = full_size_masks(sam2, image, xyxy)
    table = pa.Table.from_batches(segment_frames([detections(3, xyxy)], lambda n: image, Sam2Segmenter(sam2), RESULT))
    assert table.schema == MASKS
    assert theirs.any() and not theirs.all()
    for row, mask, their_iou in zip(table.to_pylist(), theirs, their_ious, strict=True):
        ours = rle.decode(row["rle"], row["height"], row["width"])
        assert ours.shape == shape and iou(ours, mask) >= 0.99
        assert row["area"] == ours.sum()
        assert row["predicted_iou"] == pytest.approx(float(their_iou), abs=1e-4)


def test_one_box_alone_gets_the_mask_that_it_gets_among_others(sam2: Any, frames: list) -> None:
    segmenter, image = Sam2Segmenter(sam2), frames[0][2]
    together = segmenter.predict(image, BOXES)
    for box, mask in zip(BOXES, together, strict=True):
        alone = segmenter.predict(image, box[None])[0]
        assert alone.logits.shape == mask.logits.shape
        assert np.allclose(alone.logits, mask.logits, atol=1e-3)


def test_rows_follow_detections_and_candidates_get_none(sam2: Any, frames: list) -> None:
    images, read, seen = {n: image for n, _, image in frames}, list[int](), list[tuple[int, int]]()

    def read_frame(number: int) -> np.ndarray:
        read.append(number)
        return images[number]

    detected = [detections(0, BOXES, [False, True, False, False]), detections(10, BOXES[:1], [True]), detections(20, BOXES[:2])]
    batches = segment_frames(detected, read_frame, Sam2Segmenter(sam2), RESULT, lambda *at: seen.append(at), 3)
    rows = pa.Table.from_batches(batches).to_pylist()
    ids = [detected[0].detection_ids[i] for i in (0, 2, 3)] + detected[2].detection_ids
    assert [row["detection_id"] for row in rows] == ids
    assert [row["mask_id"] for row in rows] == [row_id(RESULT, name) for name in ids]
    assert [row["frame_number"] for row in rows] == [0, 0, 0, 20, 20]
    assert read == [0, 20] and seen == [(1, 3), (2, 3), (3, 3)]


def test_masks_of_some_frames_and_of_confident_detections_only(sam2: Any, frames: list) -> None:
    images, read = {n: image for n, _, image in frames}, list[int]()

    def read_frame(number: int) -> np.ndarray:
        read.append(number)
        return images[number]

    detected = [detections(number, BOXES[:2]) for number in (0, 10, 20, 30)]
    for frame in detected:
        frame.confidence[1] = 0.6

    def masked(choice: MaskChoice) -> list[str]:
        rows = pa.Table.from_batches(segment_frames(detected, read_frame, Sam2Segmenter(sam2), RESULT, choice=choice))
        return rows.column("detection_id").to_pylist()

    ids = [frame.detection_ids for frame in detected]
    assert masked(MaskChoice(mask_stride=3)) == [*ids[0], *ids[3]] and read == [0, 30]
    assert masked(MaskChoice(mask_conf=0.6)) == [name for names in ids for name in names]  # single precision, too
    assert masked(MaskChoice(mask_stride=2, mask_conf=0.7)) == [ids[0][0], ids[2][0]]


def test_frames_are_gathered_until_there_are_as_many_as_the_segmenter_wants(frames: list) -> None:
    """Also where few are chosen; and a frame with weak boxes only is no key frame."""
    image, at_once, seen = frames[0][2], list[int](), list[int]()

    class Many(EmptySegmenter):
        frames = 2

        def segment(self, frames: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[list[Mask]]:
            at_once.append(len(frames))
            return super().segment(frames)

    detected = [detections(5 * n, BOXES[:1], [n == 1]) for n in range(11)]
    rows = segment_frames(detected, lambda n: image, Many(), RESULT, lambda done, total: seen.append(done), 11, MaskChoice(mask_stride=3))
    numbers = pa.Table.from_batches(rows).column("frame_number").to_pylist()
    assert numbers == [0, 20, 35, 50] and at_once == [2, 2]  # of 0, 10, 15 … every third
    assert seen[-1] == 11 and seen == sorted(seen)


class EmptySegmenter:
    frames = 1

    def segment(self, frames: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[list[Mask]]:
        nothing = LowResMask(np.full((64, 64), -9, np.float32), 0.1)
        return [[nothing.at(*image.shape[:2]) for _ in xyxy] for image, xyxy in frames]


def test_an_empty_mask_still_has_a_row(frames: list) -> None:
    image = frames[0][2]
    row = pa.Table.from_batches(segment_frames([detections(0, BOXES[:1])], lambda n: image, EmptySegmenter(), RESULT)).to_pylist()[0]
    assert (row["area"], row["stability"], rle.counts_of(row["rle"]).tolist()) == (0, 0.0, [360 * 640])


def test_stability_is_the_share_of_the_wide_mask_that_stays_when_cut_closely() -> None:
    logits = np.array([[-2, -0.5, 0.5, 2, 2]], np.float32)
    assert stability(logits) == pytest.approx(2 / 4)
    assert stability(np.full((4, 4), 5, np.float32)) == 1.0


@pytest.mark.parametrize(("height", "width"), [(480, 640), (1080, 608), (101, 97), (61, 300), (20, 9)])
def test_upscaling_around_a_mask_equals_upscaling_the_whole(height: int, width: int) -> None:
    """Also where the frame's sides have no divisor with the logits' or are smaller; masks at borders, in two pieces, or everywhere."""
    import cv2

    rng = np.random.default_rng(height)
    for shape in ((64, 64), (160, 160)):
        for _ in range(20):
            rough = rng.normal(size=shape).astype(np.float32)
            logits = cv2.GaussianBlur(rough, (0, 0), float(rng.uniform(1, 12)))
            logits -= np.quantile(logits, rng.choice([0.2, 0.9, 0.999]))
            whole = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)
            compressed, area = encoded(logits, height, width)
            ours = rle.decode(compressed, height, width)
            assert area == ours.sum()
            assert not np.any((ours != (whole > 0)) & (abs(whole) > 1e-4))  # where the cut is not hit to the last digit


def test_upscaling_keeps_place() -> None:
    logits = np.full((64, 64), -1, np.float32)
    logits[16:32, 8:40] = 1
    mask = rle.decode(encoded(logits, 480, 640)[0], 480, 640)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (120, 240, 80, 400)


def test_a_model_for_single_frames_gives_the_same_masks(sam2: Any, frames: list) -> None:
    """With fewer computations than SAM2 does; the demo's architecture and the official one, which chooses among four masks."""
    import torch

    torch.manual_seed(5)
    official = build_sam2_model("configs/sam2.1/sam2.1_hiera_t.yaml", ["++model.image_size=256"])
    image = frames[0][2]
    for model in (sam2, official):
        theirs = Sam2Segmenter(model).predict(image, BOXES)
        ours = Sam2Segmenter(for_single_frames(copy.deepcopy(model), "cpu")).predict(image, BOXES)
        for one, other in zip(ours, theirs, strict=True):
            assert np.allclose(one.logits, other.logits, atol=1e-3 * np.abs(other.logits).max())
            assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-5)


@pytest.mark.parametrize("shape", [(360, 640), (101, 97)])
def test_frames_together_get_the_masks_that_they_get_alone(sam2: Any, frames: list, shape: tuple[int, int], monkeypatch: Any) -> None:
    """In batches that end within a frame, upscaled some at a time; a frame without boxes is among them."""
    monkeypatch.setattr("reframer_pipeline.vision.sam2_batched.MOST_FRAMES", 3)
    monkeypatch.setattr("reframer_pipeline.vision.sam2_batched.MOST_BOXES", 3)
    monkeypatch.setattr("reframer_pipeline.vision.sam2_batched.MOST_PIXELS", 2 * shape[0] * shape[1])
    boxes = BOXES * np.array([shape[1] / 640, shape[0] / 360] * 2, np.float32)
    images = [np.ascontiguousarray(image[: shape[0], : shape[1]]) for _, _, image in frames[:4]]
    given = list(zip(images, (boxes, boxes[:0], boxes[1:3], boxes[:1]), strict=True))
    alone, together = Sam2Segmenter(sam2).segment(given), BatchedSam2Segmenter(sam2, "cpu").segment(given)
    assert [len(masks) for masks in together] == [4, 0, 2, 1]
    for one, other in zip((mask for masks in alone for mask in masks), (mask for masks in together for mask in masks), strict=True):
        theirs, ours = rle.decode(one.rle, *shape), rle.decode(other.rle, *shape)
        assert other.area == ours.sum() and iou(theirs, ours) >= 0.999
        assert other.predicted_iou == pytest.approx(one.predicted_iou, abs=1e-4)
        assert other.stability == pytest.approx(one.stability, abs=0.01)


def test_masks_that_are_empty_full_or_at_the_end_of_a_column_have_their_runs() -> None:
    import torch

    from reframer_pipeline.vision.sam2_batched import _masks

    logits = torch.full((4, 8, 8), -5.0)
    logits[1] = 5
    logits[2, :, 3:5] = 5  # from the upper edge to the lower one: one run
    logits[3, 6:, 6:] = 5  # the last pixel
    masks = _masks(logits, torch.zeros(4), 16, 16)
    for one, mask in zip(logits.numpy(), masks, strict=True):
        assert (mask.rle, mask.area) == encoded(one, 16, 16)
    assert [mask.stability for mask in masks] == [0, 1, 1, 1]


def test_sam2_installs_no_log_handler(sam2: Any, frames: list) -> None:
    import logging

    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []  # pytest has its own; basicConfig acts only on a root logger without any
    try:
        Sam2Segmenter(sam2).predict(frames[0][2], BOXES[:1])
        assert root.handlers == []
    finally:
        root.handlers = handlers


def test_sam2_and_dagsters_selection_strings_live_in_one_process(sam2: Any) -> None:
    import dagster as dg

    @dg.asset
    def frames_asset() -> None: ...

    @dg.asset(deps=[frames_asset])
    def detections_asset() -> None: ...

    chosen = dg.AssetSelection.from_string('+key:"detections_asset"').resolve([frames_asset, detections_asset])
    assert {key.to_user_string() for key in chosen} == {"frames_asset", "detections_asset"}
    assert type(sam2).__name__ == "SAM2Base"
