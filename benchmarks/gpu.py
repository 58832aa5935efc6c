"""`make bench-gpu`: the models on a GPU, as we run them, beside what a script would call, and whole videos (rows G1 to G8).

The official architectures have RANDOM weights here, and boxes of their own: speed does not depend on weights, quality does, and nothing
here speaks of that. No figure of these rows is published yet: no machine with a GPU could be had.

    python -m benchmarks.gpu [G1 G2 …] [--pairs 5] [--device cuda:0] [--sam2 sam2_hiera_base_plus] [--yolo yolov8m]

`--device cpu --sam2 demo --yolo yolov8n --frames 2 --pairs 1` tries the rows without a GPU. Their figures then mean nothing, and where the
peer computes in bfloat16 the gate says what that alone changes: on a CPU ours does not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.gpu_whole import overlap, reference
from benchmarks.models import agreement, sam2_of, same_tensor, scene, tensor_of, yolo_of
from benchmarks.pairs import HEADER, PAIRS, Row, Side, Work, compare
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.sam2_batched import BatchedSam2Segmenter, _masks
from reframer_pipeline.vision.sam2_build import bb_feat_sizes
from reframer_pipeline.vision.single_frames import for_single_frames

MATRIX: Final = 8192  # side of the product that G6 is held against
LOGITS: Final = 64  # masks of G4
ROWS: Final = ("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8")


@dataclass(frozen=True)
class On:
    """What the rows run on.

    Attributes:
        device: A torch device.
        sam2, yolo: The architectures; `demo` is the demo's SAM2.
        frames: How many frames a run has.
    """

    device: str
    sam2: str
    yolo: str
    frames: int


def _precision(on: On, half: bool) -> Any:
    import torch

    return torch.autocast(on.device.split(":")[0], torch.bfloat16, enabled=half)


def _predictor(on: On) -> Any:
    model = sam2_of(on.sam2).to(on.device)
    from sam2.sam2_image_predictor import SAM2ImagePredictor  # not before: by itself it cannot be imported

    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = bb_feat_sizes(model.image_size)
    return predictor


def _coco(masks: Any) -> list[str]:
    """The run lengths of full-size masks `(n, 1, height, width)` or `(n, height, width)`, as pycocotools makes them."""
    from pycocotools import mask as coco

    flat = np.asarray(masks).reshape(-1, *masks.shape[-2:])
    return [coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode() for mask in flat]


def frame_by_frame(on: On, boxes: int, half: bool) -> Work:
    """The peer of G1: `set_image` and `predict` with all boxes of a frame."""
    predictor, (images, xyxy) = _predictor(on), scene(on.frames, boxes)

    def work() -> list[str]:
        found = []
        with _precision(on, half):
            for image in images:
                predictor.set_image(image)
                found += _coco(predictor.predict(box=xyxy, multimask_output=False)[0])
        return found

    return work


def in_batches(on: On, boxes: int) -> Work:
    """The peer of G2: `set_image_batch` and `predict_batch`."""
    predictor, (images, xyxy) = _predictor(on), scene(on.frames, boxes)

    def work() -> list[str]:
        found = []
        with _precision(on, True):
            for start in range(0, len(images), 8):
                some = images[start : start + 8]
                predictor.set_image_batch(some)
                masks, _, _ = predictor.predict_batch(box_batch=[xyxy] * len(some), multimask_output=False)
                found += [one for frame in masks for one in _coco(frame)]
        return found

    return work


def ours(on: On, boxes: int) -> Work:
    """Ours of G1 and G2."""
    segmenter = BatchedSam2Segmenter(for_single_frames(sam2_of(on.sam2).to(on.device), on.device), on.device)
    images, xyxy = scene(on.frames, boxes)
    given = [(image, xyxy) for image in images]

    def work() -> list[str]:
        return [mask.rle for masks in segmenter.segment(given) for mask in masks]

    return work


def mean_iou(theirs: list[str], own: list[str]) -> str:
    """The gate: the mean IoU of the pairs is at least 0.99."""
    height, width = 1920, 1080
    overlaps = [agreement(*(rle.decode(one, height, width) for one in pair)) for pair in zip(theirs, own, strict=True)]
    assert np.mean(overlaps) >= 0.99, f"mean IoU {np.mean(overlaps):.4f}"
    return f"{len(own)} masks, mean IoU {np.mean(overlaps):.4f}, least {min(overlaps):.4f}"


def predicts(on: On, batch: int, half: bool) -> Work:
    """The peer of G3."""
    model, frames = yolo_of(on.yolo), [frame[..., ::-1] for frame in scene(on.frames)[0]]

    def work() -> np.ndarray:
        for start in range(0, len(frames), batch):
            model.predict(frames[start : start + batch], device=on.device, half=half, verbose=False)
        return tensor_of(yolo_of(on.yolo))

    return work


def detects(on: On) -> Work:
    """Ours of G3."""
    from reframer_pipeline.settings import Settings
    from reframer_pipeline.vision.detector import YoloDetector

    settings, frames = Settings(), scene(on.frames)[0]
    detector = YoloDetector(yolo_of(on.yolo), settings, on.device)

    def work() -> np.ndarray:
        for start in range(0, len(frames), settings.batch):
            detector.detect(frames[start : start + settings.batch])
        return tensor_of(yolo_of(on.yolo))

    return work


def _logits(on: On) -> Any:
    import torch
    from torch.nn import functional

    rough = torch.randn(LOGITS, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(rough, (256, 256), mode="bicubic").to(on.device)


def copied(on: On) -> Work:
    """The peer of G4: upscaled to the frame, one copy to the host a mask, pycocotools."""
    from torch.nn import functional

    logits = _logits(on)

    def work() -> list[str]:
        found = []
        for one in logits:
            mask = functional.interpolate(one[None], (1920, 1080), mode="bilinear", align_corners=False) > 0
            found += _coco(mask.cpu().numpy())
        return found

    return work


def found_there(on: On) -> Work:
    """Ours of G4."""
    import torch

    logits = _logits(on)

    def work() -> list[str]:
        return [mask.rle for mask in _masks(logits[:, 0], torch.zeros(LOGITS, device=on.device), 1920, 1080)]

    return work


def encoder_rate(on: On) -> str:
    """G6: the share of a bfloat16 matrix product's rate at which the encoder computes."""
    import time

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = for_single_frames(sam2_of(on.sam2).to(on.device), on.device)
    pixels = torch.rand(8, 3, model.image_size, model.image_size, device=on.device)
    one, other = (torch.rand(MATRIX, MATRIX, device=on.device, dtype=torch.bfloat16) for _ in range(2))

    def rate(work: Any, flops: float) -> float:
        work()
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(PAIRS):
            work()
        torch.cuda.synchronize()
        return flops * PAIRS / (time.perf_counter() - began)

    with torch.inference_mode(), _precision(on, True):
        with FlopCounterMode(display=False) as counted:
            model.forward_image(pixels)
        shares = [
            rate(lambda: model.forward_image(pixels), counted.get_total_flops()) / rate(lambda: one @ other, 2.0 * MATRIX**3)
            for _ in range(PAIRS)
        ]
    share = f"{np.median(shares):.0%} ({min(shares):.0%} to {max(shares):.0%})"
    return f"G6 encoder {on.sam2}, 8 frames: {share} of a matrix product's rate; aimed at 35 %"


def memory(on: On) -> str:
    """G7: the most that both models have allocated together, each at its own batch."""
    import torch

    detects(on)(), ours(on, 8)()
    return f"G7 both models, allocated at most: {torch.cuda.max_memory_allocated() / 2**30:.2f} GB; aimed at 2.5"


def rows(wanted: set[str], on: On, pairs: int = PAIRS) -> Iterator[Row]:
    """The rows that have a peer, as they are measured."""
    what = f"{on.sam2}{'' if on.sam2 == 'demo' else ' (random weights)'}, {on.frames} frames of 1080x1920"
    for boxes in (3, 8):
        own = Side("ours", ours, (on, boxes))
        if "G1" in wanted:
            for half, name, target in ((False, "fp32", "≥ 5"), (True, "bf16", "≥ 2.5")):
                peer = Side(f"`set_image` + `predict`, {name}", frame_by_frame, (on, boxes, half))
                yield compare("G1", f"{what}, {boxes} boxes each", peer, own, mean_iou, target, pairs)
        if "G2" in wanted:
            peer = Side("`set_image_batch` + `predict_batch`, bf16", in_batches, (on, boxes))
            yield compare("G2", f"{what}, {boxes} boxes each", peer, own, mean_iou, "≥ 1.5", pairs)
    if "G3" in wanted:
        own = Side("ours", detects, (on,))
        for batch, half, name, target in ((1, False, "a frame each", "≥ 8"), (32, True, "32 at once, half", "≥ 2")):
            peer = Side(f"`predict`, {name}", predicts, (on, batch, half))
            yield compare("G3", f"{on.yolo} (random weights), {on.frames} frames", peer, own, same_tensor, target, pairs)
    if "G4" in wanted:
        peer, own = Side("a copy a mask, pycocotools", copied, (on,)), Side("ours", found_there, (on,))
        yield compare("G4", f"{LOGITS} masks to run lengths, 1080x1920", peer, own, mean_iou, "≥ 10", pairs)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which, of {', '.join(ROWS)}; all, unless some are named")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--sam2", default="sam2_hiera_base_plus")
    parser.add_argument("--yolo", default="yolov8m")
    parser.add_argument("--frames", type=int, default=32)
    chosen = parser.parse_args()
    if unknown := set(chosen.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    on, wanted = On(chosen.device, chosen.sam2, chosen.yolo, chosen.frames), set(chosen.rows) or set(ROWS)
    import torch

    if on.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("These rows need a GPU, and torch sees none here. `make bench` has those of the CPU.")
    print(torch.cuda.get_device_name(on.device) if on.device.startswith("cuda") else "NO GPU: the figures mean nothing", end="\n\n")
    print(HEADER, flush=True)
    wrong = []
    for row in rows(wanted, on, chosen.pairs):
        print(row.line(), flush=True)
        wrong += [f"{row.key} {row.what}: {row.gate}"] if row.gate.startswith("FAILED") else []
    alone: dict[str, Callable[[], str]] = {"G6": lambda: encoder_rate(on), "G7": lambda: memory(on)}
    whole: dict[str, Callable[[], str]] = {"G5": lambda: overlap(on.device), "G8": lambda: reference(on.device)}
    if not on.device.startswith("cuda"):  # to try them: short films, and nothing that asks the driver
        alone, whole = {}, {"G5": lambda: overlap(on.device, 20), "G8": lambda: reference(on.device, 20)}
    for key, measure in (alone | whole).items():
        if key in wanted:
            print("", measure(), sep="\n", flush=True)
    if wrong:
        sys.exit("\n".join(["", *wrong]))


if __name__ == "__main__":
    main()
