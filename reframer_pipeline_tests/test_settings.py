"""Settings as a child process gets them, in whatever folder it runs."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention.archive import archive_older
from reframer_pipeline.retention.eviction import evict_older
from reframer_pipeline.retention.sweep import sweep
from reframer_pipeline.running.dagster_home import as_environment
from reframer_pipeline.settings import DEMO_IMGSZ, Settings
from reframer_pipeline.stages.order import stage_keys
from reframer_pipeline_tests.media.made import numbered, sampled

NUMERIC = [name for name, field in Settings.model_fields.items() if {int, float} & {field.annotation, *get_args(field.annotation)}]


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


@pytest.mark.parametrize(
    "given", ["https://example.org/", "example.org", '["https://example.org"]', "https://example.org https://two.example"]
)
def test_an_origin_that_no_browser_names_is_refused(here: Path, given: str) -> None:
    """It would keep the page out without a word."""
    with pytest.raises(ValidationError, match="api_cors_origins"):
        Settings(home=here, api_cors_origins=given)


def test_origins_are_taken_as_browsers_name_them(here: Path) -> None:
    for given in ("*", "https://example.org", "http://127.0.0.1:8080, https://[::1]:9"):
        assert Settings(home=here, api_cors_origins=given).api_cors_origins == tuple(given.split(", "))


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


def most(name: str) -> Any:
    """The largest value of a setting."""
    return next(limit.le for limit in Settings.model_fields[name].metadata if hasattr(limit, "le"))


@pytest.mark.parametrize("name", NUMERIC)
def test_every_number_is_finite_and_bounded(here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for wrong in ("inf", "-inf", "nan", "1e400", str(2**31), str(2**63), str(10**400), "-1"):
        with pytest.raises(ValidationError, match=f"(?i){name}"):
            Settings.model_validate({name: wrong})
        monkeypatch.setenv(Settings.variable(name), wrong)
        with pytest.raises(ValidationError):
            Settings()
    monkeypatch.delenv(Settings.variable(name))
    assert getattr(Settings.model_validate({name: most(name)}), name) == most(name)


def test_a_sound_file_is_sound_at_the_largest_limits(here: Path) -> None:
    """None of them overflows on its way to prlimit, ffmpeg or the clocks."""
    limits = [name for name in NUMERIC if name.startswith("max_") or name in ("stall_s", "memory_mb")]
    settings = Settings.model_validate({name: most(name) for name in limits})
    metadata, rows, _ = sampled(numbered(here / "a.mp4", frames=12), here / "store", settings)
    assert (metadata.frame_count, len(rows)) == (12, 12)


def test_the_longest_keeping_finds_nothing_old_enough(here: Path, storage: Storage) -> None:
    assert archive_older(storage.db, storage.store, most("archive_after_days")).videos == 0
    assert evict_older(storage.db, storage.store, most("evict_frames_after_days")).videos == 0
    assert not sweep(storage.db, storage.store, most("keep_superseded_days")).results
    assert datetime.now(UTC) - timedelta(days=most("dagster_runs_days")) < datetime.now(UTC)
