"""The detections stage against ultralytics' own `predict`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reframer_pipeline.schemas import DETECTIONS
from reframer_pipeline.settings import Settings
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.boxes import Boxes, by_frame
from reframer_pipeline.vision.detector import YoloDetector, detect_frames

pytestmark = pytest.mark.models

RESULT = "00000000-0000-5000-8000-000000000001"
LOW = Settings(conf=0.05, iou=0.45, imgsz=320, min_size=0)


def test_boxes_equal_ultralytics_own_predict(yolo: Any, frames: list) -> None:
    images = [image for _, _, image in frames]
    ours = YoloDetector(yolo, LOW).detect(images)
    theirs = yolo.predict([image[..., ::-1] for image in images], conf=0.05, iou=0.45, imgsz=320, verbose=False)
    assert sum(len(boxes) for boxes in ours) > 50
    for mine, result in zip(ours, theirs, strict=True):
        assert np.allclose(mine.xyxy, result.boxes.xyxy.numpy(), atol=1e-2)  # the number of threads shows in the last digit
        assert np.allclose(mine.confidence, result.boxes.conf.numpy(), atol=1e-5)
        assert mine.labels == [result.names[int(number)] for number in result.boxes.cls]


def test_red_is_red(yolo: Any, frames: list) -> None:
    """A picture read from a file by ultralytics itself gives the same boxes as our RGB array."""
    from PIL import Image

    image = frames[0][2]
    ours = YoloDetector(yolo, LOW).detect([image])[0]
    theirs = yolo.predict(Image.fromarray(image), conf=0.05, iou=0.45, imgsz=320, verbose=False)[0]
    assert len(ours) > 5 and np.allclose(ours.xyxy, theirs.boxes.xyxy.numpy(), atol=1e-2)


def test_rows_do_not_depend_on_how_frames_are_grouped(yolo: Any, frames: list) -> None:
    def rows(groups: list, batch: int) -> pa.Table:
        settings = LOW.model_copy(update={"batch": batch, "product_labels": tuple(yolo.names.values())})
        table = pa.Table.from_batches(detect_frames(groups, YoloDetector(yolo, settings), settings, RESULT))
        return table

    whole, single = rows([frames], 5), rows([[frame] for frame in frames], 1)
    assert whole.schema == DETECTIONS and whole.num_rows > 20
    exact = [name for name in DETECTIONS.names if name not in ("confidence", "x1", "y1", "x2", "y2")]
    assert whole.select(exact) == single.select(exact)
    for name in ("confidence", "x1", "y1", "x2", "y2"):
        assert np.allclose(whole[name].to_numpy(), single[name].to_numpy(), atol=1e-2)


class FixedDetector:
    """The same boxes in every frame: what the stage makes of them is the question."""

    def __init__(self, boxes: Boxes) -> None:
        self.boxes, self.batches = boxes, list[int]()

    def detect(self, images: Any) -> list[Boxes]:
        self.batches.append(len(images))
        return [self.boxes for _ in images]


def test_ids_ordinals_candidates_and_progress(frames: list) -> None:
    found = Boxes(
        np.array([[0, 0, 100, 100], [200, 0, 300, 100], [400, 0, 500, 100]], np.float32),
        np.array([0.3, 0.9, 0.6], np.float32),
        ["person", "cup", "person"],
    )
    detector, seen = FixedDetector(found), list[tuple[int, int]]()
    settings = Settings(track_low_conf=0.2, batch=2)
    batches = list(detect_frames([frames[:3], frames[3:]], detector, settings, RESULT, lambda *at: seen.append(at), 5))
    rows = pa.Table.from_batches(batches).to_pylist()
    assert detector.batches == [2, 1, 2] and seen == [(3, 5), (5, 5)]
    assert [row["frame_number"] for row in rows] == [number for number, _, _ in frames for _ in range(3)]
    first = rows[:3]
    assert [row["ordinal"] for row in first] == [0, 1, 2]
    assert [round(row["confidence"], 2) for row in first] == [0.9, 0.6, 0.3]
    assert [row["candidate"] for row in first] == [False, False, True]
    assert [row["detection_id"] for row in first] == [row_id(RESULT, f"0:{n}") for n in range(3)]


def test_frames_are_read_back_also_across_batches(frames: list) -> None:
    found = Boxes(np.array([[0, 0, 100, 100], [200, 0, 300, 100]], np.float32), np.array([0.9, 0.6], np.float32), ["person", "cup"])
    table = pa.Table.from_batches(detect_frames([frames], FixedDetector(found), Settings(), RESULT))
    whole = [(f.frame_number, f.detection_ids, f.xyxy.tolist(), f.object_classes) for f in by_frame(table.to_batches())]
    assert [number for number, *_ in whole] == [number for number, _, _ in frames]
    assert all(len(ids) == 2 for _, ids, _, _ in whole)
    for size in (1, 3, 7):
        parts = by_frame(table.to_batches(max_chunksize=size))
        assert [(f.frame_number, f.detection_ids, f.xyxy.tolist(), f.object_classes) for f in parts] == whole
    assert list(by_frame([])) == []


def test_torchs_threads_are_left_alone(yolo: Any, frames: list) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        YoloDetector(yolo, LOW).detect([frames[0][2]])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.timeout(600)
def test_ultralytics_leaves_no_trace(tmp_path: Path) -> None:
    """In a fresh process: nothing printed, nothing in the home or working folder, nothing asked of the network."""
    code = """
import sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"network: {event} {args}")
sys.addaudithook(refuse)
import numpy as np
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.detector import YoloDetector
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics
model = import_ultralytics().YOLO("yolov8n.yaml")
YoloDetector(model, Settings(imgsz=64)).detect([np.zeros((64, 64, 3), np.uint8)])
from ultralytics.utils import SETTINGS
from ultralytics.utils.events import events
assert not SETTINGS["sync"] and not events.enabled
"""
    repo = Path(__file__).resolve().parents[2]
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(repo), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [*home.rglob("*"), *work.rglob("*")] == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("reframer-")] == []
