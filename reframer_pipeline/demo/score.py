"""How good a run is, against exact truth: mAP50, mask IoU, HOTA, IDF1 and the F1 of shot cuts.

Here: pure functions on truth and predictions of sampled frames. Not here: the values that are compared (`truth`), running the
pipeline.

Objects that do not count (see `truth`) are *ignored*: missing them costs nothing, and a prediction that matches no counted object but
lies at least half inside an ignored one of its class is neither right nor wrong. That is the rule of COCO's crowd regions, used for
detections and tracks alike.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from reframer_pipeline.demo.truth import ClipPrediction, ClipTruth, Frame
from reframer_pipeline.schemas import CLASSES

MATCH_IOU = 0.5


def score_clips(clips: Sequence[tuple[ClipTruth, ClipPrediction]]) -> dict[str, float]:
    """Score a set of clips.

    Args:
        clips: Truth and prediction of each clip.

    Returns:
        `clips` (their number), `map50`, `mask_iou`, `hota`, `idf1` and `shot_f1`, each in 0..1.
    """
    hota, idf1 = tracking_scores(clips)
    return {
        "clips": float(len(clips)),
        "map50": map50([(t, p) for truth, found in clips for t, p in zip(truth.frames, found.sweep, strict=True)]),
        "mask_iou": mask_iou([(t, p) for truth, found in clips for t, p in zip(truth.frames, found.detections, strict=True)]),
        "hota": hota,
        "idf1": idf1,
        "shot_f1": shot_f1([(truth.cuts, found.cuts) for truth, found in clips]),
    }


def map50(frames: Sequence[tuple[Frame, Frame]]) -> float:
    """Mean over the classes present of the average precision at IoU 0.5 (COCO's 101-point interpolation).

    Args:
        frames: Truth and detections of each frame; every frame is an image of its own.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def dataset(which: int) -> Any:
        coco = COCO()
        annotations: list[dict[str, Any]] = []
        for image, pair in enumerate(frames, start=1):
            boxes = pair[which]
            for (x0, y0, x1, y1), name, conf, counted in zip(boxes.xyxy, boxes.object_class, boxes.conf, boxes.counted, strict=True):
                annotations.append({
                    "id": len(annotations) + 1, "image_id": image, "category_id": CLASSES.index(name) + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "score": conf, "iscrowd": int(not counted),
                })  # fmt: skip
        coco.dataset = {
            "images": [{"id": image} for image in range(1, len(frames) + 1)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES, start=1)],
            "annotations": annotations,
        }
        coco.createIndex()
        return coco

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports by printing
        evaluation = COCOeval(dataset(0), dataset(1), "bbox")
        evaluation.params.iouThrs = np.array([MATCH_IOU])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, 0]  # (recall, class); -1 where a class has no truth
    present = precision[:, precision[0] >= 0]
    return float(present.mean()) if present.size else 0.0


def mask_iou(frames: Sequence[tuple[Frame, Frame]]) -> float:
    """Mean over counted objects of the IoU with their detection's mask; an object that no detection matches counts 0.

    Args:
        frames: Truth and detections of each frame, both with masks.
    """
    from pycocotools import mask as coco_mask

    overlaps: list[float] = []
    for truth, found in frames:
        for name in CLASSES:
            objects, boxes = truth.of_class(name), found.of_class(name)
            objects = objects.keep(objects.counted)
            pairs = dict(_matches(objects, boxes))
            for i in range(len(objects.xyxy)):
                j = pairs.get(i)
                iou = 0.0 if j is None else coco_mask.iou([boxes.masks[j]], [objects.masks[i]], [0])[0, 0]
                overlaps.append(float(iou))
    return float(np.mean(overlaps)) if overlaps else 0.0


def tracking_scores(clips: Sequence[tuple[ClipTruth, ClipPrediction]]) -> tuple[float, float]:
    """HOTA and IDF1 over all clips and both classes, each clip and class a sequence of its own.

    Args:
        clips: Truth and prediction of each clip.
    """
    from trackers.eval import (
        aggregate_hota_metrics,
        aggregate_identity_metrics,
        compute_hota_metrics,
        compute_identity_metrics,
    )

    hota, identity = [], []
    for truth, found in clips:
        for name in CLASSES:
            sequence = [_tracking_frame(t.of_class(name), p.of_class(name)) for t, p in zip(truth.frames, found.tracks, strict=True)]
            if not any(len(objects) + len(tracks) for objects, tracks, _ in sequence):
                continue
            columns = [list(column) for column in zip(*sequence, strict=True)]
            objects, tracks = _dense_ids(columns[0]), _dense_ids(columns[1])
            hota.append(compute_hota_metrics(objects, tracks, columns[2]))
            identity.append(compute_identity_metrics(objects, tracks, columns[2], threshold=MATCH_IOU))
    return float(aggregate_hota_metrics(hota)["HOTA"]), float(aggregate_identity_metrics(identity)["IDF1"])


def shot_f1(clips: Sequence[tuple[Sequence[int], Sequence[int]]]) -> float:
    """F1 of the cuts, exact to the frame; 1 if there are none to find and none was found.

    Args:
        clips: True and found cuts of each clip, as source frame numbers.
    """
    hits = sum(len(set(truth) & set(found)) for truth, found in clips)
    total = sum(len(set(truth)) + len(set(found)) for truth, found in clips)
    return 2 * hits / total if total else 1.0


def _matches(truth: Frame, found: Frame) -> list[tuple[int, int]]:
    """One-to-one pairs with IoU of at least `MATCH_IOU`, of greatest total IoU; all truth counts."""
    from scipy.optimize import linear_sum_assignment

    iou = _overlaps(truth, found)
    rows, columns = linear_sum_assignment(np.where(iou >= MATCH_IOU, iou, 0), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if iou[i, j] >= MATCH_IOU]


def _overlaps(truth: Frame, found: Frame) -> np.ndarray:
    """`(truth, found)`: IoU, or, where the truth is ignored, how much of the found box lies in it, as COCO has it for crowds."""
    from pycocotools import mask as coco_mask

    xywh = [np.concatenate([one.xyxy[:, :2], one.xyxy[:, 2:] - one.xyxy[:, :2]], axis=1) for one in (found, truth)]
    return np.reshape(coco_mask.iou(*xywh, ~truth.counted), (len(found.xyxy), len(truth.xyxy))).T


def _tracking_frame(truth: Frame, found: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of counted objects, ids of tracks that are not ignored, and their IoU."""
    objects, ignored = truth.keep(truth.counted), truth.keep(~truth.counted)
    tracks = found.keep(found.ids >= 0)
    matched = {j for _, j in _matches(objects, tracks)}
    inside = np.asarray((_overlaps(ignored, tracks) >= MATCH_IOU).any(axis=0))
    tracks = tracks.keep(~inside | np.isin(np.arange(len(inside)), list(matched)))
    return objects.ids, tracks.ids, _overlaps(objects, tracks)


def _dense_ids(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Renumber ids from 0, in the order of their values."""
    known = np.unique(np.concatenate(frames))
    return [np.searchsorted(known, ids) for ids in frames]
