"""The models: YOLOv8m and SAM2 as we run them, beside ultralytics' `predict` and `SAM2ImagePredictor` (rows F5 and F6).

The official architectures have RANDOM weights here: speed does not depend on them, quality does, and nothing here speaks of that. Random
YOLOs find no boxes, so its gate compares what the network gives, and SAM2 gets boxes of its own. Both sides get the same pixels and
threads; ultralytics by itself takes one thread less than there are cores. Ours is measured with what computes by itself: OpenVINO where it
is installed, exact and in bfloat16, unless REFRAMER_ENGINE is torch.

    python -m benchmarks.models [--pairs 5] [--quick]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.pairs import HEADER, PAIRS, Row, Side, Way, Work, compare, compare_ways, rounds, row_of, warmed
from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision import compiled, rle
from reframer_pipeline.vision.compiled import Engine
from reframer_pipeline.vision.compiled_models import compile_yolo
from reframer_pipeline.vision.demo_models import build_demo_sam2
from reframer_pipeline.vision.detector import YoloDetector
from reframer_pipeline.vision.logits import encoded
from reframer_pipeline.vision.releases import RELEASES
from reframer_pipeline.vision.sam2_build import bb_feat_sizes, build_sam2_model
from reframer_pipeline.vision.sam2_single import Sam2Segmenter
from reframer_pipeline.vision.single_frames import for_single_frames
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics

WIDTH: Final = 1080
HEIGHT: Final = 1920
BOXES: Final = 8
FRAMES: Final = 4  # one after the other, for the detector
TORCH: Final = "torch"
FAST: Final = "OpenVINO"
COARSE: Final = "OpenVINO, bfloat16"
DECODINGS: Final = 5  # of one frame: short work, so more often
ENCODER: Final = "encoder, a frame"
DECODER: Final = f"decoder, {BOXES} boxes, {DECODINGS} times"


def scene(frames: int, boxes: int = BOXES) -> tuple[list[np.ndarray], np.ndarray]:
    """Drawn frames, and as many boxes as wanted, spread over the frame."""
    clip = make_clip(1_000_000, width=WIDTH, height=HEIGHT, n_frames=max(40, frames), shots=1)
    rng = np.random.default_rng(0)
    sides = rng.uniform(0.08, 0.4, (boxes, 2)) * (WIDTH, HEIGHT)
    corners = rng.uniform(0, 1, (boxes, 2)) * ((WIDTH, HEIGHT) - sides)
    return [clip.frame(n)[0] for n in range(frames)], np.hstack([corners, corners + sides]).astype(np.float32)


def yolo_of(architecture: str) -> Any:
    """An untrained YOLO, the same one each time."""
    import torch

    torch.manual_seed(0)
    model = import_ultralytics().YOLO(f"{architecture}.yaml", task="detect")
    model.model.eval()
    return model


def sam2_of(name: str, image_size: int | None = None) -> Any:
    """The demo's SAM2, or an untrained one with the config of a released model, the same one each time."""
    import torch

    warnings.simplefilter("ignore")  # sam2 scripts its image transform, which torch deprecates
    torch.manual_seed(0)
    size = [] if image_size is None else [f"++model.image_size={image_size}"]
    return build_demo_sam2() if name == "demo" else build_sam2_model(RELEASES[name].config, size)


def engine_for(name: str, how: str) -> Engine | None:
    """What compiles an untrained model: `torch`, `OpenVINO` or `OpenVINO, bfloat16`."""
    if how == TORCH:
        return None
    kept = Path(tempfile.gettempdir()) / "reframer-bench-openvino"  # preparing base+ takes half a minute
    return Engine("bfloat16" if how == COARSE else "float32", kept, f"{name} of seed 0")


def predicts(architecture: str) -> Work:
    """The peer: a picture after the other through `predict`."""
    import torch

    model, threads, frames = yolo_of(architecture), torch.get_num_threads(), [frame[..., ::-1] for frame in scene(FRAMES)[0]]
    model.predict(frames[0], verbose=False)
    torch.set_num_threads(threads)  # what ultralytics has lowered

    def work() -> np.ndarray:
        for frame in frames:
            model.predict(frame, verbose=False)
        return tensor_of(model)

    return work


def detects(architecture: str, how: str) -> Work:
    """Ours."""
    model, frames = yolo_of(architecture), scene(FRAMES)[0]
    if engine := engine_for(architecture, how):
        compile_yolo(model, engine)
    detector = YoloDetector(model, Settings())

    def work() -> np.ndarray:
        detector.detect(frames)
        return tensor_of(model)

    return work


def tensor_of(model: Any) -> np.ndarray:
    """What the network itself gives for some picture."""
    import torch

    torch.manual_seed(1)
    with torch.inference_mode():
        given = model.model(torch.rand(1, 3, 64, 64))
    answer: np.ndarray = (given[0] if isinstance(given, tuple) else given).numpy()  # beside it stands what training reads
    return answer


def same_tensor(theirs: np.ndarray, ours: np.ndarray) -> str:
    """Boxes to 0.001 pixels and confidences to 0.0001."""
    assert theirs.shape == ours.shape
    boxes, scores = (float(np.abs(theirs - ours)[:, part].max()) for part in (slice(0, 4), slice(4, None)))
    assert boxes <= 1e-3 and scores <= 1e-4, f"boxes differ by {boxes:.1e} px, confidences by {scores:.1e}"
    return "network's boxes to 0.001 px, confidences to 0.0001"


def segmenter_of(name: str, how: str | None) -> Sam2Segmenter:
    """The peer's model, or how ours is computed."""
    model = sam2_of(name)
    return Sam2Segmenter(for_single_frames(model, "cpu", engine_for(name, how)) if how else model)


def segments(name: str, how: str | None) -> Work:
    """The encoder: `set_image` of one picture. The decoder: all boxes of the picture that is set, some times."""
    segmenter, ((image,), boxes) = segmenter_of(name, how), scene(1)

    def encode() -> np.ndarray:
        segmenter._set_images([image])
        features: np.ndarray = segmenter._predictor._features["image_embed"].numpy()
        return features

    def decode() -> list[str]:
        for _ in range(DECODINGS):
            masks = segmenter._predict(list(boxes))
        return [encoded(mask.logits, HEIGHT, WIDTH)[0] for mask in masks]

    parts = {ENCODER: encode, DECODER: decode}
    return lambda part: parts[part]()


def same_features(theirs: np.ndarray, ours: np.ndarray) -> str:
    """To a ten-thousandth of the largest."""
    differ = float(np.abs(theirs - ours).max() / np.abs(theirs).max())
    assert theirs.shape == ours.shape and differ <= 1e-4, f"features differ by {differ:.1e}"
    return "features to 0.0001"


def near_features(theirs: np.ndarray, ours: np.ndarray) -> str:
    """How far bfloat16 is off."""
    differ = float(np.abs(theirs - ours).max() / np.abs(theirs).max())
    return f"not exact: features to {differ:.3f}; what masks lose: F7"


def near_masks(theirs: list[str], ours: list[str]) -> str:
    """How far bfloat16 is off."""
    least = min(agreement(*(rle.decode(one, HEIGHT, WIDTH) for one in pair)) for pair in zip(theirs, ours, strict=True))
    return f"not exact: {len(ours)} masks, IoU at least {least:.4f}; what they lose: F7"


def near_tensor(theirs: np.ndarray, ours: np.ndarray) -> str:
    """How far bfloat16 is off."""
    boxes, scores = (float(np.abs(theirs - ours)[:, part].max()) for part in (slice(0, 4), slice(4, None)))
    return f"not exact: network's boxes to {boxes:.1g} px, confidences to {scores:.1g}; what is lost: F7"


def full_size(name: str) -> Work:
    """The peer: all masks of a frame upscaled as `SAM2ImagePredictor.predict` does it, then pycocotools."""
    import torch
    from pycocotools import mask as coco

    model = sam2_of(name)
    from sam2.sam2_image_predictor import SAM2ImagePredictor  # not before: by itself it cannot be imported

    (image,), boxes = scene(1)
    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = bb_feat_sizes(model.image_size)
    logits = torch.from_numpy(np.stack([mask.logits for mask in Sam2Segmenter(model).predict(image, boxes)]))[:, None]

    def work() -> list[str]:
        for _ in range(DECODINGS):
            masks = predictor._transforms.postprocess_masks(logits, (HEIGHT, WIDTH)) > predictor.mask_threshold
            lengths = [coco.encode(np.asfortranarray(mask.numpy().astype(np.uint8))) for mask in masks[:, 0]]
        return [one["counts"].decode() for one in lengths]

    return work


def run_lengths(name: str) -> Work:
    """Ours."""
    (image,), boxes = scene(1)
    masks = Sam2Segmenter(sam2_of(name)).predict(image, boxes)

    def work() -> list[str]:
        for _ in range(DECODINGS):
            lengths = [encoded(mask.logits, HEIGHT, WIDTH)[0] for mask in masks]
        return lengths

    return work


def same_masks(theirs: list[str], ours: list[str]) -> str:
    """IoU of each pair of masks at least 0.99."""
    least = min(agreement(*(rle.decode(one, HEIGHT, WIDTH) for one in pair)) for pair in zip(theirs, ours, strict=True))
    assert least >= 0.99, f"IoU {least:.4f}"
    return f"{len(ours)} masks, IoU at least {least:.4f}"


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def _ways() -> tuple[str, ...]:
    return (FAST, COARSE) if compiled.installed() and os.environ.get("REFRAMER_ENGINE") != "torch" else (TORCH,)


def detector_rows(pairs: int = PAIRS, quick: bool = False) -> Iterator[Row]:
    """F5, as it is measured. `quick` takes the smallest size."""
    name = "yolov8n" if quick else "yolov8m"
    what = f"{FRAMES} frames of 1080x1920"
    ways = [
        Way(f"{name} (random weights) by {how}, {what}", Side(how, detects, (name, how)), near_tensor if how == COARSE else same_tensor)
        for how in _ways()
    ]
    yield from compare_ways("F5", Side("predict, a frame each", predicts, (name,)), ways, "≥ 1.4", pairs)


def segmenter_rows(pairs: int = PAIRS, quick: bool = False) -> Iterator[Row]:
    """F6, as it is measured. `quick` leaves the official size out."""
    for name in ("demo",) if quick else ("demo", "sam2_hiera_base_plus"):
        model = "demo SAM2" if name == "demo" else f"{name} (random weights)"
        with warmed([Side("sam2", segments, (name, None)), *(Side(how, segments, (name, how)) for how in _ways())]) as warm:
            for part, named, same, near, target in (
                (ENCODER, "`set_image`", same_features, near_features, "≥ 1.15"),
                (DECODER, "`predict`, all boxes", same_masks, near_masks, "≥ 1.0"),
            ):
                took = rounds(warm, pairs, part)
                for place, how in enumerate(_ways(), start=1):
                    pair = [(one[0], one[place]) for one in took]
                    yield row_of("F6", f"{model} by {how}: {part}", named, pair, near if how == COARSE else same, target)
    peer, ours = Side("full-size masks, pycocotools", full_size, ("demo",)), Side("ours", run_lengths, ("demo",))
    yield compare("F6", f"demo SAM2: logits to run lengths, {BOXES} masks of 1080x1920", peer, ours, same_masks, "≥ 8", pairs)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print(HEADER)
    for row in chain(detector_rows(options.pairs, options.quick), segmenter_rows(options.pairs, options.quick)):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
