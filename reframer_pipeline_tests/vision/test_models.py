"""Loading by settings, once per process, and refusing what must not be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline.failures import SettingsInvalid, WeightsCorrupt, WeightsUnsuitable, WeightsUntrusted
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision import models, weights
from reframer_pipeline.vision.detector import YoloDetector
from reframer_pipeline.vision.device import describe_device, resolve_device
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics

pytestmark = pytest.mark.models


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    models._loaded.clear()
    yield
    models._loaded.clear()


@pytest.fixture
def own_yolo(tmp_path: Path, yolo: Any) -> Settings:
    """A checkpoint as ultralytics saves it: a pickle of its own classes."""
    path = tmp_path / "own.pt"
    yolo.save(path)
    return Settings(home=tmp_path / "home", yolo_model=str(path), device="cpu", imgsz=320, conf=0.05)


def test_a_pickle_is_refused_then_trusted_then_loaded_once(own_yolo: Settings, frames: list) -> None:
    with pytest.raises(WeightsUntrusted):
        models.detector(own_yolo)
    weights.fetch(own_yolo, "detector", trust=True)
    loaded: list[object] = []
    threads = [threading.Thread(target=lambda: loaded.append(models.detector(own_yolo))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 3 and len({id(one) for one in loaded}) == 1
    assert len(models.detector(own_yolo).detect([frames[0][2]])) == 1


def test_threads_that_wait_sleep_and_whoever_says_otherwise_is_heard() -> None:
    """libgomp prints what it has read when torch loads it."""
    code = "import reframer_pipeline, torch"
    for given, spins in (({}, "GOMP_SPINCOUNT = '0'"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "OMP_WAIT_POLICY = 'ACTIVE'")):
        others = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
        env = others | given | {"OMP_DISPLAY_ENV": "VERBOSE"}
        assert spins in subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stderr


def test_models_compute_with_all_cores() -> None:
    """ultralytics says one thread to whoever loads OpenMP after it."""
    code = "from reframer_pipeline.vision.ultralytics_setup import import_ultralytics as load; load(); import os, torch; " + (
        "print(torch.get_num_threads(), os.environ.get('OMP_NUM_THREADS'))"
    )
    others = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    for given, wanted in (({}, None), ({"OMP_NUM_THREADS": "1"}, "1")):
        said = subprocess.run([sys.executable, "-c", code], env=others | given, capture_output=True, text=True, check=True).stdout.split()
        assert said[1] == str(wanted)
        assert int(said[0]) == int(wanted) if wanted else int(said[0]) > 1 or os.cpu_count() == 1


def test_other_thresholds_share_the_model_but_not_the_detector(own_yolo: Settings) -> None:
    weights.fetch(own_yolo, "detector", trust=True)
    first, second = models.detector(own_yolo), models.detector(own_yolo.model_copy(update={"conf": 0.9}))
    assert isinstance(first, YoloDetector) and isinstance(second, YoloDetector)
    assert first is not second and first._model is second._model


def test_another_segmenter_takes_the_place_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path / "home", models="demo", device="cpu", sam2_imgsz=256)
    gone = weakref.ref(models.segmenter(settings))
    assert models.segmenter(settings) is gone()
    build, there = models._build_sam2, list[object]()
    monkeypatch.setattr(models, "_build_sam2", lambda *given: (there.append(gone()), build(*given))[1])
    in_use = models.segmenter(settings.model_copy(update={"sam2_imgsz": 320}))
    assert there == [None]  # never are there two
    assert models.segmenter(settings) is not in_use  # who has it keeps it
    (boxes, weak) = models.detector(settings), weakref.ref(models.segmenter(settings))
    assert weak() is not None and models.detector(settings) is boxes  # one of each kind


def own(tmp_path: Path, kind: str, name: str) -> Settings:
    """Settings with a file of another architecture, random weights, trusted."""
    model = import_ultralytics().YOLO(f"{kind}.yaml")
    model.model.names = {number: "person" for number in model.names}
    model.save(tmp_path / name)
    return trusted(tmp_path, tmp_path / name)


def trusted(tmp_path: Path, path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", yolo_model=str(path), device="cpu", imgsz=320, conf=0.0)
    weights.fetch(settings, "detector", trust=True)
    return settings


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        ("yolov8n-obb", "turned.pt", "turned.pt is a model for obb"),
        ("yolov8n-cls", "names.pt", "names.pt is a model for classify"),
        ("yolov8n", "other.onnx", "other.onnx is no .pt"),
        ("yolov8n", "other.pth", "other.pth is no .pt"),
    ],
)
def test_files_that_give_no_boxes_are_the_callers_fault(tmp_path: Path, kind: str, name: str, what: str) -> None:
    with pytest.raises(WeightsUnsuitable, match=what) as refused:
        models.detector(own(tmp_path, kind, name))
    assert "REFRAMER_YOLO_MODEL" in refused.value.remedy and not refused.value.blames_video


def test_a_model_of_nobodys_kind_a_description_and_an_export_are_refused(tmp_path: Path) -> None:
    import torch

    torch.save({"model": torch.nn.Linear(3, 3)}, tmp_path / "layer.pt")
    with pytest.raises(WeightsUnsuitable, match="layer.pt"):
        models.detector(trusted(tmp_path, tmp_path / "layer.pt"))
    (tmp_path / "yolov8n.yaml").write_text("nc: 80\n")
    with pytest.raises(WeightsUnsuitable, match="no .pt"):
        models.detector(trusted(tmp_path, tmp_path / "yolov8n.yaml"))
    torch.jit.script(torch.nn.Linear(3, 3)).save(tmp_path / "exported.pt")
    with pytest.raises(WeightsCorrupt, match="TorchScript") as refused:
        models.detector(trusted(tmp_path, tmp_path / "exported.pt"))
    assert "REFRAMER_YOLO_MODEL" in refused.value.remedy  # not: delete it and fetch it again, for nobody publishes it


@pytest.mark.parametrize("kind", ["yolov8n-seg", "yolov8n-pose"])
def test_models_that_find_more_than_boxes_are_used_for_their_boxes(tmp_path: Path, kind: str, frames: list) -> None:
    (boxes,) = models.detector(own(tmp_path, kind, "more.pt")).detect([frames[0][2]])
    assert len(boxes) > 0 and set(boxes.labels) == {"person"}


def test_labels_are_those_of_the_model(own_yolo: Settings) -> None:
    """The model knows person, cup and wine glass; the default lists name more, which nobody asked for."""
    weights.fetch(own_yolo, "detector", trust=True)
    models.detector(own_yolo)
    for wrong, said in (
        ({"person_labels": ("Person",)}, "REFRAMER_PERSON_LABELS names 'Person'.* Did you mean person?"),
        ({"product_labels": ("wineglass", "cup")}, "REFRAMER_PRODUCT_LABELS names 'wineglass'.* Did you mean wine glass?"),
    ):
        with pytest.raises(SettingsInvalid, match=said):
            models.detector(own_yolo.model_copy(update=wrong))
    models.detector(own_yolo.model_copy(update={"person_labels": ("cup",), "product_labels": ("wine glass", "person")}))


class Malice:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("malice-was-here"),))


def save_malice(path: Path) -> None:
    import torch

    torch.save({"model": Malice()}, path)


def test_even_a_trusted_pickle_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the user's word stands ultralytics' own list of known classes."""
    monkeypatch.chdir(tmp_path)
    save_malice(tmp_path / "bad.pt")
    settings = Settings(home=tmp_path / "home", yolo_model=str(tmp_path / "bad.pt"), device="cpu")
    weights.fetch(settings, "detector", trust=True)
    with pytest.raises(WeightsCorrupt, match="bad.pt"):
        models.detector(settings)
    assert not (tmp_path / "malice-was-here").exists()


def test_an_earlier_plain_import_of_ultralytics_does_not_open_the_door(tmp_path: Path) -> None:
    save_malice(tmp_path / "bad.pt")
    code = """
import ultralytics
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics
try:
    import_ultralytics().YOLO("bad.pt", task="detect")
except TypeError as error:
    print(error)
"""
    plain = {name: value for name, value in os.environ.items() if name != "ULTRALYTICS_SAFE_LOAD"}  # an earlier test may have set it
    environment = {**plain, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "YOLO_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "outside the supported" in done.stdout
    assert not (tmp_path / "malice-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"no weights at all", None])
def test_segmenter_files_that_are_none_are_corrupt(tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(home=tmp_path / "home", sam2_model="sam2_hiera_tiny", device="cpu")
    path = settings.weights_folder / "sam2_hiera_tiny.pt"
    path.parent.mkdir(parents=True)
    if content is None:
        save_malice(path)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsCorrupt, match="sam2_hiera_tiny.pt"):
        models.segmenter(settings)
    assert not (tmp_path / "malice-was-here").exists()


def test_devices() -> None:
    assert resolve_device("cpu") == "cpu" and "threads" in describe_device("cpu")
    assert resolve_device("auto") in ("cpu", "mps") or resolve_device("auto").startswith("cuda:")
    for wrong in ("cuda:99", "gpu", "cuda:x"):
        with pytest.raises(SettingsInvalid, match=wrong):
            resolve_device(wrong)
