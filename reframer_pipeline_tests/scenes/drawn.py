"""A drawn shot as results: masks, boxes and tracks are the exact truth, whatever the camera does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reframer_pipeline.demo.render import SCENERY, render_shot
from reframer_pipeline.demo.shots import Shot
from reframer_pipeline.scenes.observations import Observations, load_observations
from reframer_pipeline.vision import rle
from reframer_pipeline_tests.support import MemoryInput


@dataclass(frozen=True)
class Drawn:
    """Sampled frames of a shot.

    Attributes:
        frames: Their numbers.
        pictures: By frame, RGB.
        owners: By frame, `(height, width)`: the number of the track that owns a pixel, or `SCENERY`.
        tables: The results, by stage.
    """

    frames: np.ndarray
    pictures: dict[int, np.ndarray]
    owners: dict[int, np.ndarray]
    tables: dict[str, MemoryInput]

    @property
    def seen(self) -> Observations:
        return load_observations(self.tables["trajectories"], self.tables["masks"])

    def picture(self, frame: int, pixels: int) -> np.ndarray:
        """As `FrameStore.thumbnail`."""
        import cv2

        whole = self.pictures[frame]
        scale = min(1.0, (pixels / whole[..., 0].size) ** 0.5)
        return cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)

    def seen_behind(self, number: int) -> tuple[float, float]:
        """What is true of a track: the share of its area that no frame shows free, and that part over the picture's."""
        area = np.any([owner == number for owner in self.owners.values()], axis=0)
        never = area & ~np.any([owner == SCENERY for owner in self.owners.values()], axis=0)
        return float(never.sum() / area.sum()), float(never.mean())


def draw(shot: Shot, step: int = 5) -> Drawn:
    """Every so-manieth frame of a shot."""
    pictures, owners, tracks = {}, {}, dict[int, dict[str, Any]]()
    tables: dict[str, list[dict[str, Any]]] = {"detections": [], "masks": []}
    kinds = {one.object_id: "person" if one.label == "person" else "product" for one in shot.objects}
    for frame in range(shot.start, shot.end, step):
        pictures[frame], owners[frame], _ = render_shot(shot, frame, np.random.default_rng(frame))
        for number in [int(one) for one in np.unique(owners[frame]) if one != SCENERY]:
            mask, name = owners[frame] == number, f"{frame}:{number}"
            (rows, columns), (compressed, area) = np.nonzero(mask), rle.encode(mask)
            sides = map(float, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            box, when = dict(zip(("x1", "y1", "x2", "y2"), sides, strict=True)), {"timestamp": frame / shot.fps}
            who = {"object_class": kinds[number], "label": kinds[number]}
            tables["detections"].append({"detection_id": name, "frame_number": frame, "ordinal": number, "confidence": 0.9,
                                         "candidate": False, **who, **box, **when})  # fmt: skip
            tables["masks"].append({"mask_id": name, "detection_id": name, "frame_number": frame, "height": shot.height, "area": area,
                                    "width": shot.width, "rle": compressed, "predicted_iou": 0.9, "stability": 0.97, **when})  # fmt: skip
            track = tracks.setdefault(number, {"track_id": f"obj_{number:03}", "start_frame": frame, "avg_confidence": 0.9, "frames": []})
            track |= {"end_frame": frame + 1, **who}
            track["frames"].append({"frame": frame, "confidence": 0.9, "detection_id": name, "seconds": 0.2, **box, **when})
    tables["trajectories"] = list(tracks.values())
    given = {stage: MemoryInput(stage, rows) for stage, rows in tables.items()}
    return Drawn(np.array(list(pictures), np.int32), pictures, owners, given)
