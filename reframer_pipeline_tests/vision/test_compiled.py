"""Models that OpenVINO computes give what torch gives, are prepared once, and are asked for by name only where they can be had."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.reading import sheets
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision import compiled, rle
from reframer_pipeline.vision.compiled import Engine, engine_of
from reframer_pipeline.vision.compiled_models import compile_yolo
from reframer_pipeline.vision.demo_models import build_untrained_sam2
from reframer_pipeline.vision.detector import YoloDetector
from reframer_pipeline.vision.sam2_single import Sam2Segmenter
from reframer_pipeline.vision.single_frames import for_single_frames
from reframer_pipeline_tests.computed import add

pytestmark = [pytest.mark.models, pytest.mark.skipif(not compiled.installed(), reason="the extra openvino is not installed")]
WIDE, TALL = [make_clip(1_000_003, width=width, height=height, n_frames=40).frame(0)[0] for width, height in ((320, 192), (192, 320))]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine("float32", tmp_path / "openvino", "digest")


def test_the_detector_finds_the_same_boxes_in_pictures_of_every_size_and_batch(yolo: Any, engine: Engine) -> None:
    settings = Settings(conf=0.05, min_size=0)
    expected = [YoloDetector(yolo, settings).detect(pictures) for pictures in ([WIDE], [WIDE, WIDE[::-1]], [TALL])]
    compile_yolo(yolo, engine)
    yolo.predictor = None  # it has a copy of the network
    try:
        found = [YoloDetector(yolo, settings).detect(pictures) for pictures in ([WIDE], [WIDE, WIDE[::-1]], [TALL])]
    finally:
        del yolo.model.forward  # the class's own again, for the other tests
        yolo.predictor = None
    assert sum(len(boxes.labels) for batch in expected for boxes in batch) > 3
    for theirs, ours in zip((one for batch in expected for one in batch), (one for batch in found for one in batch), strict=True):
        assert theirs.labels == ours.labels
        np.testing.assert_allclose(ours.xyxy, theirs.xyxy, atol=1e-2)
        np.testing.assert_allclose(ours.confidence, theirs.confidence, atol=1e-4)
    assert len(list(engine.folder.glob("detector-*"))) == 2  # one for each shape


def test_the_detector_computes_with_all_threads_though_ultralytics_takes_some_away(
    yolo: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(compiled, "_kept", lambda core, path, options: seen.append(options["INFERENCE_NUM_THREADS"]))
    torch.set_num_threads(11)
    try:
        compile_yolo(yolo, engine)
        yolo.predictor = None
        YoloDetector(yolo, Settings()).detect([WIDE])
    finally:
        torch.set_num_threads(before)
        del yolo.model.forward
        yolo.predictor = None
    assert seen == [11]


def test_the_segmenter_gives_the_same_logits_for_any_number_of_boxes(engine: Engine) -> None:
    theirs, ours = segmenter(None), segmenter(engine)
    for boxes in (1, 5):
        prompts = np.array([[10 + 30 * n, 20, 70 + 30 * n, 150] for n in range(boxes)], np.float32)
        for expected, found in zip(theirs.predict(WIDE, prompts), ours.predict(WIDE, prompts), strict=True):
            np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4 * np.abs(expected.logits).max())
            assert found.predicted_iou == pytest.approx(expected.predicted_iou, abs=1e-4)


def segmenter(engine: Engine | None) -> Sam2Segmenter:
    import torch

    torch.manual_seed(3)
    return Sam2Segmenter(for_single_frames(build_untrained_sam2(image_size=256), "cpu", engine))


def half(engine: Engine, size: int = 3) -> list[float]:
    """What a small network makes of ones, two rows of them, though it was traced with one."""
    import torch

    torch.manual_seed(1)
    layer = torch.nn.Linear(size, 1)
    torch.nn.init.constant_(layer.weight, 0.5)
    torch.nn.init.constant_(layer.bias, 0.0)
    halves: list[float] = (
        compiled.compiled(engine, "half", layer, [torch.ones(1, size)], frozenset({0}))(torch.ones(2, size))[0].flatten().tolist()
    )
    return halves


def test_what_was_prepared_is_kept_and_read(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert half(engine) == [1.5, 1.5]
    assert len(list(engine.folder.iterdir())) == 1
    monkeypatch.setattr(compiled, "_traced", lambda *args: pytest.fail("prepared anew"))
    assert half(engine) == [1.5, 1.5]
    for other in (lambda: half(engine, size=4), lambda: half(replace(engine, weights="of another"))):
        with pytest.raises(pytest.fail.Exception, match="prepared anew"):
            other()


@pytest.mark.parametrize("damage", ["a weight", "the end", "all"])
def test_what_is_damaged_is_prepared_anew(damage: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    half(engine)
    (path,) = engine.folder.iterdir()
    whole = path.read_bytes()
    weights = np.full(3, 0.5, np.float32).tobytes()
    assert whole.count(weights) == 1
    path.write_bytes({"a weight": whole.replace(weights, weights[:-1] + b"\x40"), "the end": whole[:-9], "all": b""}[damage])
    assert half(engine) == [1.5, 1.5]
    monkeypatch.setattr(compiled, "_traced", lambda *args: pytest.fail("prepared anew"))
    assert half(engine) == [1.5, 1.5]


def test_a_folder_that_takes_nothing_costs_time_and_nothing_else(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    engine.folder.write_text("no folder")
    with caplog.at_level(logging.WARNING):
        assert half(engine) == [1.5, 1.5]
    assert "cannot be kept" in caplog.text


def test_a_full_disk_leaves_nothing_half(engine: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled.os, "fsync", lambda number: os.write(os.open("/dev/full", os.O_WRONLY), b"x"))
    with caplog.at_level(logging.WARNING):
        assert half(engine) == [1.5, 1.5]
    assert "No space left" in caplog.text and not list(engine.folder.iterdir())


def test_processes_may_prepare_the_same_at_once(engine: Engine) -> None:
    """OpenVINO's own cache, which rewrites a file that others have mapped, killed one of four by SIGBUS."""
    code = f"""
import time, torch
from pathlib import Path
from reframer_pipeline.vision.compiled import Engine, compiled
layer = torch.nn.Sequential(*[torch.nn.Linear(700, 700) for _ in range(4)]).eval()
for parameter in layer.parameters(): torch.nn.init.constant_(parameter, 0.001)
for _ in range(3):
    call = compiled(Engine("float32", Path({str(engine.folder)!r}), "x"), "layers", layer, [torch.ones(1, 700)])
    assert abs(float(call(torch.ones(1, 700))[0][0, 0]) - float(layer(torch.ones(1, 700))[0, 0])) < 1e-4
"""
    running = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [(process.communicate(timeout=600)[1], process.returncode) for process in running]
    assert [code for _, code in ended] == [0] * 4, ended
    assert len(list(engine.folder.iterdir())) == 1


def test_auto_takes_it_on_a_cpu_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    auto, torch, demanded = (Settings(engine=name) for name in ("auto", "torch", "openvino"))
    assert engine_of(auto, "cpu", "abc") == engine_of(demanded, "cpu", "abc") == Engine("float32", auto.weights_folder / "openvino", "abc")
    assert engine_of(torch, "cpu", "abc") is engine_of(auto, "cuda:0", "abc") is None
    monkeypatch.setattr(compiled, "installed", lambda: False)
    assert engine_of(auto, "cpu", "abc") is None
    with pytest.raises(SettingsInvalid, match="not installed") as caught:
        engine_of(demanded, "cpu", "abc")
    assert "reframer_pipeline[openvino]" in caught.value.remedy


@pytest.mark.parametrize(("engine", "device"), [("torch", "cpu"), ("auto", "cuda:0")])
def test_bfloat16_is_refused_where_nothing_computes_in_it(engine: Any, device: str) -> None:
    with pytest.raises(SettingsInvalid, match="bfloat16"):
        engine_of(Settings(engine=engine, precision="bfloat16"), device, "abc")


def test_nothing_is_reported_to_anybody() -> None:
    """OpenVINO's telemetry sends each import and each conversion to its makers, unless its package is missing."""
    code = """
import socket
def refused(*args, **options): raise AssertionError(f"a connection to {args}")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from pathlib import Path
import sys, tempfile, torch
from reframer_pipeline.vision.compiled import Engine, compiled
engine = Engine("float32", Path(tempfile.mkdtemp()), "x")
assert compiled(engine, "relu", torch.nn.ReLU(), [torch.zeros(1, 2)])(torch.tensor([[-1.0, 2.0]]))[0].tolist() == [[0.0, 2.0]]
from openvino.tools.ovc import convert_impl
assert convert_impl.tm.__name__ == "openvino.tools.ovc.telemetry_stub", convert_impl.tm
assert not [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400, env=os.environ)
    assert done.returncode == 0, done.stderr


def test_a_whole_clip(done: VideoOutcome, settings: Settings, clip: Path, tmp_path: Path) -> None:
    """Every box and mask is where torch has it, under the same keys; bfloat16 is another result."""
    theirs = sheets.published(storage_of(settings), done.video_id)
    mine = settings.model_copy(update={"home": tmp_path / "home", "engine": "openvino"})
    storage = storage_of(mine)
    (outcome,) = run_videos(mine, [add(storage, clip)])
    assert outcome.status == "completed", outcome.failure_message
    ours = sheets.published(storage, outcome.video_id)
    for stage in ("detections", "masks"):
        assert theirs[stage].row_count == ours[stage].row_count > 10
    for left, right in zip(rows(theirs["masks"]), rows(ours["masks"]), strict=True):
        assert left["detection_id"] == right["detection_id"]
        assert iou(left, right) >= 0.99
    assert list((tmp_path / "home" / "weights" / "openvino").glob("detector-*"))


def rows(result: Any) -> list[dict[str, Any]]:
    return [row for batch in result.batches() for row in batch.to_pylist()]


def iou(left: dict[str, Any], right: dict[str, Any]) -> float:
    one, other = (rle.decode(row["rle"], row["height"], row["width"]) for row in (left, right))
    return float((one & other).sum() / max((one | other).sum(), 1))
