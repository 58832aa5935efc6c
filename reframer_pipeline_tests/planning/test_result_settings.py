"""Whose settings: only what somebody gave stands above the deployment's, and it stays with the video."""

from __future__ import annotations

import os
from typing import Any

import pytest

from reframer_pipeline.planning import orders, result_settings
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import add_video


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting in the environment but those of the test."""
    for name in [*(name for name in os.environ if name.startswith("REFRAMER_")), "GEMINI_API_KEY"]:
        monkeypatch.delenv(name, raising=False)


def overrides(storage: Storage, video_id: str) -> dict[str, Any]:
    row = storage.db.fetch_one("SELECT settings_overrides FROM videos WHERE id = %s", (video_id,))
    assert row is not None
    return dict(row["settings_overrides"])


def test_given_are_arguments_updates_and_variables_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFRAMER_CONF", "0.5")  # the default, and given all the same
    monkeypatch.setenv("REFRAMER_IOU", "")
    monkeypatch.setenv("REFRAMER_EXECUTOR", "multiprocess")
    settings = Settings(vid_stride=7, batch=2, device="cpu").model_copy(update={"min_size": 3})
    assert result_settings.given(settings) == {"conf": 0.5, "vid_stride": 7, "min_size": 3}
    assert result_settings.given(settings, ["vid_stride", "batch", "iou"]) == {"vid_stride": 7, "iou": 0.45}


@pytest.mark.parametrize(
    ("settings", "describer"),
    [
        ({}, None),
        ({"gemini_api_key": "k"}, None),  # a key is no wish
        ({"describer": "auto"}, None),  # without a key, no wish that could be kept
        ({"describer": "auto", "gemini_api_key": "k"}, "gemini"),
        ({"describer": "local", "gemini_api_key": "k"}, "local"),
    ],
)
def test_a_shell_decides_for_a_describer_only_where_it_was_asked(settings: dict[str, Any], describer: str | None) -> None:
    assert result_settings.given(Settings(**settings)).get("describer") == describer


def test_a_setting_that_is_new_since_they_were_saved_is_told_where_it_is_not_its_default(storage: Storage) -> None:
    assert result_settings.save(storage.db, Settings(mask_stride=5)) == {}  # the first time
    storage.db.execute("UPDATE deployment SET settings = settings - 'mask_stride' - 'mask_conf'")  # as an earlier version left it
    assert result_settings.save(storage.db, Settings(mask_stride=5)) == {"mask_stride": (1, 5)}
    assert result_settings.save(storage.db, Settings(mask_stride=5)) == {}


def test_a_plain_run_pins_nothing(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    result_settings.save(storage.db, Settings(conf=0.4, gemini_api_key="k"))
    plain = Settings(batch=7)
    assert result_settings.note_overrides(storage.db, plain, video_id) == {}
    meant = result_settings.wanted(storage.db, plain)
    assert (meant.conf, meant.describer, meant.batch) == (0.4, "gemini", 7)
    assert orders.resolve(storage.db, plain, video_id).settings == meant


def test_the_default_is_an_override_where_it_was_given(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    result_settings.save(storage.db, Settings(conf=0.4))
    asked = Settings(conf=0.5, vid_stride=5)
    assert result_settings.note_overrides(storage.db, asked, video_id) == {"conf": 0.5}  # the stride is the deployment's anyway
    assert result_settings.wanted(storage.db, asked).conf == orders.resolve(storage.db, Settings(), video_id).settings.conf == 0.5


def test_overrides_are_noted_ahead_but_under_no_run(storage: Storage) -> None:
    (free, _), (busy, _) = add_video(storage, 1), add_video(storage, 2)
    with lease.hold(storage.db, busy, owner="another"):
        noted = result_settings.note_ahead(storage.db, Settings(conf=0.3), [free, busy])
        assert noted.overrides == {"conf": 0.3} and set(noted.video_ids) == {free, busy}
        assert (overrides(storage, free), overrides(storage, busy)) == ({"conf": 0.3}, {})
    assert result_settings.note_ahead(storage.db, Settings(conf=0.3), [free]).video_ids == ()
    taken = result_settings.note_ahead(storage.db, Settings(), [free, busy])
    assert taken == result_settings.Noted({}, (free,)) and overrides(storage, free) == {}
