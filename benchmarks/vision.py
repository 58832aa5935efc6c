"""Speed of detector and segmenter: the real architectures with RANDOM weights, on drawn frames, with injected boxes.

Speed does not depend on weights, quality does: nothing here says anything about quality, and random weights find no boxes, so
those come from the drawn world's truth. Everything printed is measured on this machine by this run.

    python -m benchmarks.vision [--device auto] [--yolo yolov8m] [--sam2 sam2_hiera_base_plus] [--frames 3] [--boxes 8]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.detector import YoloDetector
from reframer_pipeline.vision.device import describe_device, resolve_device
from reframer_pipeline.vision.releases import RELEASES
from reframer_pipeline.vision.sam2_build import bb_feat_sizes, build_sam2_model
from reframer_pipeline.vision.segmenter import Sam2Segmenter, at_full_size
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics

DECODINGS = 9  # of one frame: short work, so more often than the encoder's

Figures = dict[str, float | int | str]


def random_detector(architecture: str) -> Any:
    """An untrained YOLO, such as `yolov8m`."""
    return import_ultralytics().YOLO(f"{architecture}.yaml", task="detect")


def random_segmenter(name: str, device: str) -> Any:
    """An untrained SAM2 with the config of a released model, such as `sam2_hiera_base_plus`."""
    return build_sam2_model(RELEASES[name].config, device=device)


def median_seconds(work: Callable[[], object], repeats: int, device: str) -> float:
    """Median of some runs after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def scene(width: int, height: int, frames: int, boxes: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Drawn frames, and as many boxes as wanted, spread over the frame."""
    clip = make_clip(1_000_000, width=width, height=height, n_frames=max(40, frames), shots=1)
    rng = np.random.default_rng(0)
    sides = rng.uniform(0.08, 0.4, (boxes, 2)) * (width, height)
    corners = rng.uniform(0, 1, (boxes, 2)) * ((width, height) - sides)
    return [clip.frame(n)[0] for n in range(frames)], np.hstack([corners, corners + sides]).astype(np.float32)


def detector_figures(architecture: str, images: list[np.ndarray], device: str, repeats: int) -> Figures:
    """Seconds a frame, alone and in a batch."""
    detector = YoloDetector(random_detector(architecture), Settings(), device)
    alone = median_seconds(lambda: detector.detect(images[:1]), repeats, device)
    together = median_seconds(lambda: detector.detect(images), repeats, device) / len(images)
    return {
        "detector": architecture,
        "seconds_a_frame": round(alone, 4),
        "batch": len(images),
        "seconds_a_frame_in_batch": round(together, 4),
    }


def segmenter_figures(name: str, image: np.ndarray, boxes: np.ndarray, device: str, repeats: int) -> Figures:
    """From logits to run lengths: our way against that of `SAM2ImagePredictor.predict`, on the same picture and boxes.

    Encoder and decoder are the same for both. Each part is timed by itself: a difference of whole frames would drown in the encoder's
    unsteadiness.
    """
    model = random_segmenter(name, device)
    from sam2.sam2_image_predictor import SAM2ImagePredictor  # not before: by itself it cannot be imported

    segmenter, predictor = Sam2Segmenter(model, device), SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = bb_feat_sizes(model.image_size)
    height, width = image.shape[:2]
    with segmenter._precision():
        encoder = median_seconds(lambda: predictor.set_image(image), repeats, device)
        segmenter._set_images([image])
        decoder = median_seconds(lambda: segmenter._predict(list(boxes)), DECODINGS, device)
        low, (full, _, _) = segmenter._predict(list(boxes)), predictor.predict(box=boxes, multimask_output=False)
    logits = torch.from_numpy(np.stack([mask.logits for mask in low]))[:, None].to(device)

    def ours() -> list[tuple[str, int]]:
        return [rle.encode(at_full_size(mask.logits, height, width)) for mask in low]

    def theirs() -> list[tuple[str, int]]:
        masks = predictor._transforms.postprocess_masks(logits, (height, width)) > predictor.mask_threshold
        return [rle.encode(mask) for mask in masks.float().cpu().numpy()[:, 0].astype(bool)]

    pairs = [(median_seconds(ours, 1, device), median_seconds(theirs, 1, device)) for _ in range(DECODINGS)]
    expected = [rle.encode(mask) for mask in full.reshape(-1, height, width).astype(bool)]
    overlaps = [agreement(a, b, height, width) for (a, _), (b, _) in zip(ours(), expected, strict=True)]
    return {
        "segmenter": name,
        "boxes": len(boxes),
        "encoder_s": round(encoder, 4),
        "decoder_ms_a_box": round(1000 * decoder / len(boxes), 2),
        "to_run_lengths_ms_a_box": round(1000 * statistics.median(a for a, _ in pairs) / len(boxes), 2),
        "to_run_lengths_ms_a_box_full_size": round(1000 * statistics.median(b for _, b in pairs) / len(boxes), 2),
        "times_as_fast": round(statistics.median(b / a for a, b in pairs), 2),
        "lowest_iou_between_the_two": round(min(overlaps), 5),
    }


def agreement(a: str, b: str, height: int, width: int) -> float:
    """IoU of two encoded masks; 1 if both are empty."""
    first, second = rle.decode(a, height, width), rle.decode(b, height, width)
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def main() -> None:
    """Measure and print one JSON object per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--yolo", default="yolov8m")
    parser.add_argument("--sam2", default="sam2_hiera_base_plus", choices=[name for name, one in RELEASES.items() if one.config])
    parser.add_argument("--size", default="1080x1920", help="WIDTHxHEIGHT of the frames")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--boxes", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # sam2 scripts its image transform, which torch deprecates
    device = resolve_device(options.device)
    width, height = (int(side) for side in options.size.split("x"))
    images, boxes = scene(width, height, options.frames, options.boxes)
    about = {"weights": "random", "device": describe_device(device), "torch": torch.__version__, "frame": options.size}
    print(json.dumps(about | detector_figures(options.yolo, images, device, options.repeats)), flush=True)
    print(json.dumps(about | segmenter_figures(options.sam2, images[0], boxes, device, options.repeats)), flush=True)


if __name__ == "__main__":
    main()
