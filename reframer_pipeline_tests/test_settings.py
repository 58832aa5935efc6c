"""Settings as a child process gets them, in whatever folder it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reframer_pipeline.running.dagster_home import as_environment
from reframer_pipeline.settings import DEMO_IMGSZ, Settings
from reframer_pipeline.stages.order import stage_keys


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A present folder of the test's own, without settings in the environment."""
    for name in [name for name in os.environ if name.startswith("REFRAMER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_relative_places_are_absolute_in_the_environment(here: Path) -> None:
    (here / "mine.pt").touch()
    places = {"home": "data", "weights_dir": "weights", "store_url": "objects", "uploads_url": "drop", "yolo_model": "mine.pt"}
    variables = as_environment(Settings.model_validate(places))
    assert variables["REFRAMER_HOME"] == str(here / "data")
    assert variables["REFRAMER_WEIGHTS_DIR"] == str(here / "weights")
    assert variables["REFRAMER_STORE_URL"] == str(here / "objects")
    assert variables["REFRAMER_UPLOADS_URL"] == str(here / "drop")
    assert variables["REFRAMER_YOLO_MODEL"] == str(here / "mine.pt")


def test_urls_and_names_of_models_stay_as_they_are(here: Path) -> None:
    (here / "yolov8n.pt").touch()  # the official model is looked for in the weights folder, never here
    urls = [("store_url", "s3://bucket/prefix"), ("uploads_url", "s3://bucket")]
    for name, value in [*urls, ("yolo_model", "yolov8n.pt"), ("yolo_model", "elsewhere.pt")]:
        assert as_environment(Settings.model_validate({name: value}))[f"REFRAMER_{name.upper()}"] == value
    assert as_environment(Settings())["REFRAMER_WEIGHTS_DIR"] == as_environment(Settings())["REFRAMER_STORE_URL"] == ""


def test_the_environment_makes_the_same_settings(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Settings(home=here / "data", conf=0.25, track_low_conf=0.1, product_labels=("cup", "wine glass"))
    for name, value in as_environment(first).items():
        monkeypatch.setenv(name, value)
    assert Settings() == first


def test_a_size_that_the_demo_model_ignores_makes_nothing_stale(here: Path) -> None:
    weights = {"detector": "a", "segmenter": "b"}
    for models, same in (("demo", True), ("official", False)):
        small, large = (Settings.model_validate({"models": models, "imgsz": size}) for size in (320, 960))
        assert (stage_keys("0" * 64, small, weights) == stage_keys("0" * 64, large, weights)) is same
    assert Settings(models="demo", imgsz=960).effective_imgsz == DEMO_IMGSZ


@pytest.mark.parametrize(("given", "key"), [("  ", None), ("", None), (" abc\n", "abc"), ("abc", "abc")])
def test_a_key_loses_its_blanks_and_a_blank_one_is_none(here: Path, monkeypatch: pytest.MonkeyPatch, given: str, key: str | None) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", given)
    for settings in (Settings(), Settings(gemini_api_key=given)):
        assert (settings.gemini_api_key.get_secret_value() if settings.gemini_api_key else None) == key
        assert settings.resolved_describer == ("gemini" if key else "local")
