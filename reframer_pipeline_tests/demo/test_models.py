"""The shipped weights load, without a network or a pickle, and the models see what is there."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.demo.looks import LABELS
from reframer_pipeline.demo.world import FIRST_EVALUATION_SEED, make_clip
from reframer_pipeline.settings import DEMO_IMGSZ
from reframer_pipeline.vision import demo_models
from reframer_pipeline.vision.sam2_build import bb_feat_sizes

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def sight() -> tuple[np.ndarray, list]:
    """A frame of an unseen clip, and its objects that are mostly visible."""
    image, truth = make_clip(FIRST_EVALUATION_SEED + 3).frame(20)
    return image, [thing for thing in truth if thing.visible_fraction > 0.6]


def test_the_detector_finds_most_of_what_is_there(sight: tuple[np.ndarray, list]) -> None:
    image, truth = sight
    yolo = demo_models.build_demo_yolo()
    assert tuple(yolo.names.values()) == LABELS
    boxes = yolo.predict(image[..., ::-1], imgsz=DEMO_IMGSZ, conf=0.3, verbose=False)[0].boxes
    found = {yolo.names[int(label)] for label in boxes.cls}
    wanted = {thing.label for thing in truth}
    assert len(wanted & found) >= len(wanted) / 2


def test_the_segmenter_follows_a_box(sight: tuple[np.ndarray, list]) -> None:
    model = demo_models.build_demo_sam2("cpu")
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    image, truth = sight
    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = bb_feat_sizes(model.image_size)
    predictor.set_image(image)
    overlaps = []
    for thing in truth:
        masks, scores, logits = predictor.predict(box=np.array(thing.xyxy), multimask_output=False)
        assert masks.shape == (1, *image.shape[:2])
        assert logits.shape == (1, model.image_size // 4, model.image_size // 4) and 0 <= scores[0] <= 1
        guess = masks[0] > 0
        overlaps.append((guess & thing.mask).sum() / (guess | thing.mask).sum())
    assert np.mean(overlaps) > 0.75


def test_the_memory_is_left_out_and_the_weights_are_small() -> None:
    model = demo_models.build_untrained_sam2()
    assert sum(parameter.numel() for parameter in model.parameters()) < 4e6
    files = list(demo_models.demo_weights_dir().glob("*.safetensors"))
    assert {file.name for file in files} == {demo_models.DETECTOR_FILE, demo_models.SEGMENTER_FILE}
    assert sum(file.stat().st_size for file in files) < 25e6


def test_both_official_and_demo_architectures_build_in_one_process() -> None:
    from reframer_pipeline.vision.sam2_build import build_sam2_model

    assert build_sam2_model("configs/sam2/sam2_hiera_t.yaml").image_size == 1024
    assert demo_models.build_untrained_sam2(image_size=256).image_size == 256
    assert bb_feat_sizes(1024) == [(256, 256), (128, 128), (64, 64)]
