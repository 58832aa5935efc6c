"""The models of this process: the newest of each kind is kept.

What belongs here: loading by settings, and the cache. What does not: trust and files (`weights`), prediction (`detector`,
`segmenter`), the demo architectures (`demo.models`). The cache lives as long as the process, so an in-process executor and a warm worker
load each model once. Its key holds everything that makes models differ, so changed settings never get an old model. They take its place:
two large ones may be more than a machine has room for. Who still computes with the old one keeps it until then.
"""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable
from typing import Any

from reframer_pipeline.failures import WeightsCorrupt, WeightsUnsuitable
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision import weights
from reframer_pipeline.vision.compiled import engine_of
from reframer_pipeline.vision.compiled_models import compile_yolo
from reframer_pipeline.vision.detector import Detector, YoloDetector
from reframer_pipeline.vision.device import resolve_device
from reframer_pipeline.vision.labels import require_labels
from reframer_pipeline.vision.sam2_batched import BatchedSam2Segmenter
from reframer_pipeline.vision.sam2_single import Sam2Segmenter
from reframer_pipeline.vision.segmenter import Segmenter
from reframer_pipeline.vision.single_frames import for_single_frames
from reframer_pipeline.vision.weights import WeightsFile

# what torch and ultralytics raise for files that hold something else than they should
_UNREADABLE = (RuntimeError, EOFError, KeyError, TypeError, ValueError, AttributeError, ImportError, pickle.UnpicklingError)
_WITH_BOXES = ("detect", "segment", "pose")  # ultralytics' tasks whose answers have upright boxes; those of obb are turned
_loaded: dict[object, tuple[tuple[object, ...], Any]] = {}  # by kind
_lock = threading.RLock()


def detector(settings: Settings) -> Detector:
    """The detector that the settings name, on the device they name.

    Raises:
        WeightsMissing, WeightsUntrusted, WeightsCorrupt: See `weights`.
        WeightsUnsuitable: A file of another kind, or for another task.
        SettingsInvalid: No such device or engine, or a label that the model does not have.
    """
    device = resolve_device(settings.device)
    file = weights.resolve(settings, "detector")
    engine = engine_of(settings, device, file.sha256)

    def build() -> Any:
        model = _build_yolo(settings, file)
        if engine is not None:
            compile_yolo(model, engine)
        return model

    model = _cached(("yolo", file.sha256, device, engine), build)
    require_labels(settings, model.names.values())
    options = (settings.detector_floor, settings.iou, settings.effective_imgsz)
    found: Detector = _cached(("detector", file.sha256, device, engine, *options), lambda: YoloDetector(model, settings, device))
    return found


def segmenter(settings: Settings) -> Segmenter:
    """The segmenter that the settings name, on the device they name.

    Raises:
        WeightsMissing, WeightsCorrupt: See `weights`.
        SettingsInvalid: No such device, engine or model.
    """
    device = resolve_device(settings.device)
    file = weights.resolve(settings, "segmenter")
    engine = engine_of(settings, device, file.sha256)

    def build() -> Segmenter:
        model = for_single_frames(_build_sam2(settings, file, device), device, engine)
        return BatchedSam2Segmenter(model, device) if device.startswith("cuda") else Sam2Segmenter(model, device)

    found: Segmenter = _cached(("segmenter", file.sha256, device, engine, settings.effective_sam2_imgsz), build)
    return found


def _cached(key: tuple[object, ...], build: Callable[[], Any]) -> Any:
    """What was built for this key, whose first part is its kind. Another one of that kind is given up before a new one is built."""
    with _lock:  # also while building: the second thread waits for the first one's model
        there, found = _loaded.get(key[0], ((), None))
        if there != key:
            del found
            if _loaded.pop(key[0], None) is not None:
                gc.collect()  # networks and their functions hold one another
            _loaded[key[0]] = key, build()
        return _loaded[key[0]][1]


def _build_yolo(settings: Settings, file: WeightsFile) -> Any:
    from reframer_pipeline.vision.ultralytics_setup import import_ultralytics

    ultralytics = import_ultralytics()
    if settings.models == "demo":
        from reframer_pipeline.vision.demo_models import build_demo_yolo

        return build_demo_yolo()
    if file.path.suffix != ".pt":  # ultralytics would take it for a description to build, or for an export to run elsewhere
        raise WeightsUnsuitable(f"The detector file {file.path.name} is no .pt file.")
    weights.require_trusted(file)
    try:
        model = ultralytics.YOLO(str(file.path), task="detect")
    except _UNREADABLE as error:
        fetched = weights.release_of(settings, "detector") is not None
        raise _unreadable(file, "YOLO", error, None if fetched else WeightsUnsuitable.default_remedy) from error
    from ultralytics.nn.tasks import BaseModel, DetectionModel

    if not isinstance(model.model, BaseModel):
        raise WeightsUnsuitable(f"The detector file {file.path.name} holds a {type(model.model).__name__}, which is no YOLO model.")
    if not isinstance(model.model, DetectionModel) or model.task not in _WITH_BOXES:
        raise WeightsUnsuitable(f"The detector file {file.path.name} is a model for {model.task}, which finds no upright boxes.")
    return model


def _build_sam2(settings: Settings, file: WeightsFile, device: str) -> Any:
    if settings.models == "demo":
        from reframer_pipeline.vision.demo_models import build_demo_sam2

        return build_demo_sam2(device, settings.effective_sam2_imgsz)
    import torch

    from reframer_pipeline.vision.sam2_build import build_sam2_model

    release = weights.release_of(settings, "segmenter")
    assert release is not None  # release_of refuses segmenters that it does not know
    try:
        state = torch.load(file.path, map_location="cpu", weights_only=True)["model"]
        model = build_sam2_model(release.config, [f"++model.image_size={settings.effective_sam2_imgsz}"], device)
        model.load_state_dict(state)
    except _UNREADABLE as error:
        raise _unreadable(file, "SAM2", error) from error
    return model


def _unreadable(file: WeightsFile, kind: str, error: Exception, remedy: str | None = None) -> WeightsCorrupt:
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return WeightsCorrupt(f"{file.path.name} holds no {kind} weights of this version: {reason}.", remedy)
