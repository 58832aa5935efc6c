"""A small video by hand: 10 frames a second, every 5th sampled, two shots, three tracks. Figures are easy to compute on paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from reframer_pipeline_tests.support import MemoryInput

WIDTH, HEIGHT = 400, 300  # the diagonal is 500
FPS, STRIDE, FRAMES, CUT = 10, 5, 60, 30


@dataclass
class HandMade:
    """The inputs of the scenes stage."""

    metadata: dict[str, Any]
    frames: list[dict[str, Any]]
    detections: list[dict[str, Any]] = field(default_factory=list)
    masks: list[dict[str, Any]] = field(default_factory=list)
    trajectories: list[dict[str, Any]] = field(default_factory=list)

    def add_track(
        self, track_id: str, object_class: str, label: str, boxes: dict[int, tuple[float, float, float, float]],
        fill: float | None = 0.5, stability: float = 0.97,
    ) -> None:  # fmt: skip
        """A track from `{frame: (x1, y1, x2, y2)}`; masks fill the given share of their box."""
        sightings = []
        for frame, (x1, y1, x2, y2) in boxes.items():
            name, time = f"{track_id}@{frame}", frame / FPS
            place = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "confidence": 0.9}
            sightings.append({"frame": frame, "timestamp": time, **place, "detection_id": name, "seconds": 0.2})
            self.detections.append({"detection_id": name, "frame_number": frame, "timestamp": time, "ordinal": 0, "candidate": False,
                                    "object_class": object_class, "label": label, **place})  # fmt: skip
            if fill is not None:
                self.masks.append({"mask_id": "m" + name, "detection_id": name, "frame_number": frame, "timestamp": time,
                                   "height": HEIGHT, "width": WIDTH, "rle": "", "area": round(fill * (x2 - x1) * (y2 - y1)),
                                   "predicted_iou": 0.9, "stability": stability})  # fmt: skip
        self.trajectories.append({"track_id": track_id, "object_class": object_class, "label": label, "start_frame": min(boxes),
                                  "end_frame": max(boxes) + 1, "avg_confidence": 0.9, "frames": sightings})  # fmt: skip

    def inputs(self, batch_rows: int = 1000) -> dict[str, Any]:
        """Keyword arguments for `analyse_scenes`."""
        tables = {"frames": self.frames, "detections": self.detections, "masks": self.masks}
        ordered = {stage: sorted(rows, key=lambda row: row["frame_number"]) for stage, rows in tables.items()}
        ordered["trajectories"] = self.trajectories
        stages = {stage: MemoryInput(stage, rows, batch_rows=batch_rows) for stage, rows in ordered.items()}
        return {"metadata": self.metadata, **stages}


@pytest.fixture
def empty_video() -> HandMade:
    """Two shots, [0, 30) and [30, 60), 3 s each, with nothing in them. Sampled: 0, 5, 10 ... 55, half a second each."""
    frames = [
        {"frame_number": n, "pts": n * 100, "timestamp": n / FPS, "content_score": 60.0 if n == CUT else 1.0, "sampled": n % STRIDE == 0}
        for n in range(FRAMES)
    ]
    metadata = {"width": WIDTH, "height": HEIGHT, "duration_seconds": FRAMES / FPS, "frame_count": FRAMES}
    return HandMade({**metadata, "time_base_num": 1, "time_base_den": 1000, "fps_num": FPS, "fps_den": 1}, frames)


@pytest.fixture
def video(empty_video: HandMade) -> HandMade:
    """A person walks right through the first shot past a still bottle; a cup is seen now and then in the second."""
    empty_video.add_track("obj_001", "person", "person", {5 * k: (10 + 30 * k, 50, 110 + 30 * k, 250) for k in range(6)})
    empty_video.add_track("obj_002", "product", "bottle", {5 * k: (200, 200, 220, 260) for k in range(6)}, fill=0.8)
    empty_video.add_track("obj_003", "product", "cup", {k: (300, 100, 360, 160) for k in (30, 40, 45)}, fill=None)
    return empty_video
